"""Benchmarks of one picture (tables 5 and 6): from published files to scores."""

import json

import pytest

from mm15_jax.data.records import open_dataset
from mm15_jax.evaluation import benchmarks, runner
from mm15_jax.evaluation.aggregates import AGGREGATES
from mm15_jax.evaluation.metrics import references_of, score_answer
from mm15_jax.inputs.example import Image, Text
from tests.data.convert.fixtures import prepare_fixture
from tests.data.convert.fixtures.hub_copies import COPIES

CATEGORIES = ("general", "text_rich", "knowledge")
ROWS = [row for row in benchmarks.TABLE if row.suite == "paper" and row.category in CATEGORIES]
NAMES = [row.name for row in ROWS]
RULED = [row.name for row in ROWS if not row.judge]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("benchmarks")
    for row in ROWS:
        [data] = row.data_sets
        prepare_fixture(data.data_set, root / "in" / data.data_set, root / "out")
    return root / "out"


def examples(data_dir, name):
    [data] = benchmarks.find(name).data_sets
    return list(open_dataset(data_dir / data.data_set / data.split))


def truth_of(example):
    return example.segments[-1].text


def wrong_answer(example):
    """Of the form that was asked for, but not true."""
    letters = [chr(ord("A") + i) for i in range(len(example.metadata.get("choices", [])))]
    others = {"Yes": "No", "No": "Yes"}
    truth = truth_of(example)
    if letters:
        return next(letter for letter in letters if letter != truth)
    return others.get(truth, "xyzzy")


class Answerer:
    def __init__(self, answer):
        self.answer = answer

    def fingerprint(self):
        return self.answer.__name__

    def stream(self, examples, *, max_new_tokens, batch_size, stops):
        yield from ((place, self.answer(example)) for place, example in enumerate(examples))


def test_the_three_categories_are_those_of_the_paper():
    by_category = {c: [r.name for r in ROWS if r.category == c] for c in CATEGORIES}
    assert by_category == {
        "general": ["mme", "seed_img", "pope", "llava_w", "mm_vet", "realworldqa"],
        "text_rich": ["wtq", "tabfact", "ocrbench", "chartqa", "textvqa", "docvqa", "infovqa"],
        "knowledge": ["ai2d", "scienceqa", "mmmu", "mathvista"],
    }
    assert [row.name for row in ROWS if row.judge] == ["llava_w", "mm_vet"]


@pytest.mark.parametrize("name", NAMES)
def test_every_example_can_be_asked_and_scored(data_dir, name):
    row, found = benchmarks.find(name), examples(data_dir, name)
    assert found and row.aggregate in AGGREGATES
    for example in found:
        assert example.metadata["metric"] in row.metrics
        assert references_of(example.metadata)
        *prompt, truth = example.segments
        assert {segment.role for segment in prompt} == {"user"}
        assert any(isinstance(segment, Image) for segment in prompt)
        assert isinstance(truth, Text) and truth.role == "assistant"
        assert (example.metadata["metric"] == "judge") == bool(row.judge)
        assert ("judge" in example.metadata) == bool(row.judge)


@pytest.mark.parametrize("name", RULED)
def test_references_and_truth_are_right_and_others_wrong(data_dir, name):
    for example in examples(data_dir, name):
        assert score_answer(truth_of(example), example) == 1, example.key
        assert score_answer(wrong_answer(example), example) == 0, example.key


@pytest.mark.parametrize("name", RULED)
def test_an_answerer_with_the_truth_has_everything_and_a_wrong_one_nothing(
    data_dir, tmp_path, name
):
    for answer, expected in ((truth_of, 100), (wrong_answer, 0)):
        out = tmp_path / answer.__name__
        results = runner.evaluate(Answerer(answer), data_dir, [name], out_dir=out)
        [result] = results.benchmarks
        assert result.score == pytest.approx(expected), result.parts
        assert result.count == len(examples(data_dir, name))
        assert json.loads((out / "scores.json").read_text())["benchmarks"][name]["score"] == (
            pytest.approx(expected)
        )


@pytest.mark.parametrize("name", COPIES)
def test_the_hub_copy_of_a_training_set_is_scored_alike(tmp_path, name):
    prepare_fixture(name, tmp_path / "copy", tmp_path / "out", COPIES[name])
    results = runner.evaluate(Answerer(truth_of), tmp_path / "out", [name], out_dir=tmp_path)
    assert results.benchmarks[0].score == pytest.approx(100)
