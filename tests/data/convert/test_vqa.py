"""VQAv2, OK-VQA and the {"data": [...]} files, from their published layout."""

import io

import PIL.Image
import pytest

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.text_vqa import upright
from mm15_jax.evaluation.metrics import score_answer
from tests.data.convert.converted import convert, turns
from tests.data.convert.fixtures.vqa_sets import FIXTURES, write_json
from tests.data.convert.pictures import picture

SHORT = prompts.SHORT_ANSWER


def made(module, name, root, split="train"):
    FIXTURES[name].make(root)
    return convert(module, name, split, root)


def test_all_questions_on_a_picture_are_one_dialogue_of_training(tmp_path):
    good, bad = made("vqa", "vqav2", tmp_path)
    assert turns(good["COCO_train2014_000000000009"]) == [
        ("What is 0?" + SHORT, "net 0"),
        ("What is 1?", "net 1"),
    ]
    assert turns(good["COCO_train2014_000000000025"]) == [("What is 2?" + SHORT, "net 2")]
    assert good["COCO_train2014_000000000025"].segments[0].data == picture(shade=25)
    assert list(bad.values()) == ["question 30010 has no annotation"]


def test_held_out_questions_stand_alone_with_ten_answers(tmp_path):
    good, _ = made("vqa", "vqav2", tmp_path, "validation")
    example = good["COCO_val2014_000000000042/42000"]
    assert turns(example) == [("What is 0?" + SHORT, "net 0")]
    assert example.metadata["answer"] == ["net 0", "racket"] * 5
    assert score_answer("net 0", example) == 1.0 and score_answer("bus", example) == 0.0


def test_okvqa_trains_on_what_people_wrote_and_scores_the_stems(tmp_path):
    good, _ = made("vqa", "okvqa", tmp_path)
    assert turns(good["COCO_train2014_000000000025"]) == [("What is 2?" + SHORT, "surfing")]
    held_out, _ = convert("vqa", "okvqa", "validation", tmp_path)
    assert held_out["COCO_val2014_000000000042/42000"].metadata["answer"].count("surf") == 7


def test_questions_without_their_annotations_are_a_users_mistake(tmp_path):
    FIXTURES["vqav2"].make(tmp_path)
    (tmp_path / "v2_mscoco_train2014_annotations.json").unlink()
    with pytest.raises(ValueError, match=r"questions\.json alone; expected vqav2"):
        convert("vqa", "vqav2", "train", tmp_path)


def test_textvqa_pictures_that_lie_are_set_upright_by_the_table(tmp_path):
    good, bad = made("text_vqa", "textvqa", tmp_path)
    straight = good["0054c91397f2fe05/1"].segments[0]
    turned = good["005635e119b9f32f/2"].segments[0]
    assert straight.data == picture(64, 48, shade=40)  # the published bytes
    assert (straight.width, straight.height) == (64, 48)
    assert (turned.width, turned.height) == (48, 64)
    example = good["0054c91397f2fe05/1"]
    assert turns(example) == [("what brand is bottle 1?" + SHORT, "nous les gosses")]
    assert example.metadata["metric"] == "vqa_accuracy" and len(example.metadata["answer"]) == 10
    assert len(bad) == 1 and "ffffffffffffffff" in next(iter(bad.values()))


def test_a_quarter_turn_is_counter_clockwise_and_voids_the_exif_orientation():
    sheet = PIL.Image.new("RGB", (32, 16), (255, 255, 255))
    sheet.paste((0, 0, 0), (24, 0, 32, 8))  # black in the right top corner
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=95, exif=exif)
    with PIL.Image.open(io.BytesIO(upright(buffer.getvalue(), 90))) as turned:
        assert turned.size == (16, 32) and 0x0112 not in turned.getexif()
        assert turned.getpixel((2, 2))[0] < 60 and turned.getpixel((13, 29))[0] > 200


def test_textcaps_gives_one_caption_of_each_picture_and_all_as_references(tmp_path):
    good, bad = made("text_vqa", "textcaps", tmp_path)
    example = good["0054c91397f2fe05"]
    [(question, answer)] = turns(example)
    assert question == prompts.ONE_SENTENCE_CAPTION
    assert answer in example.metadata["answer"] and len(example.metadata["answer"]) == 5
    assert example.metadata["metric"] == "cider"
    assert list(bad.values()) == ["no answer"]


def test_docvqa_finds_its_pictures_wherever_they_were_unpacked(tmp_path):
    good, bad = made("text_vqa", "docvqa", tmp_path)
    assert turns(good["xnbl0037_1/337"]) == [
        ("What is the date mentioned in this letter?" + SHORT, "1/8/93")
    ]
    assert good["xnbl0037_1/338"].metadata["answer"] == ["P. Carter", "p. carter"]
    assert list(bad.values()) == ["no answer"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "spdocvqa_images").rename(elsewhere / "documents")
    (tmp_path / "spdocvqa_qas/train_v1.0_withQT.json").rename(elsewhere / "train_v1.0.json")
    assert len(convert("text_vqa", "docvqa", "train", elsewhere)[0]) == 2


def test_infovqa_answers_of_several_parts_are_joined(tmp_path):
    good, bad = made("text_vqa", "infovqa", tmp_path)
    assert good["37313/65719"].metadata["answer"] == ["north, south", "north, south"]
    assert len(bad) == 1 and "nowhere.jpeg" in next(iter(bad.values()))


def test_stvqa_never_leaves_its_source(tmp_path):
    good, bad = made("text_vqa", "stvqa", tmp_path)
    assert turns(good["coco-text/COCO_train2014_000000209138/11340"])[0][1] == "to New York"
    assert len(bad) == 1 and "leads out of" in next(iter(bad.values()))


def test_a_source_without_any_of_the_files_says_what_it_expected(tmp_path):
    (tmp_path / "readme.md").write_text("x")
    with pytest.raises(ValueError, match=r"has readme\.md; expected docvqa: spdocvqa_qas/train"):
        convert("text_vqa", "docvqa", "train", tmp_path)


def test_splits_that_are_not_there_have_no_parts(tmp_path):
    FIXTURES["stvqa"].make(tmp_path)
    write_json(tmp_path / "TextVQA_0.5.1_val.json", {"data": []})
    assert convert("text_vqa", "textvqa", "train", tmp_path) == ({}, {})
