"""RefCOCO and its kin, from their published files."""

import pickle

import pytest

from mm15_jax.data.convert import boxes, json_stream
from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Image
from tests.data.convert.converted import convert, turns
from tests.data.convert.fixtures.refer_sets import FIXTURES, REFS
from tests.data.convert.pictures import picture, write

FIRST = "COCO_train2014_000000000009.jpg"


@pytest.mark.parametrize("name", FIXTURES)
def test_counts(tmp_path, name):
    fixture = FIXTURES[name]
    fixture.make(tmp_path)
    module = MODULES[name]
    for split, count in fixture.records.items():
        good, bad = convert(module, name, split, tmp_path)
        assert (len(good), len(bad)) == (count, fixture.bad.get(split, 0)), (split, bad)


MODULES = {"refcoco": "refcoco", "refcoco_plus": "refcoco", "refcocog": "refcoco"}


def test_refcoco_training_asks_every_sentence_of_a_picture(tmp_path):
    FIXTURES["refcoco"].make(tmp_path)
    good, bad = convert("refcoco", "refcoco", "train", tmp_path)
    assert list(good) == [FIRST]
    dialogue = turns(good[FIRST])
    man, dog = "<156,104,468,729>", "<0,835,999,999>"
    assert len(dialogue) == 3
    expected = [("left man", man), ("man in red", man), ("the dog", dog)]
    for (question, answer), (phrase, box) in zip(dialogue, expected, strict=True):
        # Grounding or referring: the one is asked for, the other answered.
        assert (phrase in question and answer == box) or (box in question and answer == phrase)
    assert list(bad) == ["image 6"] and "no file" in bad["image 6"]


def test_refcoco_evaluation_has_a_question_a_sentence_with_the_true_box(tmp_path):
    FIXTURES["refcoco"].make(tmp_path)
    good, bad = convert("refcoco", "refcoco", "testB", tmp_path)
    name = "COCO_train2014_000000000007.jpg"
    assert list(good) == [f"{name}:4:5", f"{name}:4:6"]
    example = good[f"{name}:4:5"]
    assert turns(example) == [("Give the bounding box of red ball.", "<78,104,234,312>")]
    assert example.metadata == {
        "answer": "<78,104,234,312>", "metric": "iou", "box": [5.0, 5.0, 15.0, 15.0],
    }  # fmt: skip
    assert list(bad) == [f"{name}:5"] and "outside of its picture of 64 x 48" in bad[f"{name}:5"]


def test_refcocog_prefers_the_split_without_shared_pictures(tmp_path):
    FIXTURES["refcocog"].make(tmp_path)
    write(tmp_path / "refcocog/refs(google).p", pickle.dumps(REFS[:1], 0))
    assert len(convert("refcoco", "refcocog", "test", tmp_path)[0]) == 3
    (tmp_path / "refcocog/refs(umd).p").unlink()
    assert len(convert("refcoco", "refcocog", "test", tmp_path)[0]) == 0
    assert len(convert("refcoco", "refcocog", "train", tmp_path)[0]) == 1


def test_a_source_without_refs_is_told_what_is_expected(tmp_path):
    write(tmp_path / "other.txt", "x")
    with pytest.raises(ValueError, match=r"other\.txt.*expected refcoco/refs\(unc\)\.p"):
        convert("refcoco", "refcoco", "train", tmp_path)


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    FIXTURES["refcoco"].make(tmp_path)
    write(tmp_path / "refcoco/refs(unc).p", b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(ValueError, match=r"refs\(unc\)\.p is refused: it asks for os\.system"):
        convert("refcoco", "refcoco", "train", tmp_path)


def test_a_picture_of_another_size_than_annotated_is_refused(tmp_path):
    FIXTURES["refcoco"].make(tmp_path)
    write(tmp_path / f"train2014/{FIRST}", picture(32, 24))
    _, bad = convert("refcoco", "refcoco", "train", tmp_path)
    assert "32 x 24 pixels, its boxes are of 64 x 48" in bad["image 9"]


IMAGE = Image(b"", height=50, width=100, role="user")


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 100, 50), (0, 0, 100, 50)),
        ((-1, -0.5, 101, 50.9), (0, 0, 100, 50)),
        ((-1.5, 0, 5, 5), "outside of its picture"),
        ((0, 0, 5, 51.5), "outside of its picture"),
        ((5, 5, 5, 9), "without an area"),
        ((9, 5, 5, 9), "without an area"),
        ((float("nan"), 0, 1, 1), "not finite"),
        ((0, 0, float("inf"), 1), "not finite"),
    ],
)
def test_boxes_are_clipped_by_a_pixel_and_no_more(box, expected):
    if isinstance(expected, tuple):
        assert boxes.checked(box, IMAGE) == expected
    else:
        with pytest.raises(DataError, match=expected):
            boxes.checked(box, IMAGE)


def test_long_dialogues_go_on_in_a_further_example():
    turns = [(f"q{i}", f"a{i}") for i in range(boxes.MAX_TURNS + 1)]
    first, second = boxes.dialogues(IMAGE, turns, "set", "key")
    assert (first.key, second.key) == ("key", "key:12")
    assert [s.text for s in second.segments[1:]] == ["q12", "a12"]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1000])
def test_a_stream_of_json_is_read_alike_in_any_blocks(tmp_path, monkeypatch, block):
    monkeypatch.setattr(json_stream, "_BLOCK", block)
    text = '\ufeff{"a": [12, -3.5e2 , "]},[é\\"", {"b": [1]}, []],\n "s": {"a": 0}, "c" : []}'
    write(tmp_path / "x.json", text)
    found = list(json_stream.array_elements(Source(tmp_path), "x.json", ("a", "c")))
    assert found == [("a", v) for v in (12, -350.0, ']},[é"', {"b": [1]}, [])]


@pytest.mark.parametrize(
    "text", ["[1]", '{"a": [1, 2', '{"a": 3}', '{"a": [1 2]}', "", '{"a": [1],']
)
def test_a_cut_or_other_json_is_told(tmp_path, text):
    write(tmp_path / "x.json", text)
    with pytest.raises(ValueError, match=r"x\.json in .* is no JSON object with arrays a"):
        list(json_stream.array_elements(Source(tmp_path), "x.json", ("a",)))
