"""LVIS-Ref, Ferret-Bench and Ferret-UI's elementary tasks, as ml-ferret reads them."""

import pyarrow
import pytest

from mm15_jax.data.convert.ferret_evaluation import clean_names
from mm15_jax.evaluation.metrics import score_answer
from tests.data.convert.converted import convert, turns
from tests.data.convert.fixtures.hub_sets import IMAGE, TEXT, cell, write_rows
from tests.data.convert.fixtures.refer_benchmark_sets import FIXTURES

ASK = "Is the object {} of the image a {} or a {}?"


def made(module, name, root):
    FIXTURES[name].make(root)
    return convert(module, name, "test", root)


def test_lvis_asks_of_boxes_and_points_the_true_name_first_every_other_time(tmp_path):
    good, bad = made("ferret_evaluation", "lvis_ref", tmp_path)
    asked = {key: turns(example)[0] for key, example in good.items()}
    assert asked == {
        "1:box": (ASK.format("<125,125,375,375>", "bow (weapon)", "aerosol can"), "bow (weapon)"),
        "1:point": (ASK.format("<250,250>", "bow (weapon)", "aerosol can"), "bow (weapon)"),
        "2:box": (ASK.format("<125,125,375,375>", "aerosol can", "cup"), "cup"),
        "2:point": (ASK.format("<250,250>", "aerosol can", "cup"), "cup"),
    }
    metadata = good["1:point"].metadata
    assert (metadata["answer"], metadata["metric"]) == (
        ["bow (weapon)", "bow", "weapon"],
        "lvis_name",
    )
    assert (metadata["subset"], metadata["box"]) == ("point", [8, 6, 24, 18])
    missing, size, outside, torn = bad.values()
    assert "000000000006.jpg" in missing and "99 x 48" in size
    assert outside == "the point (70, 9) is outside of its picture" and "JSON" in torn


@pytest.mark.parametrize(
    ("name", "synonyms", "names"),
    [
        ("aerosol_can", ["aerosol_can", "spray_can"], ["aerosol can", "spray can"]),
        ("bow_(weapon)", ["bow_(weapon)"], ["bow (weapon)", "bow", "weapon"]),
        ("cup", [], ["cup"]),
    ],
)
def test_names_of_lvis_are_read_as_its_scorer_does(name, synonyms, names):
    assert clean_names(name, synonyms) == names


def test_ferret_bench_joins_questions_with_context_and_answer(tmp_path):
    good, bad = made("ferret_evaluation", "ferret_bench", tmp_path)
    assert set(good) == {"refer_desc/0", "refer_reason/0", "ground_conv/0"}
    ours = "What is near the object <250,500,750,999>?"
    assert turns(good["refer_desc/0"]) == [(ours, "He <250,500,750,999> is riding a bicycle.")]
    answer = "He [0.250, 0.500, 0.750, 1.000] is riding a bicycle."
    assert good["refer_desc/0"].metadata == {
        "answer": answer,
        "metric": "judge",
        "subset": "refer_desc",
        "judge": {
            "category": "refer_desc",
            "context": "Objects:\nObject 0 : man at [0.250, 0.500, 0.750, 1.000].",
            "question": "What is near the object [0.250, 0.500, 0.750, 1.000]?",
            "reference": answer,
        },
    }
    assert list(bad.values()) == ["question 1 has no line in answer.jsonl"]


def test_ferret_bench_of_the_hub_gives_the_same_questions(tmp_path):
    (tmp_path / "published").mkdir()
    published, _ = made("ferret_evaluation", "ferret_bench", tmp_path / "published")
    columns = {
        "question_id": TEXT, "image_name": TEXT, "image": IMAGE, "category": TEXT,
        "context": TEXT, "question": TEXT, "gpt_answer": TEXT,
    }  # fmt: skip
    rows = [
        {
            "question_id": "0", "image_name": "000000000005.jpg",
            "image": cell(5), "category": category, "context": judge["context"],
            "question": judge["question"], "gpt_answer": judge["reference"],
        }
        for category in ("refer_desc", "refer_reason", "ground_conv")
        for judge in [published[f"{category}/0"].metadata["judge"]]
    ]  # fmt: skip
    rows.append({**rows[0], "category": "poetry"})
    write_rows(tmp_path / "hub/data/test-00000-of-00001.parquet", columns, rows)
    good, bad = convert("ferret_evaluation", "ferret_bench", "test", tmp_path / "hub")
    assert good == published
    (reason,) = bad.values()
    assert "the category 'poetry', expected one of refer_desc" in reason


@pytest.mark.parametrize("platform", ["ios", "android"])
def test_ferret_ui_refers_by_boxes(tmp_path, platform):
    good, bad = made("ferret_ui_evaluation", f"ferret_ui_ref_{platform}", tmp_path)
    asked = turns(good["ocr/0"])
    assert asked == [("What is the ocr of <250,250,500,500>?", "Games")]
    assert turns(good["icon_recognition/1"])[0][1] == "Open"
    assert [score_answer(answer, good["ocr/0"]) for answer in ("games", "Game")] == [1, 0]
    assert {e.metadata["subset"] for e in good.values()} == {
        "ocr", "icon_recognition", "widget_classification",
    }  # fmt: skip
    assert sum("without a label or an answer" in reason for reason in bad.values()) == 3
    assert sum("names places [0], and has 0 boxes" in reason for reason in bad.values()) == 3


@pytest.mark.parametrize("platform", ["ios", "android"])
def test_ferret_ui_grounds_in_pixels_of_the_picture_that_is_there(tmp_path, platform):
    good, bad = made("ferret_ui_evaluation", f"ferret_ui_grd_{platform}", tmp_path)
    example = good["find_text/1"]  # the record is of 128 x 96, the picture has 64 x 48
    assert example.metadata["box"] == [16, 12, 32, 24]
    assert turns(example) == [("Where is the find_text?", "<250,250,500,500>")]
    assert turns(good["find_icons/0"])[0][1] == "<0,0,500,999>"
    assert [score_answer(a, example) for a in ("<250,250,500,500>", "<0,0,200,200>")] == [1, 0]
    assert sum("outside of its picture" in reason for reason in bad.values()) == 3
    assert sum("has not one box" in reason for reason in bad.values()) == 3


REFCOCO = {
    "question_id": TEXT, "image": IMAGE, "question": TEXT, "answer": pyarrow.list_(TEXT),
    "segmentation": pyarrow.list_(pyarrow.float32()), "bbox": pyarrow.list_(pyarrow.float32()),
    "iscrowd": pyarrow.int8(), "file_name": TEXT,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "file", "split"),
    [
        ("refcoco", "testA", "testA"),
        ("refcoco_plus", "testB", "testB"),
        ("refcocog", "test", "test"),
        ("refcoco", "val", "validation"),
    ],
)
def test_refcoco_is_read_from_the_hub_too(tmp_path, name, file, split):
    row = {
        "question_id": "7", "image": cell(), "question": "Describe the area.",
        "answer": ["left  man", "man in red"], "segmentation": [1.0], "iscrowd": 0,
        "bbox": [16.0, 12.0, 16.0, 12.0], "file_name": "COCO_train2014_000000000009_7.jpg",
    }  # fmt: skip
    rows = [row, {**row, "question_id": "8", "bbox": [60.0, 0.0, 30.0, 9.0]}]
    write_rows(tmp_path / f"data/{file}-00000-of-00001.parquet", REFCOCO, rows)
    good, bad = convert("refcoco", name, split, tmp_path)
    first, second = good.values()
    assert turns(first) == [("Give the bounding box of left man.", "<250,250,500,500>")]
    assert turns(second)[0][0] == "Give the bounding box of man in red."
    assert first.metadata["box"] == [16, 12, 32, 24] and first.metadata["metric"] == "iou"
    (reason,) = bad.values()
    assert "outside of its picture" in reason
