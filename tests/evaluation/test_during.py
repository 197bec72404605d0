import json
import shutil

import jax
import numpy as np
import pytest

from mm15_jax.checkpoint import run
from mm15_jax.evaluation.during import DuringTraining
from mm15_jax.evaluation.results import read_scores
from mm15_jax.train.loop import train
from mm15_jax.train.metrics import read_rows
from tests import tiny

DURING = {
    "eval.during.every": 2,
    "eval.during.benchmarks": ("mini_scene_qa", "mini_compare"),
    "eval.during.examples": 3,
    "eval.during.keep_best": "mini_scene_qa",
    "eval.max_new_tokens": 4,
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tiny.prepare_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data_dir):
    """A run whose benchmark scores 10, 30 and 20 at its three evaluations, whatever it answers."""
    run_dir = tmp_path_factory.mktemp("run") / "r"
    config = tiny.experiment(**DURING)
    during, asked = DuringTraining(config, run_dir, data_dir), []

    def evaluator(step, params):
        scores = during(step, params)
        asked.append((step, scores))
        return {**scores, "mini_scene_qa": {2: 10.0, 4: 30.0, 6: 20.0}[step]}

    train(config, run_dir, data_dir, (), evaluator)
    return run_dir, config, asked


def test_scores_stand_beside_losses(trained):
    run_dir, _, asked = trained
    rows = read_rows(run_dir / "metrics.jsonl")
    scored = [row for row in rows if "score/mini_scene_qa" in row]
    assert [row["step"] for row in scored] == [2, 4, 6] == [step for step, _ in asked]
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert {"score/mini_compare", "score/mini/general", "score/mini/multi_image"} <= set(scored[0])


def test_answers_of_each_evaluation_are_kept(trained):
    run_dir, _, asked = trained
    for step, scores in asked:
        results = read_scores(run_dir / "evaluations" / f"{step:08d}", "validation")
        assert {row.name: row.score for row in results.benchmarks}.items() <= scores.items()
        assert [row.count for row in results.benchmarks] == [3, 3]


def test_the_best_parameters_are_kept_beside_the_newest(trained):
    run_dir, config, _ = trained
    kept = json.loads((run_dir / "best.json").read_text())
    assert kept == {"step": 4, "score": "mini_scene_qa", "value": 30.0}
    best = run.load_params(run_dir, config, which="best")
    newest = run.load_params(run_dir, config)
    name = ("decoder", "embedding")
    assert not np.array_equal(best[name[0]][name[1]], newest[name[0]][name[1]])


def test_a_run_that_was_killed_comes_to_its_best_again(trained, tmp_path, data_dir):
    run_dir, config, _ = trained
    shutil.copytree(run_dir, tmp_path / "r")
    shutil.rmtree(tmp_path / "r" / "checkpoints")  # it is as if the first one was under way
    values = {2: 10.0, 4: 30.0, 6: 40.0}
    train(config, tmp_path / "r", data_dir, (), lambda step, _: {"mini_scene_qa": values[step]})
    assert json.loads((tmp_path / "r" / "best.json").read_text())["step"] == 6
    best = run.load_params(tmp_path / "r", config, which="best")
    newest = run.load_params(tmp_path / "r", config)
    jax.tree.map(np.testing.assert_array_equal, best, newest)


def test_evaluation_changes_nothing_of_training(trained, tmp_path, data_dir):
    run_dir, config, _ = trained
    train(config, tmp_path / "alone", data_dir)

    def losses(folder):
        return [r["loss"] for r in read_rows(folder / "metrics.jsonl") if "loss" in r]

    assert losses(tmp_path / "alone") == losses(run_dir)
    with pytest.raises(ValueError, match="kept no best checkpoint"):
        run.load_params(tmp_path / "alone", config, which="best")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eval.during.keep_best": "mini_scene"}, "did you mean 'mini_scene_qa'"),
        ({"eval.during.keep_best": "mini_word_qa"}, "eval.during.keep_best"),
        ({"eval.during.benchmarks": ("mini_word",)}, "did you mean 'mini_word_qa'"),
    ],
)
def test_mistyped_names_are_told_before_training(changes, message, tmp_path, data_dir):
    config = tiny.experiment(**{**DURING, **changes})
    with pytest.raises(ValueError, match=message):
        DuringTraining(config, tmp_path, data_dir)


def test_data_that_is_not_there_is_told_before_training(tmp_path, data_dir):
    config = tiny.experiment(**{**DURING, "eval.during.benchmarks": ("mini_banner_qa",)})
    with pytest.raises(ValueError, match="mini_banner_qa"):
        DuringTraining(config, tmp_path, data_dir)
    with pytest.raises(ValueError, match="does not exist: run `mm15 prepare"):
        DuringTraining(tiny.experiment(**DURING), tmp_path, tmp_path / "none")
