"""Referring, several pictures, in context, few-shot and screens: from published files to scores."""

import dataclasses

import pytest

from mm15_jax.data.convert.questions import most_common
from mm15_jax.evaluation import benchmarks, runner
from mm15_jax.evaluation.aggregates import AGGREGATES
from mm15_jax.evaluation.categories import average_categories
from mm15_jax.evaluation.metrics import references_of, score_answer
from mm15_jax.evaluation.questions import Questions
from mm15_jax.inputs.example import Image, Text
from tests.data.convert.fixtures import prepare_fixture

CATEGORIES = ("refer_ground", "multi_image", "in_context")
ROWS = [
    row
    for row in benchmarks.TABLE
    if (row.suite == "paper" and row.category in CATEGORIES) or row.suite in ("few_shot", "ui")
]
NAMES = [row.name for row in ROWS]
RULED = [name for name in NAMES if not benchmarks.find(name).judge]
DATA_SETS = sorted({part.data_set for row in ROWS for part in row.data_sets})


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("benchmarks")
    for name in DATA_SETS:
        prepare_fixture(name, root / "in" / name, root / "out")
    return root / "out"


def truth_of(example):
    if example.metadata["metric"] == "vqa_v2_accuracy":  # OK-VQA's references are word stems
        return most_common(example.metadata["answer"])
    return example.segments[-1].text.strip()


def wrong_answer(example):
    """Of the form that was asked for, but not true."""
    letters = [chr(ord("A") + i) for i in range(len(example.metadata.get("choices", [])))]
    others = {"Yes": "No", "No": "Yes", "yes": "no", "no": "yes", "True": "False", "False": "True"}
    truth = truth_of(example)
    if letters:
        return next(letter for letter in letters if letter != truth)
    if "box" in example.metadata:
        return "<0,0,1,1>"
    return others.get(truth, "xyzzy")


class Answerer:
    def __init__(self, answer):
        self.answer = answer

    def fingerprint(self):
        return self.answer.__name__

    def stream(self, examples, *, max_new_tokens, batch_size, stops):
        yield from ((place, self.answer(example)) for place, example in enumerate(examples))


def test_the_categories_are_those_of_the_paper():
    assert [(row.category, row.name) for row in ROWS if row.suite == "paper"] == [
        ("refer_ground", "refcoco"),
        ("refer_ground", "flickr30k"),
        ("refer_ground", "lvis_ref"),
        ("refer_ground", "ferret_bench"),
        ("multi_image", "qbench2"),
        ("multi_image", "mantis_eval"),
        ("multi_image", "nlvr2"),
        ("multi_image", "mvbench"),
        ("multi_image", "blink"),
        ("multi_image", "muirbench"),
        ("in_context", "vl_icl_clevr"),
        ("in_context", "vl_icl_matching_miniimagenet"),
        ("in_context", "vl_icl_open_miniimagenet"),
        ("in_context", "vl_icl_operator_induction"),
        ("in_context", "vl_icl_operator_induction_interleaved"),
        ("in_context", "vl_icl_textocr"),
    ]
    assert [row.name for row in ROWS if row.suite == "ui"] == [
        "screen2words",
        "widget_captioning",
        "taperception",
        "ferret_ui_ref_ios",
        "ferret_ui_ref_android",
        "ferret_ui_grd_ios",
        "ferret_ui_grd_android",
    ]
    few_shot = [row for row in ROWS if row.suite == "few_shot"]
    assert {row.shots for row in few_shot} == {0, 4, 8} and len(few_shot) == 3 * 7
    assert [row.name for row in ROWS if row.judge] == ["ferret_bench"]


def test_averages_are_those_that_the_paper_prints():
    """MM1.5-3B's columns of tables 7 and 9, and its averages of table 4 and of VL-ICL (table 8)."""
    refcoco = AGGREGATES["subset_mean"](
        [
            {"subset": name, "score": score / 100}
            for name, score in zip("abcde", (92.0, 86.1, 87.7, 75.9, 86.4), strict=True)
        ]
    )
    assert refcoco.score == pytest.approx(85.6, abs=0.05)
    in_context = [row.name for row in ROWS if row.category == "in_context"]
    scores = dict(zip(in_context, (33.5, 59.0, 88.0, 48.3, 66.7, 42.5), strict=True))
    found = average_categories(scores)["paper"].scores["in_context"]
    assert found == pytest.approx(56.3, abs=0.05)


@pytest.mark.parametrize("name", NAMES)
def test_every_example_can_be_asked_and_scored(data_dir, name):
    row = benchmarks.find(name)
    assert row.aggregate in AGGREGATES
    for example in Questions(row, data_dir):
        assert example.metadata["metric"] in row.metrics
        assert references_of(example.metadata)
        *prompt, truth = example.segments
        spoken = row.prompt == "chat"
        assert {segment.role for segment in prompt} == {"user" if spoken else "document"}
        assert any(isinstance(segment, Image) for segment in prompt)
        assert isinstance(truth, Text) and truth.role == ("assistant" if spoken else "document")
        assert truth.loss and not any(s.loss for s in prompt if isinstance(s, Text))
        assert sum(isinstance(s, Image) for s in prompt) > row.shots
        assert (example.metadata["metric"] == "judge") == bool(row.judge)
        assert ("judge" in example.metadata) == bool(row.judge)
        if row.aggregate in ("subset_mean", "ferret_bench"):
            assert example.metadata["subset"]


@pytest.mark.parametrize("name", RULED)
def test_an_answerer_with_the_truth_has_everything_and_a_wrong_one_nothing(
    data_dir, tmp_path, name
):
    row = benchmarks.find(name)
    questions = Questions(row, data_dir)
    for answer, expected in ((truth_of, 100), (wrong_answer, 0)):
        out = tmp_path / answer.__name__
        [result] = runner.evaluate(Answerer(answer), data_dir, [name], out_dir=out).benchmarks
        assert result.count == len(questions)
        if row.aggregate == "cider" and expected:
            # Not bounded by 100; of a single picture no word is rare, and the score is 0.
            assert result.score > 50 or len(questions) == 1
        else:
            assert result.score == pytest.approx(expected), result.parts
    for example in questions:
        if row.aggregate != "cider":
            assert score_answer(truth_of(example), example) == 1, example.key
            assert score_answer(wrong_answer(example), example) == 0, example.key


def test_refcoco_has_a_part_for_each_of_its_splits(data_dir, tmp_path):
    def only_test_a(example):
        return truth_of(example) if example.metadata["subset"] == "refcoco_testA" else "none"

    [result] = runner.evaluate(
        Answerer(only_test_a), data_dir, ["refcoco"], out_dir=tmp_path
    ).benchmarks
    assert result.parts == {
        "refcoco_testA": 100,
        "refcoco_testB": 0,
        "refcoco_plus_testA": 0,
        "refcoco_plus_testB": 0,
        "refcocog_test": 0,
    }
    assert result.score == pytest.approx(20)


@pytest.mark.parametrize(
    ("name", "asked"),
    [("coco_4_shot", " A photo of"), ("nocaps_4_shot", " A photo of"), ("okvqa_4_shot", None)],
)
def test_a_shot_is_asked_as_the_question_is(data_dir, name, asked):
    row = dataclasses.replace(benchmarks.find(name), shots=1)
    for example in Questions(row, data_dir):
        first, shown, answer, picture, prompt, truth = example.segments
        assert isinstance(first, Image) and isinstance(picture, Image)
        assert first.data != picture.data and truth.loss and not answer.loss
        for text in (shown.text, prompt.text):
            assert text == (asked or text)
            assert asked or (text.startswith(" Question: ") and text.endswith(" Short answer:"))
