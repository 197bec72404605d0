"""Scores of rows, and how sure a difference is."""

import dataclasses
import json
import math

import numpy as np
import pytest

from mm15_jax.ablations import catalog, result_files, results
from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.results import Cell, Result, RowResult
from mm15_jax.ablations.runs import plan
from mm15_jax.ablations.tasks import Task, tasks_of
from mm15_jax.evaluation.results import BenchmarkResult, Results
from tests.ablations.results_made_up import SEEDS, result, with_likelihoods

MEASURES = ("general", "multi_image", "average_of_five")


def pair(first, second, draws=SEEDS):
    rows = {"a": {"mini_scene_qa": first}, "b": {"mini_scene_qa": second}}
    return result("fig8", rows, MEASURES, draws)


def of_scores(scores, questions=50):
    """A result of one row: draw -> score, which every question has."""
    draws = {
        draw: {"mini_scene_qa": Cell(s, 0.0, {}, np.full(questions, s / 100, np.float32))}
        for draw, s in scores.items()
    }
    row = RowResult("a", "", 0, "", draws)
    return Result("x", "nano", (), ("general",), (row,), questions, {})


def test_a_score_is_the_mean_over_seeds():
    found = pair(0.5, 0.7)
    each = [found.score("a", "general", draw) for draw in SEEDS]
    assert found.score("a", "general") == pytest.approx(np.mean(each))
    assert 40 < found.score("a", "general") < 60
    assert found.score("a", "multi_image") is None
    assert found.score("a", "average_of_five") is None  # of one category is no average
    assert found.difference("a", "b", "average_of_five") is None


def test_a_score_of_more_questions_is_read_as_of_those_that_were_wanted(tmp_path):
    """`mm15 eval` keeps the score of a whole benchmark where another call asks a part of it."""
    found = BenchmarkResult("mini_word_qa", "text_rich", "mini", "", 50.0, 1.0, 4, 0.0, 0.0, 0)
    text = json.dumps(Results((found,), "test", "m").to_json())
    (tmp_path / "scores.json").write_text(text)
    (tmp_path / "eval").mkdir()
    lines = "".join(json.dumps({"score": score}) + "\n" for score in (1, 1, 0, 0))
    (tmp_path / "eval" / "mini_word_qa.jsonl").write_text(lines)
    for examples, score in ((0, 50.0), (4, 50.0), (9, 50.0), (3, 200 / 3)):
        (cell,) = results._cells(tmp_path, ["mini_word_qa"], examples).values()
        assert cell.score == pytest.approx(score)
        assert len(cell.questions) == min(examples or 4, 4)
    (tmp_path / "eval" / "mini_word_qa.jsonl").write_text(lines[:20])  # a torn line is none
    with pytest.raises(ValueError, match=r"mini_word_qa.jsonl has 1 answers of the 4 .*asked.json"):
        results._cells(tmp_path, ["mini_word_qa"], 0)


def test_likelihoods_are_read_beside_scores(tmp_path):
    row = BenchmarkResult("mini_word_qa", "text_rich", "mini", "", 50.0, 1.0, 2, 0.0, 0.0, 0)
    found = dataclasses.replace(row, likelihood=37.5, likelihood_error=2.0)
    text = json.dumps(Results((found,), "test", "m").to_json())
    (tmp_path / "scores.json").write_text(text)
    (tmp_path / "eval").mkdir()
    lines = ((1, math.log(0.5)), (0, math.log(0.25)))
    (tmp_path / "eval" / "mini_word_qa.jsonl").write_text(
        "".join(json.dumps({"score": s, "log_probability": log}) + "\n" for s, log in lines)
    )
    for examples, score, likelihood in ((0, 50.0, 37.5), (1, 100.0, 50.0)):
        (cell,) = results._cells(tmp_path, ["mini_word_qa"], examples).values()
        assert cell.score == pytest.approx(score)
        assert cell.likelihood.score == pytest.approx(likelihood)
    assert cell.likelihood.questions == pytest.approx([0.5])


def test_by_likelihood_are_the_draws_of_which_it_is_known():
    found = pair(0.5, 0.7)
    assert found.by_likelihood.rows == ()
    likely = with_likelihoods(found, {"a": 0.3, "b": 0.25}, SEEDS[:1]).by_likelihood
    assert likely.draws == SEEDS[:1]
    difference = likely.difference("b", "a", "general")
    assert difference.value == pytest.approx(-5) and difference.high < -4.99
    alone = with_likelihoods(found, {"a": 0.3}).by_likelihood
    assert alone.has("a") and not alone.has("b")


def test_boxes_keep_their_scores_where_other_answers_have_likelihoods():
    rows = {"a": {"mini_grounding": 0.5, "mini_referring": 0.5}}
    found = with_likelihoods(result("fig8", rows, ("refer_ground",)), {"a": 0.2})
    own = found.score("a", "mini_grounding")
    likely = found.by_likelihood
    assert likely.score("a", "mini_grounding") == own
    assert likely.score("a", "refer_ground") == pytest.approx((own + 20) / 2)


def test_rows_of_one_content_have_one_runs_answers(tmp_path, monkeypatch):
    """Both sweeps of figure 7 begin in the same mixture: one run, two rows."""
    monkeypatch.setattr(Task, "has_answers", lambda self: True)
    monkeypatch.setattr(results, "_cells", lambda folder, *_: {"mini_scene_qa": folder.name})
    work = plan(catalog.find("fig7", "nano"), rows=["text_0", "multi_image_0", "text_0.1"])
    tasks = tasks_of(work, tmp_path)
    assert len([task for task in tasks if task.asked]) == 2
    rows = results.collect(work, tasks, {}).rows
    assert [row.key for row in rows] == ["text_0", "text_0.1", "multi_image_0"]
    answers = [row.draws[Draw(0, 0)]["mini_scene_qa"] for row in rows]
    assert answers[0] == answers[2] == "fig5_text_rich_nano" != answers[1]


def test_a_paired_difference_is_surer_than_two_scores():
    found = pair(0.5, 0.55)
    difference = found.difference("b", "a", "general")
    assert difference.low < difference.value < difference.high
    alone = np.hypot(found.error("a", "general"), found.error("b", "general"))
    assert difference.high - difference.low < 2 * 1.96 * alone
    assert difference.low > 0


def test_rows_that_are_the_same_do_not_differ():
    found = pair(0.6, 0.6)
    difference = found.difference("a", "b", "general")
    assert difference.value == difference.low == difference.high == 0


def test_the_bootstrap_of_one_seed_has_the_binomial_error():
    found = pair(0.5, 0.5, draws=SEEDS[:1])
    assert found.error("a", "general") == pytest.approx(100 * 0.5 / 400**0.5, rel=0.1)


@pytest.mark.parametrize("scores", [(40, 50), (40, 50, 54), (40, 50, 54, 44, 47)])
def test_seeds_vary_as_their_standard_error(scores):
    """Where every question of a seed has one score, only seeds make a difference."""
    found = of_scores({Draw(0, seed): score for seed, score in enumerate(scores)})
    expected = np.std(scores, ddof=1) / len(scores) ** 0.5
    assert found.error("a", "general") == pytest.approx(expected, rel=0.05)


def test_starts_count_alike_whatever_seeds_they_have():
    found = of_scores({Draw(0, 0): 40, Draw(0, 1): 44, Draw(0, 2): 48, Draw(1, 0): 54})
    assert found.score("a", "general") == pytest.approx((44 + 54) / 2)
    assert found.score("a", "general", Draw(0, 2)) == pytest.approx(48)


@pytest.mark.parametrize("scores", [(40, 50), (40, 50, 54), (40, 50, 54, 44, 47)])
def test_starts_vary_as_their_standard_error_whatever_seeds_they_have(scores):
    draws = {
        Draw(start, seed): score + seed - 1.0  # seeds of a start are one apart
        for start, score in enumerate(scores)
        for seed in range(3)
    }
    expected = np.std(scores, ddof=1) / len(scores) ** 0.5
    assert of_scores(draws).error("a", "general") == pytest.approx(expected, rel=0.05)


def test_a_difference_of_one_start_is_undecided_where_another_start_turns_it_round():
    """Eight seeds of one start agree; the other start's one says the opposite."""
    first = [Draw(0, seed) for seed in range(8)]
    high, low = (
        of_scores(dict.fromkeys(first, a) | {Draw(1, 0): b}).rows[0].draws
        for a, b in ((44, 41), (42, 43))
    )
    rows = (RowResult("a", "", 0, "", high), RowResult("b", "", 0, "", low))
    found = Result("x", "nano", (), ("general",), rows, 50, {}).difference("a", "b", "general")
    assert found.value == pytest.approx(0) and found.low < -1.5 and found.high > 1.5
    assert found.seeds == (8, 1)


def test_a_benchmark_that_is_no_mean_has_its_own_error():
    cells = {"widget_captioning": Cell(50.0, 3.0, {}, np.zeros(0, np.float32))}
    rows = tuple(RowResult(key, key, 0.0, "", {Draw(0, 0): cells}) for key in "ab")
    found = Result("x", "3b", (), ("widget_captioning",), rows, 10, {})
    assert found.error("a", "widget_captioning") == pytest.approx(3.0, rel=0.1)
    difference = found.difference("a", "b", "widget_captioning")
    assert difference.high - difference.low == pytest.approx(2 * 1.96 * 3 * 2**0.5, rel=0.1)


def test_the_papers_averages_are_taken_in_its_units():
    """MME's parts make General, and an error of the whole is one of the average."""
    scores = {"seed_img": 70.0, "pope": 80.0, "llava_w": 60.0, "mm_vet": 40.0, "realworldqa": 50.0}
    cells = {name: Cell(score, 0.0, {}, np.zeros(0, np.float32)) for name, score in scores.items()}
    parts = {"perception": 1400.0, "cognition": 280.0}
    cells["mme"] = Cell(60.0, 3.0, parts, np.zeros(0, np.float32))
    found = Result(
        "fig5", "3b", (), ("general",), (RowResult("a", "a", 0, "", {Draw(0, 0): cells}),), 1, {}
    )
    assert found.score("a", "general") == pytest.approx(60.0)
    assert found.error("a", "general") == pytest.approx(3.0 / 6, rel=0.1)


def test_only_draws_that_both_rows_have_are_compared():
    found = pair(0.5, 0.7)
    first, second = found.rows
    cut = RowResult("b", "", 0.0, "", {SEEDS[1]: second.draws[SEEDS[1]]})
    found = Result("fig8", "nano", (), MEASURES, (first, cut), 400, {})
    difference = found.difference("b", "a", "general")
    assert difference.value == pytest.approx(
        found.score("b", "general", SEEDS[1]) - found.score("a", "general", SEEDS[1])
    )


def test_what_is_saved_is_read_again(tmp_path):
    found = pair(0.5, 0.7)
    result_files.save(found, tmp_path)
    read = result_files.read(tmp_path, "fig8", "nano")
    assert read.score("b", "general") == pytest.approx(found.score("b", "general"), abs=1e-3)
    before, after = (r.difference("b", "a", "general") for r in (found, read))
    assert (after.low, after.high) == pytest.approx((before.low, before.high), abs=0.01)
    assert (read.commands, read.versions, read.measures) == (
        found.commands,
        found.versions,
        found.measures,
    )
    assert read.by_likelihood.rows == ()
    result_files.save(with_likelihoods(found, {"a": 0.3, "b": 0.001}), tmp_path)
    likely = result_files.read(tmp_path, "fig8", "nano").by_likelihood
    assert likely.score("a", "general") == pytest.approx(30, abs=1e-3)
    cell = likely.row("b").draws[SEEDS[1]]["mini_scene_qa"]
    assert cell.questions == pytest.approx(0.001, abs=1e-5)
    with pytest.raises(ValueError, match="no result of fig7"):
        result_files.read(tmp_path, "fig7", "nano")


def test_an_unknown_row_is_told():
    with pytest.raises(ValueError, match="did you mean 'a'"):
        pair(0.5, 0.5).score("aa", "general")
