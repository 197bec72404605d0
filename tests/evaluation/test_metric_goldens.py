"""Metrics and aggregates against scorers that nobody here wrote (oracles/, docs/metrics.md).

The fast tests have their answers in goldens/metrics.json. Those marked `oracle` ask the scorers
themselves about other cases, in the environment that oracles/setup.sh makes.
"""

import json
import os
import pathlib
import re

import pytest

from mm15_jax.evaluation import oracles
from mm15_jax.evaluation.aggregates import AGGREGATES
from mm15_jax.evaluation.metrics import METRICS
from tests.evaluation.oracles.asking import ask
from tests.evaluation.oracles.cases import make_cases
from tests.evaluation.oracles.comparison import DIFFERENCES, OURS, compare

ROOT = pathlib.Path(__file__).parents[2]
GOLDENS = json.loads((pathlib.Path(__file__).parent / "goldens" / "metrics.json").read_text())


def split(rows):
    return [case for case, _ in rows], [answer for _, answer in rows]


def test_there_are_goldens_of_everything_that_is_compared():
    assert set(GOLDENS) == {*OURS, "versions", "seed"}


@pytest.mark.parametrize("name", OURS)
def test_goldens_are_many_and_of_both_kinds(name):
    _, answers = split(GOLDENS[name])
    known = [answer for answer in answers if answer is not None or name == "mmmu_choice"]
    assert len(known) >= 200
    if all(isinstance(answer, bool | float | int) for answer in known):
        assert min(known) == 0 and max(known) > 0.4
        share = sum(answer > 0 for answer in known) / len(known)
        assert 0.05 < share < 0.98, share
    else:
        assert len({json.dumps(answer) for answer in known}) >= 3


@pytest.mark.parametrize("name", OURS)
def test_ours_is_the_oracles_but_for_what_is_documented(name):
    agree, reasons, wrong = compare(name, *split(GOLDENS[name]))
    assert not wrong, (
        f"{len(wrong)} differ without a reason, first (case, theirs, ours): {wrong[0]}"
    )
    assert agree > 100
    assert all(reasons.values()), f"a reason that no case has: {reasons}"


def test_the_list_of_benchmarks_names_scorers_that_ours_are_held_against():
    assert set(oracles.SCORERS) == set(OURS)
    held = {metric for metric in METRICS if oracles.comparisons_of_metric(metric)}
    assert set(METRICS) - held == {"contains", "cider", "judge"}  # CIDEr's aggregate is
    named = {name for metric in METRICS for name in oracles.comparisons_of_metric(metric)}
    named |= {name for key in AGGREGATES for name in oracles.comparisons_of_aggregate(key)}
    # Of CIDEr's words.
    assert set(OURS) - named == {"ptb_tokens"}


def test_the_page_says_which_metric_has_which_oracle():
    text = (ROOT / "docs" / "metrics.md").read_text()
    tables, held = text.split("## Held against others")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|[^|]*\|[^|]*\|([^|\n]*)\|$", tables, re.M)
    cells = [
        (name, set(re.findall(r"`(\w+)`", cell)))
        for names, cell in rows
        for name in re.findall(r"`(\w+)`", names)
    ]
    for name in METRICS:
        if comparisons := set(oracles.comparisons_of_metric(name)):
            assert (name, comparisons) in cells
    for name in AGGREGATES:
        if comparisons := set(oracles.comparisons_of_aggregate(name)):
            assert (name, comparisons) in cells
    for name, scorer in oracles.SCORERS.items():
        assert re.search(rf"^\| `{name}` \| {re.escape(scorer)}", held, re.M), name


def documented() -> dict[str, tuple[int, int]]:
    """Cases and agreements by oracle, as the table of docs/metrics.md has them."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*\| (\d+) \| (\d+) \|[^|]*\|$", text, re.MULTILINE)
    return {name: (int(cases), int(agree)) for name, cases, agree in rows}


def test_the_page_has_the_figures_of_the_goldens():
    expected = {}
    for name in OURS:
        agree, reasons, _ = compare(name, *split(GOLDENS[name]))
        expected[name] = (agree + sum(reasons.values()), agree)
    assert documented() == expected


def test_the_page_has_every_reason_to_differ():
    text = (ROOT / "docs" / "metrics.md").read_text()
    for name, reasons in DIFFERENCES.items():
        for reason in reasons:
            assert reason in text, (name, reason)


@pytest.fixture(scope="module")
def live():
    directory = os.environ.get("MM15_ORACLES", "")
    if not (pathlib.Path(directory) / "bin" / "python").exists() or not directory:
        pytest.skip("MM15_ORACLES is not set: tests/evaluation/oracles/setup.sh DIR makes it")
    cases = make_cases(7)
    return cases, ask(directory, cases)


@pytest.mark.oracle
@pytest.mark.parametrize("name", OURS)
def test_ours_is_the_live_oracles_on_other_cases(live, name):
    cases, found = live
    if found["answers"][name].count(None) == len(cases[name]):
        pytest.skip("no python2.7 when the environment was made")
    assert found["versions"]["lmms_eval"] == GOLDENS["versions"]["lmms_eval"]
    _, _, wrong = compare(name, cases[name], found["answers"][name])
    assert not wrong, (
        f"{len(wrong)} differ without a reason, first (case, theirs, ours): {wrong[0]}"
    )
