"""RefCOCO and its kin, from their published files."""

import json
import pickle

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm15_jax.data.convert import boxes, coco_tables, detection, flickr30k_entities, json_stream
from mm15_jax.data.preparation import DataError
from mm15_jax.data.prepare import prepare_many
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


def test_regions_left_out_of_pictures_that_are_not_are_no_bad_records(tmp_path):
    """Else the unit of what is bad is a region, and of what is good a picture."""
    write(tmp_path / "VG_100K/1.jpg", picture())
    size = {"width": 64, "height": 48}
    pictures = [{"image_id": i, "url": "https://x/VG_100K/1.jpg", **size} for i in range(40)]
    row = {"width": 9, "height": 9, "y": 1, "phrase": "a thing"}
    # Half of the regions leave the picture; of the last picture both do.
    regions = [
        {"id": i, "regions": [{"region_id": n, "x": -5 * (n or i == 39), **row} for n in (0, 1)]}
        for i in range(40)
    ]
    write(tmp_path / "image_data.json", json.dumps(pictures))
    write(tmp_path / "region_descriptions.json", json.dumps(regions))
    (report,) = prepare_many(["visual_genome"], tmp_path / "out", source=tmp_path, workers=1)
    assert (report.records, report.bad, report.bad_within) == (39, 1, 40)
    assert "39 examples, 1 bad and 40 pieces of others, " in report.as_text()
    assert report.bad_reasons[0]["count"] == 41  # all of them are told


MODULES = {
    "refcoco": "refcoco",
    "refcoco_plus": "refcoco",
    "refcocog": "refcoco",
    "flickr30k_entities": "flickr30k_entities",
    "visual_genome": "visual_genome",
    "objects365": "detection",
    "lvis": "detection",
}


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
    assert list(bad) == ["image 6"] and "there is no picture" in bad["image 6"]


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
    with pytest.raises(ValueError, match=r"other\.txt.*expected refcoco: refcoco/refs\(unc\)\.p"):
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


def test_flickr_training_writes_boxes_into_a_caption_and_asks_for_phrases(tmp_path):
    FIXTURES["flickr30k_entities"].make(tmp_path)
    good, bad = convert("flickr30k_entities", "flickr30k_entities", "train", tmp_path)
    (_, caption), *rest = turns(good["100.jpg"])
    men, cap, bowl = "<0,0,156,416>, <312,83,468,416>", "<312,83,468,416>", "<0,500,999,999>"
    assert caption in (
        f"Two young men {men} play in the yard, with a red cap {cap}.",
        f"Men {men} near a dog's bowl {bowl}; it is empty.",
    )
    expected = [("young men", men), ("a red cap", cap), ("Men", men), ("a dog's bowl", bowl)]
    assert len(rest) == len(expected)
    for (question, answer), (phrase, box) in zip(rest, expected, strict=True):
        assert (phrase in question and answer == box) or (box in question and answer == phrase)
    assert list(bad) == ["101.jpg"] and "damaged annotation" in bad["101.jpg"]


def test_flickr_evaluation_asks_in_the_caption_and_merges_boxes(tmp_path):
    FIXTURES["flickr30k_entities"].make(tmp_path)
    good, _ = convert("flickr30k_entities", "flickr30k_entities", "test", tmp_path)
    assert list(good) == ["103.jpg:0:0", "103.jpg:0:2", "103.jpg:1:0", "103.jpg:1:1"]
    example = good["103.jpg:0:0"]
    caption = "Two young men play in the yard, with a red cap."
    assert turns(example) == [(f"{caption}\nGive the bounding box of young men.", "<0,0,468,416>")]
    assert example.metadata["box"] == [0, 0, 30, 20] and example.metadata["metric"] == "iou"


@pytest.mark.parametrize(
    "xml", [b'<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', b"<annotation/>", b"\x00"]
)
def test_a_hostile_or_damaged_annotation_is_refused(xml):
    with pytest.raises(DataError, match="annotation"):
        flickr30k_entities.parse_boxes(xml, IMAGE)


def test_visual_genome_regions_and_objects(tmp_path):
    FIXTURES["visual_genome"].make(tmp_path)
    good, bad = convert("visual_genome", "visual_genome", "train", tmp_path)
    assert set(good) == {"1.jpg:regions", "1.jpg:objects"}
    found = {frozenset(pair) for pair in _phrases(turns(good["1.jpg:regions"]))}
    assert found == {frozenset(("a cup", "<62,62,187,187>")), frozenset(("all", "<0,0,999,999>"))}
    objects = turns(good["1.jpg:objects"])
    trees = [(q, a) for q, a in objects if "tree" in a]
    assert len(trees) == 2  # two of a name: neither is asked for by it
    (clock,) = (pair for pair in objects if pair not in trees)
    assert ("the clock" in clock[0] and clock[1] == "<125,125,250,250>") or clock[1] == "clock"
    assert len(bad) == 2 and "outside of its picture" in bad["1.jpg:regions:2"]


def _phrases(dialogue):
    """(phrase, box) of turns that ground or refer with our templates."""
    for question, answer in dialogue:
        box = answer if answer.startswith("<") else question[question.index("<") :]
        box = box[: box.rindex(">") + 1]
        phrase = answer
        if answer.startswith("<"):
            phrase = next(p for p in ("a cup", "all") if f" {p}" in question)
        yield phrase, box


def test_objects365_is_joined_by_picture_whatever_the_order(tmp_path):
    FIXTURES["objects365"].make(tmp_path)
    good, bad = convert("detection", "objects365", "train", tmp_path)
    assert list(good) == ["objects365_v1_4.jpg", "objects365_v2_3.jpg"]
    persons = "<0,0,101,102>, <500,500,601,602>"
    for question, answer in turns(good["objects365_v1_4.jpg"]):
        if "person" in question:
            assert answer == persons
        elif "cabinet or shelf" in question:
            assert answer == "<0,0,999,999>"
        else:
            place = question[question.index("<") : question.rindex(">") + 1]
            assert (place, answer) in [
                ("<0,0,101,102>", "person"),
                ("<500,500,601,602>", "person"),
                ("<0,0,999,999>", "cabinet or shelf"),
            ]
    ((question, answer),) = turns(good["objects365_v2_3.jpg"])
    assert "SUV" in question + answer and "<156,208,312,416>" in question + answer
    assert set(bad) == {"objects365_v2_3.jpg:6", "images/v1/patch8/objects365_v1_5.jpg"}
    assert "without an area" in bad["objects365_v2_3.jpg:6"]


def test_objects365_evaluation_grounds_and_refers(tmp_path):
    FIXTURES["objects365"].make(tmp_path)
    good, _ = convert("detection", "objects365", "validation", tmp_path)
    ground, refer = good.values()
    assert turns(ground) == [("Give the bounding box of the SUV.", "<500,500,750,750>")]
    assert turns(refer) == [("What is the object in <500,500,750,750>?", "SUV")]
    assert ground.metadata["metric"] == "iou" and refer.metadata["answer"] == ["SUV"]


def test_lvis_asks_at_points_inside_of_outlines_and_accepts_synonyms(tmp_path):
    FIXTURES["lvis"].make(tmp_path)
    good, bad = convert("detection", "lvis", "validation", tmp_path)
    name = "000000000003.jpg"
    assert list(good) == [f"{name}:ground", f"{name}:box", f"{name}:point"]
    # Half way down the U, the right arm is the wider: x from 30 to 40, y = 25.
    assert turns(good[f"{name}:point"]) == [("What is the object at <546,520>?", "aerosol can")]
    metadata = good[f"{name}:point"].metadata
    assert metadata["answer"] == ["aerosol can", "spray can"] and metadata["kind"] == "point"
    assert bad == {
        "http://images.cocodataset.org/val2017/000000000004.jpg": "a picture without a box"
    }


def test_lvis_never_asks_for_all_where_some_may_lack_a_box(tmp_path):
    FIXTURES["lvis"].make(tmp_path)
    table = coco_tables.coco_table(Source(tmp_path), "lvis_v1_train.json", True)
    picture_row = table.picture(1)
    things = table.annotations(2)
    image = Image(b"", height=48, width=64, role="user")
    for number in range(50):
        turn = detection._turn("aerosol can", things, picture_row, image, f"key {number}")
        assert turn[1] == "aerosol can"


@pytest.mark.parametrize(
    ("published", "clean"),
    [
        ("bow_(decorative_ribbons)", "bow"), ("aerosol_can", "aerosol can"), ("SUV", "SUV"),
        ("Cabinet/shelf", "cabinet or shelf"), ("Other Shoes", "other shoes"), ("CD", "CD"),
        ("Monitor/TV", "monitor or TV"), ("Band_Aid", "band aid"), ("T-shirt", "t-shirt"),
    ],
)  # fmt: skip
def test_categories_are_written_as_people_do(published, clean):
    assert detection.clean_name(published) == clean


@given(seed=st.integers(0, 2**32 - 1), corners=st.integers(3, 12))
def test_a_point_inside_is_inside(seed, corners):
    generator = np.random.default_rng(seed)
    polygon = generator.uniform(0, 100, (corners, 2)).astype(np.float32)
    point = coco_tables.point_inside([polygon.ravel().tolist()])
    # Even-odd rule by another hand: PIL fills crossing polygons so too, on a fine raster.
    mask = PIL.Image.new("1", (1000, 1000))
    PIL.ImageDraw.Draw(mask).polygon([tuple(c) for c in (polygon * 10).tolist()], fill=1)
    inside = np.asarray(mask)
    if point is None:
        assert inside.mean() < 0.05
    else:
        x, y = int(point[0] * 10), int(point[1] * 10)
        assert inside[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3].any()
