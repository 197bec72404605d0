"""What starts scatter by, and which verdicts it could have brought about."""

import dataclasses

import numpy as np
import pytest

from mm15_jax.ablations import findings, scatter
from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.findings import FAILS, FINDINGS, HOLDS, UNDECIDED, Checked, Verdict
from mm15_jax.ablations.results import Interval
from mm15_jax.ablations.scatter import Scatter
from tests.ablations.results_made_up import result


def compared(differences, relation=">", verdict=HOLDS):
    """A comparison whose questions leave no doubt, by start."""
    value = float(np.mean(differences))
    seeds = (1,) * len(differences)
    ours = Interval(value, value - 0.01, value + 0.01, seeds, dict(enumerate(differences)))
    return Checked("", relation, verdict, ours, None)


def judged(*checks, verdict=HOLDS):
    return Verdict(FINDINGS[0], verdict, checks)


def test_scatter_is_pooled_over_comparisons_of_several_starts():
    """(1 + 1 + 8) / (2 + 1) by hand; one start says nothing, nor does what has not run."""
    not_run = Checked("", ">", findings.NOT_RUN, None, None)
    all_of = [judged(compared([1, 2, 3]), compared([7])), judged(compared([-2, 2]), not_run)]
    found = scatter.learned(all_of)
    assert found.deviation == pytest.approx(np.sqrt((2 + 8) / 3)) and found.freedom == 3
    assert scatter.learned([judged(compared([7]), not_run)]) is None


def test_margins_are_of_students_t():
    """By a printed table of its quantiles: 2.571 of five degrees of freedom, 1.984 of a hundred."""
    assert Scatter(2.0, 5).margin(1) == pytest.approx(2 * 2.571, abs=1e-3)
    assert Scatter(2.0, 100).margin(4) == pytest.approx(1.984, abs=1e-3)


@pytest.mark.parametrize(
    ("differences", "relation", "verdict", "hint"),
    [
        ([2.1], ">", HOLDS, False),
        ([1.9], ">", HOLDS, True),
        ([1.9, 1.9], ">", HOLDS, False),
        ([-2.1], "<", HOLDS, False),
        ([-1.9], ">", FAILS, True),
        ([-2.1], ">", FAILS, False),
        ([0.1], "~", HOLDS, True),  # of one start; about equal is within two points
        ([0.1, -0.1], "~", HOLDS, False),
        ([3.9], "~", FAILS, True),
        ([4.1], "~", FAILS, False),
        ([0.1], ">", UNDECIDED, False),
    ],
)
def test_a_hint_is_what_starts_could_have_brought_about(differences, relation, verdict, hint):
    known = Scatter(1.0, 100)  # 1.98 of one start, 1.40 of two
    found = judged(compared(differences, relation, verdict), verdict=verdict)
    assert scatter.is_hint(found, known) == hint
    assert scatter.is_hint(found, None) == (verdict != UNDECIDED)


def test_all_of_a_finding_must_stand_or_one_of_what_fails():
    known = Scatter(1.0, 100)
    sure, unsure = compared([9]), compared([1])
    assert not scatter.is_hint(judged(sure, sure), known)
    assert scatter.is_hint(judged(sure, unsure), known)
    failed, hardly = compared([-9], verdict=FAILS), compared([-1], verdict=FAILS)
    assert not scatter.is_hint(judged(sure, failed, hardly, verdict=FAILS), known)
    assert scatter.is_hint(judged(sure, hardly, verdict=FAILS), known)


def test_differences_are_known_by_start():
    """Seeds of one start count as that start, with their mean."""
    rows = {"1": {"mini_scene_qa": 0.4}, "4": {"mini_scene_qa": 0.6}}
    draws = (Draw(0, 0), Draw(0, 1), Draw(2, 0))
    found = result("table3", rows, ("general",), draws)
    difference = found.difference("4", "1", "general")
    each = [found.score("4", "general", draw) - found.score("1", "general", draw) for draw in draws]
    assert difference.by_start == pytest.approx({0: np.mean(each[:2]), 2: each[2]})
    assert difference.value == pytest.approx(np.mean(list(difference.by_start.values())))


def test_verdicts_that_are_no_hint_are_seldom_wrong():
    """Fifty comparisons of no difference at all, of two starts, a hundred times: 5 in 100."""
    rng = np.random.default_rng(0)
    said = []
    for _ in range(100):
        checks = [compared(rng.normal(scale=1.7, size=2)) for _ in range(50)]
        known = scatter.learned([judged(*checks)])
        for check in checks:
            verdict = HOLDS if check.ours.value > 0 else FAILS
            told = judged(dataclasses.replace(check, verdict=verdict), verdict=verdict)
            said.append(not scatter.is_hint(told, known))
    assert 0.04 < np.mean(said) < 0.06
