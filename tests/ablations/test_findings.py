"""What the paper found, held to results."""

import dataclasses

import numpy as np
import pytest

from mm15_jax.ablations import catalog, findings
from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.findings import FAILS, FINDINGS, HOLDS, NOT_RUN, UNDECIDED, Gain
from mm15_jax.ablations.measures import benchmarks_of
from mm15_jax.ablations.paper_values import paper_value
from mm15_jax.ablations.results import Interval
from tests.ablations.results_made_up import SEEDS, result


def checks():
    return [(finding, check) for finding in FINDINGS for check in finding.checks]


def rows_of(check):
    return [getattr(check, f) for f in ("row", "over", "row_b", "over_b") if hasattr(check, f)]


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda f: f.name)
def test_findings_are_of_rows_and_measures_that_exist(finding):
    for check in finding.checks:
        for scale in check.only or catalog.scales_of(finding.ablation):
            ablation = catalog.find(finding.ablation, scale)
            for row in rows_of(check):
                ablation.row(row)
            asked = set(benchmarks_of(ablation.measures, scale))
            assert asked >= set(benchmarks_of((check.measure,), scale))


def test_the_papers_own_numbers_hold_to_its_findings():
    """Every difference that the paper prints has the sign of the comparison that it stands for."""
    empty = {a: result(a, {}, ()) for a in {f.ablation for f in FINDINGS}}
    contrary = []
    for finding, check in checks():
        found = findings._check(check, empty[finding.ablation]).paper
        if found is None:
            continue
        relation = ">" if isinstance(check, Gain) else check.relation
        wrong = {">": found <= 0, "<": found >= 0, "~": abs(found) > findings.ABOUT}[relation]
        if wrong:
            contrary.append((finding.name, check.row, check.over, check.measure))
    assert contrary == []


def test_what_the_paper_says_of_experts_is_as_its_tables_but_where_our_notes_say():
    """Section 4.1, of averages that no table prints; docs/paper_tables.md has the three."""

    def gains(*categories, over):
        experts = {c: paper_value("moe", "3b", "experts", c) for c in categories}
        return {c: round(experts[c] - paper_value("scaling", "3b", over, c), 2) for c in categories}

    said = gains("general", "refer_ground", "knowledge", "multi_image", over="mm15_7b")
    wanted = {"general": 0.58, "refer_ground": 0.06, "knowledge": -0.42, "multi_image": -0.57}
    assert said == pytest.approx(wanted, abs=0.011)
    assert gains("text_rich", over="mm15_3b")["text_rich"] == pytest.approx(-1.76, abs=0.011)


@pytest.mark.parametrize(
    ("low", "high", "relation", "verdict"),
    [
        (1, 5, ">", HOLDS),
        (-5, -1, ">", FAILS),
        (-1, 5, ">", UNDECIDED),
        (-5, -1, "<", HOLDS),
        (1, 5, "<", FAILS),
        (-1, 1, "~", HOLDS),
        (3, 5, "~", FAILS),
        (-9, -3, "~", FAILS),
        (1, 5, "~", UNDECIDED),
    ],
)
def test_an_interval_decides(low, high, relation, verdict):
    assert findings.verdict_of(Interval((low + high) / 2, low, high, (1,)), relation) == verdict


def text_rich(share):
    names = ("word", "document", "banner", "poster", "chart", "table")
    return {f"mini_{name}_qa": share for name in names}


def verdicts(shares):
    rows = {key: text_rich(share) for key, share in shares.items()}
    found = findings.judge(result("table1", rows, ("text_rich",)))
    return {one.finding.name: one.verdict for one in found}


def test_a_finding_holds_where_all_of_its_comparisons_do():
    assert verdicts({"1": 0.2, "2": 0.5, "3": 0.6})["F1"] == HOLDS
    assert verdicts({"1": 0.5, "2": 0.5, "3": 0.6})["F1"] == UNDECIDED
    assert verdicts({"1": 0.5, "2": 0.2, "3": 0.6})["F1"] == FAILS


def gains(shares, draws=SEEDS):
    """F9, of rows that read pages as well as this."""
    rows = {key: dict.fromkeys(("docvqa", "infovqa"), share) for key, share in shares.items()}
    found = result("table2", rows, ("docvqa", "infovqa"), draws, scale="3b")
    (verdict,) = (one for one in findings.judge(found) if one.finding.name == "F9")
    return found, verdict


@pytest.mark.parametrize(
    ("undecided", "small"), [([(-1, 1)], True), ([(-1, 1), (-1, 3)], False), ([(-1, 3)], False)]
)
def test_a_finding_is_small_where_all_that_leaves_it_undecided_is(undecided, small):
    checks = [findings.Checked("", ">", HOLDS, Interval(10, 5, 15, (1,)), None)]
    for low, high in undecided:
        ours = Interval((low + high) / 2, low, high, (1,))
        checks.append(findings.Checked("", ">", UNDECIDED, ours, None))
    assert findings.Verdict(FINDINGS[0], UNDECIDED, tuple(checks)).is_small == small


def test_a_gain_is_one_difference_over_another():
    found, larger = gains({"8": 0.3, "10": 0.7, "1": 0.4, "3": 0.5})
    assert larger.verdict == HOLDS
    assert gains({"8": 0.4, "10": 0.5, "1": 0.3, "3": 0.7})[1].verdict == FAILS
    assert gains({"8": 0.3, "10": 0.5, "1": 0.4, "3": 0.6})[1].verdict == UNDECIDED
    assert gains({"8": 0.3, "10": 0.7, "1": 0.4})[1].verdict == NOT_RUN
    for check, measure in zip(larger.checks, ("docvqa", "infovqa"), strict=True):
        one, two = found.difference("10", "8", measure), found.difference("3", "1", measure)
        assert check.ours.value == pytest.approx(one.value - two.value)
        # As sure as two differences are that know nothing of each other.
        width = np.hypot(one.high - one.low, two.high - two.low)
        assert check.ours.high - check.ours.low == pytest.approx(width)
        assert check.ours.high + check.ours.low == pytest.approx(2 * check.ours.value)


def test_a_gain_is_known_by_start_and_as_often_as_the_rarer_of_its_differences():
    found, _ = gains({"8": 0.3, "10": 0.7, "1": 0.4, "3": 0.5}, (Draw(0, 0), Draw(1, 0)))
    rows = tuple(
        dataclasses.replace(row, draws={Draw(1, 0): row.draws[Draw(1, 0)]})
        if row.key == "3"
        else row
        for row in found.rows
    )
    (verdict,) = (
        one
        for one in findings.judge(dataclasses.replace(found, rows=rows))
        if one.finding.name == "F9"
    )
    gain = verdict.checks[0].ours
    one, two = (found.difference(*pair, "docvqa").by_start[1] for pair in (("10", "8"), ("3", "1")))
    assert gain.by_start == {1: pytest.approx(one - two)} and gain.seeds == (1,)


def test_a_finding_of_rows_that_have_not_run_is_left_open():
    found = verdicts({"1": 0.2, "2": 0.5})
    assert found["F1"] == found["F5"] == NOT_RUN


def test_every_finding_of_the_recipe_has_a_name():
    assert [finding.name for finding in FINDINGS] == [f"F{n}" for n in range(1, len(FINDINGS) + 1)]
