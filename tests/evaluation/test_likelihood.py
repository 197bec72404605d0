"""How likely right answers are: which benchmarks have it, what is kept of it."""

import dataclasses
import json
import math

import pytest

from mm15_jax.data import miniature
from mm15_jax.data.records import write_dataset
from mm15_jax.evaluation import benchmarks, likelihood, runner
from mm15_jax.evaluation.results import read_scores
from mm15_jax.infer.generate import Generator
from mm15_jax.infer.score import answer_prompt, score_prompts
from mm15_jax.inputs.example import Text
from mm15_jax.train.metrics import read_rows
from tests.infer import small

NAMES = ["mini_scene_qa", "mini_grounding"]
COUNT = 6


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    for name in NAMES:
        made = miniature.SETS[name].examples("test", range(COUNT))
        write_dataset(directory / name / "test", made)
    return directory


@pytest.fixture(scope="module")
def generator():
    model = small.model()
    return Generator(small.params(model), model, small.inputs(), small.LetterTokenizer())


@pytest.fixture(scope="module")
def right(generator):
    """Of each question of mini_scene_qa."""
    examples = list(miniature.SETS["mini_scene_qa"].examples("test", range(COUNT)))
    prompts = [answer_prompt(generator, e, index=i) for i, e in enumerate(examples)]
    return [score.log_probability for score in score_prompts(generator, prompts)]


def run(generator, data_dir, out_dir, **options):
    options = {"likelihoods": True, "baselines": {}, "max_new_tokens": 4, **options}
    found = runner.evaluate(generator, data_dir, NAMES, out_dir=out_dir, **options)
    return {row.name: row for row in found.benchmarks}


def rows_of(out_dir, name="mini_scene_qa"):
    return read_rows(out_dir / "eval" / f"{name}.jsonl")


@pytest.fixture
def counted(monkeypatch):
    """How many answers were scored in each call."""
    counts = []

    def score(generator, examples, *, batch_size):
        counts.append(len(examples))
        return one(generator, examples, batch_size=batch_size)

    one = likelihood.log_probabilities
    monkeypatch.setattr(likelihood, "log_probabilities", score)
    return counts


def test_a_likelihood_is_the_mean_probability_of_the_right_answers(
    generator, data_dir, right, tmp_path
):
    found = run(generator, data_dir, tmp_path)
    logs = [row["log_probability"] for row in rows_of(tmp_path)]
    assert logs == pytest.approx(right, abs=1e-4)
    mean = 100 * sum(map(math.exp, logs)) / COUNT
    assert found["mini_scene_qa"].likelihood == pytest.approx(mean)
    assert found["mini_scene_qa"].likelihood_error > 0
    assert read_scores(tmp_path).benchmarks[0].likelihood == pytest.approx(mean)


def test_one_box_of_thousands_has_none(generator, data_dir, tmp_path):
    found = run(generator, data_dir, tmp_path)
    assert found["mini_grounding"].likelihood is None
    assert not any("log_probability" in row for row in rows_of(tmp_path, "mini_grounding"))
    named = {
        name: benchmarks.find(name) for name in ("docvqa", "pope", "mme", "llava_w", "refcoco")
    }
    assert [name for name, row in named.items() if likelihood.has_likelihood(row)] == ["docvqa"]


def test_what_is_known_stays_and_is_not_found_out_again(generator, data_dir, tmp_path, counted):
    first = run(generator, data_dir, tmp_path, likelihoods=False)
    assert first["mini_scene_qa"].likelihood is None and sum(counted) == 0
    few = run(generator, data_dir, tmp_path, limit=2)["mini_scene_qa"]
    assert sum(counted) == 2 and few.count == COUNT  # of more questions, so it stays
    assert few.likelihood is None
    known = run(generator, data_dir, tmp_path)["mini_scene_qa"].likelihood
    assert sum(counted) == COUNT and known is not None
    assert run(generator, data_dir, tmp_path)["mini_scene_qa"].likelihood == known
    assert (
        run(generator, data_dir, tmp_path, likelihoods=False)["mini_scene_qa"].likelihood == known
    )
    assert sum(counted) == COUNT


def test_what_was_found_before_a_stop_is_kept(generator, data_dir, tmp_path, monkeypatch, right):
    def stopped(generator, examples, *, batch_size):
        yield from zip(range(4), right, strict=False)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(likelihood, "log_probabilities", stopped)
        run(generator, data_dir, tmp_path)
    asked = []
    one = likelihood.log_probabilities

    def rest(generator, examples, *, batch_size):
        asked.extend(example.key for example in examples)
        return one(generator, examples, batch_size=batch_size)

    monkeypatch.setattr(likelihood, "log_probabilities", rest)
    found = run(generator, data_dir, tmp_path)
    rows = rows_of(tmp_path)
    assert asked == [row["key"] for row in rows[4:]] and len(rows) == COUNT
    assert [row["log_probability"] for row in rows] == pytest.approx(right, abs=1e-4)
    assert found["mini_scene_qa"].answered == 0


def test_another_models_likelihoods_are_not_taken(generator, data_dir, tmp_path, counted):
    run(generator, data_dir, tmp_path)
    params = small.params(generator.model)
    params["decoder"]["embedding"] = params["decoder"]["embedding"] * 1.1
    other = Generator(params, generator.model, generator.inputs, generator.tokenizer)
    before = [row["log_probability"] for row in rows_of(tmp_path)]
    run(other, data_dir, tmp_path)
    assert sum(counted) == 2 * COUNT
    assert all(
        row["log_probability"] != was for row, was in zip(rows_of(tmp_path), before, strict=True)
    )


def test_an_answer_that_is_in_the_metadata_alone_is_scored(generator):
    (example,) = miniature.SETS["mini_scene_qa"].examples("test", range(1))
    asked = [s for s in example.segments if not (isinstance(s, Text) and s.loss)]
    bare = dataclasses.replace(example, segments=tuple(asked))
    pair = list(likelihood.log_probabilities(generator, [example, bare], batch_size=2))
    assert pair[0][1] == pytest.approx(pair[1][1], abs=1e-5)


def test_the_table_has_a_column_where_likelihoods_are_known(generator, data_dir, tmp_path, capsys):
    from mm15_jax.evaluation.score_table import print_scores

    run(generator, data_dir, tmp_path, likelihoods=False)
    print_scores(read_scores(tmp_path))
    assert "likelihood" not in capsys.readouterr().out
    found = run(generator, data_dir, tmp_path)["mini_scene_qa"]
    print_scores(read_scores(tmp_path))
    said = capsys.readouterr().out
    assert "likelihood" in said
    (line,) = [line for line in said.splitlines() if "mini_scene_qa" in line]
    assert line.split()[-1] == f"{found.likelihood:.1f}"
    (line,) = [line for line in said.splitlines() if "mini_grounding" in line]
    assert line.split()[-2:] == [str(COUNT), "-"]
    assert (
        "likelihood_error"
        in json.loads((tmp_path / "scores.json").read_text())["benchmarks"]["mini_scene_qa"]
    )
