"""Dialogues in LLaVA's format, from their published files."""

import dataclasses
import json
import re

import pytest

from mm15_jax.data.convert import dialogue, llava
from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Image, Text
from tests.data.convert.converted import convert, texts, turns
from tests.data.convert.fixtures.llava_sets import FIXTURES
from tests.data.convert.pictures import picture, write


def made(name, root, split="train"):
    """Good examples by id, and reasons of the bad."""
    FIXTURES[name].make(root)
    good, bad = convert("llava", name, split, root)
    return {key.partition(":")[0]: example for key, example in good.items()}, bad


def shown(example):
    """Texts as they are, pictures as [shade]."""
    return [s.text if isinstance(s, Text) else shade(s) for s in example.segments]


def shade(image):
    """The number of a picture in `write_pictures`."""
    return next(i for i in range(6) if picture(shade=10 + 20 * i) == image.data)


@pytest.mark.parametrize("name", FIXTURES)
def test_counts(tmp_path, name):
    FIXTURES[name].make(tmp_path)
    for split, count in FIXTURES[name].records.items():
        good, bad = convert("llava", name, split, tmp_path)
        assert (len(good), len(bad)) == (count, FIXTURES[name].bad.get(split, 0)), (split, bad)


def test_the_picture_stands_before_its_question(tmp_path):
    FIXTURES["llava_conversation"].make(tmp_path)
    good, bad = convert("llava", "llava_conversation", "train", tmp_path)
    first, second = good.values()  # the same id twice: two keys
    assert turns(first) == [("What colour?", "Red."), ("Why?", "Paint.")]
    assert turns(second) == [("Is it a bus?", "It is.")]
    image = first.segments[0]
    assert (image.width, image.height, image.role) == (64, 48, "user")
    ((place, reason),) = bad.items()
    assert place.startswith("conversation_58k.json[") and place.endswith("#2")
    assert "train2017/000000999999.jpg" in reason


def test_coco_of_2014_serves_too(tmp_path):
    FIXTURES["llava_detail"].make(tmp_path)
    (tmp_path / "train2017").rename(tmp_path / "train2014")
    old, new = "000000033471.jpg", "COCO_train2014_000000033471.jpg"
    (tmp_path / "train2014" / old).rename(tmp_path / "train2014" / new)
    assert len(convert("llava", "llava_detail", "train", tmp_path)[0]) == 2


def test_text_without_a_picture_keeps_the_word_image(tmp_path):
    good, bad = made("llava_v1_5_mix665k", tmp_path)
    assert texts(good["wqFyDvX_0"]) == [
        ("user", "Write <image> in HTML."),
        ("assistant", '<img src="x">'),
    ]
    assert shown(good["1"]) == [1, "What is it?\nAnswer in a word.", "Thing 1", "Sure?", "Yes"]
    assert shown(good["7"])[0] == 4
    reasons = list(bad.values())
    assert reasons == [
        "turn 1, the assistant's, is empty",
        "2 times <image> for 1 pictures",
    ]


@pytest.mark.parametrize("name", ["llava_pretrain", "sharegpt4v_pretrain", "llava_recap"])
def test_captions_are_documents(tmp_path, name):
    good, _ = made(name, tmp_path)
    image, caption = next(iter(good.values())).segments
    assert isinstance(image, Image) and image.role == caption.role == "document"
    assert caption.loss and caption.text == caption.text.strip()


def test_a_torn_picture_in_parquet_is_named(tmp_path):
    good, bad = made("llava_recap", tmp_path)
    assert shown(good["002239345"]) == [1, "A very long text on 002239345."]
    assert list(bad) == ["data/train-00001-of-00002.parquet#0"]
    assert "picture is not readable" in bad["data/train-00001-of-00002.parquet#0"]


def test_places_of_ferret_are_written_in_our_coordinates(tmp_path):
    good, bad = made("ferret_grit", tmp_path)
    questions = set()
    for number in range(8):
        found = turns(good[str(number)])
        # Boxes reach to the last pixel of the picture, as Ferret clips them.
        answer = "A cat <100,100,300,500> and a dog <0,500,995,990>."
        assert [found[0][1], found[1]] == [answer, ("Sure?", "Yes.")]
        questions.add(found[0][0])
    assert questions == {
        "What is <100,100,300,500>, and what is beside it?",
        "What is <200,300>, and what is beside it?",
    }
    assert turns(good["36979"]) == [("Who?", "He <100,100,300,500>.")]
    assert [re.sub(r"\[[\d, ]+]", "[]", reason) for reason in bad.values()] == [
        "the turn names places [], and has 1 boxes",
        "the box [] is empty inside its picture of 200 x 100",
        "boxes, and image_w is 0, expected pixels",
    ]


@pytest.mark.parametrize(
    ("width", "height", "good"), [(64, 48, 1), (640, 480, 1), (65, 48, 1), (48, 64, 0), (64, 64, 0)]
)
def test_boxes_of_a_picture_of_another_shape_are_refused(tmp_path, width, height, good):
    write(tmp_path / "a.jpg", picture(64, 48))
    record = {
        "id": 1,
        "image": "a.jpg",
        "image_w": width,
        "image_h": height,
        "box_x1y1x2y2": [[], [[1, 2, 30, 40]]],
        "conversations": [
            {"from": "human", "value": "<image>\nWhere?"},
            {"from": "gpt", "value": "<bbox_location0>"},
        ],
    }
    write(tmp_path / "train.json", json.dumps([record]))
    found, bad = convert("llava", "llava_json", "train", tmp_path)
    assert len(found) == good
    assert not bad if good else "another shape" in next(iter(bad.values()))


def test_a_cut_picture_is_bad(tmp_path):
    write(tmp_path / "a.jpg", picture()[:-30])
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A wall."}]
    record = {"id": 1, "image": "a.jpg", "conversations": turns}
    write(tmp_path / "phone_features.json", json.dumps([record]))  # no schema of TFDS
    found, bad = convert("llava", "llava_json", "train", tmp_path)
    assert not found and "damaged or cut short" in next(iter(bad.values()))


def test_boxes_of_a_screen_are_relative_to_the_annotated_size(tmp_path):
    good, _ = made("ferret_ui", tmp_path)  # its picture is a tenth of the annotated size
    assert turns(good["1"]) == [("Where is the button?", "It is <380,206,591,249>.")]
    ((question, answer),) = turns(good["0"])
    place = re.fullmatch(r"What's the UI type of the widget (<[\d,]+>)\?", question)
    assert place and place[1] in ("<380,206,591,249>", "<485,228>") and answer == "Button"
    assert turns(good["2"]) == [("Describe the screen.", "A list.")]


def test_pictures_of_mantis_stay_in_their_sentence(tmp_path):
    good, bad = made("mantis", tmp_path)
    assert shown(good["dream_sim_0"]) == [
        "If ", 0, " is the reference image, is ", 1, " or ", 2, " more similar?", "Image 2"
    ]  # fmt: skip
    assert all(segment.role == "user" for segment in good["dream_sim_0"].segments[:-1])
    assert shown(good["b2w_0"]) == [0, " What bird?", "A gull"]
    assert shown(good["b2w_1"]) == ["Hi", "Ho"]
    assert list(bad.values()) == ["2 times <image> for 1 pictures"]
    good, _ = convert("llava", "mantis", "validation", tmp_path)
    assert [key.partition(":")[0] for key in good] == ["b2w_0"]


def test_interleaved_sets_have_lists_of_pictures(tmp_path):
    good, bad = made("m4_instruct", tmp_path)
    assert shown(good["0"]) == [0, 1, "What was edited?", "The sky."]
    assert shown(good["2"])[:2] == [1, 0]
    assert list(bad.values()) == ["2 times <image> for 3 pictures"]
    good, _ = made("icl_instruct", tmp_path)
    assert shown(good["b"]) == [0, " is 1, ", 1, " is", "2"]


def test_your_own_files_are_split_by_their_names(tmp_path):
    good, bad = made("llava_json", tmp_path)
    assert shown(good["a"]) == ["What?", 0, "An a."]  # the picture stays where you put it
    assert shown(good["b"]) == [0, 1, "Compare them.", "b."]  # none is placed: all first
    assert shown(good["c"]) == ["Hi", "Ho"]
    ((place, reason),) = bad.items()
    assert place.startswith("more.jsonl@") and reason.startswith("a line that is not JSON")
    good, _ = convert("llava", "llava_json", "validation", tmp_path)
    assert [key.partition(":")[0] for key in good] == ["v"]
    assert convert("llava", "llava_json", "test", tmp_path) == ({}, {})


def test_an_example_does_not_depend_on_the_part_it_is_in(tmp_path, monkeypatch):
    good, _ = made("ferret_grit", tmp_path)
    again = convert("llava", "ferret_grit", "train", tmp_path)[0]
    assert list(again.values()) == [
        dataclasses.replace(example, key=key)
        for key, example in zip(again, good.values(), strict=True)
    ]


def test_a_source_without_the_files_is_told_what_is_expected(tmp_path):
    (tmp_path / "readme.txt").write_text("x")
    by_name = {preparation.name: preparation for preparation in llava.PREPARATIONS}
    with pytest.raises(
        ValueError, match=r"has readme.txt; expected llava_conversation: conversation_58k.json"
    ):
        by_name["llava_conversation"].parts("train", Source(tmp_path))


def test_a_picture_outside_of_the_source_is_refused(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(picture())
    for name in ("../secret.jpg", str(tmp_path / "secret.jpg")):
        row = next(row for row in llava.SETS if row.name == "llava_json")
        (tmp_path / "in").mkdir(exist_ok=True)
        record = {"id": 1, "image": name, "conversations": [["human", "a"]]}
        record["conversations"] = [
            {"from": "human", "value": "<image>"},
            {"from": "gpt", "value": "b"},
        ]
        with pytest.raises(DataError, match="leads out of"):
            llava.example_of(row, Source(tmp_path / "in"), "place", record)


@pytest.mark.parametrize(
    ("turns", "reason"),
    [
        ([], "without a question and its answer"),
        ([{"from": "human", "value": "a"}], "without a question and its answer"),
        ([{"from": "human", "value": "a"}] * 2 + [{"from": "gpt", "value": "b"}], "turn 1 is the"),
        ([{"from": "bing", "value": "a"}], "a turn of 'bing'"),
        ([{"from": "human", "value": 3}], "a turn of 'human' is int"),
        (["a"], "expected an object"),
        ([{"value": "a"}], "without `from` or `role`"),
    ],
)
def test_damaged_dialogues_are_refused(turns, reason):
    with pytest.raises(DataError, match=reason):
        dialogue.turns_of({"conversations": turns})


def test_boxes_stay_with_their_turns_where_other_turns_are_left_out():
    said = (("gpt", "Hello <bbox_location0>."), ("human", "What is it?"))
    said += (("gpt", "A fox <bbox_location0>."), ("human", "And <bbox_location0>?"))
    record = {
        "conversations": [{"from": speaker, "value": text} for speaker, text in said],
        "image_w": 100,
        "image_h": 100,
        "box_x1y1x2y2": [[[0, 0, 10, 10]], [], [[50, 50, 60, 60]], [[20, 20, 30, 30]]],
    }
    example = llava.example_of(llava.OWN, None, "a.json#0", record)
    assert [segment.text for segment in example.segments] == [
        "What is it?",
        "A fox <500,500,600,600>.",
    ]


def test_a_system_prompt_and_a_picture_in_an_answer_keep_their_roles():
    record = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Draw a cat."},
            {"role": "assistant", "content": "Here: <image>"},
        ]
    }
    image = Image(b"x", 1, 1, role="user")
    segments = dialogue.picture_segments(dialogue.turns_of(record), [image], in_place=True)
    assert [segment.role for segment in segments] == ["system", "user", "assistant", "assistant"]
    assert [s.loss for s in segments if isinstance(s, Text)] == [False, False, True]
