"""How far starts scatter, learned from all comparisons together, and which verdicts stand it.

The interval of a comparison that was drawn from one or two starts knows its questions, and hardly
what another start would say. All comparisons together do know how far a difference moves from start
to start, as the residuals of an analysis of variance of rows and starts do. A verdict that this
alone could have brought about is a hint.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping

import numpy as np
from scipy import stats

from mm15_jax.ablations.findings import FAILS, HOLDS, Checked, Verdict, verdict_of
from mm15_jax.ablations.results import LEVEL


@dataclasses.dataclass(frozen=True)
class Scatter:
    """Of differences between two rows, from one start to another.

    Attributes:
      deviation: their standard deviation, in points.
      freedom: degrees of freedom that it is known by.
    """

    deviation: float
    freedom: int

    def margin(self, starts: int) -> float:
        """How far the mean of so many starts lies from that of all, at most, at LEVEL."""
        quantile = float(stats.t.ppf((1 + LEVEL) / 2, self.freedom))
        return quantile * self.deviation / math.sqrt(starts)


def learned(verdicts: Iterable[Verdict]) -> Scatter | None:
    """From all comparisons of several starts; None where there is none."""
    squares, freedom = 0.0, 0
    for differences in _by_start(verdicts):
        values = np.array(list(differences.values()))
        squares += float(((values - values.mean()) ** 2).sum())
        freedom += len(values) - 1
    return Scatter(math.sqrt(squares / freedom), freedom) if freedom else None


def _by_start(verdicts: Iterable[Verdict]) -> Iterable[Mapping[int, float]]:
    for verdict in verdicts:
        for check in verdict.checks:
            if check.ours and check.ours.by_start:
                yield check.ours.by_start


def is_hint(verdict: Verdict, scatter: Scatter | None) -> bool:
    """Whether what holds, or does not, would be undecided within what starts scatter by.

    Args:
      verdict: of one finding.
      scatter: of its scale; None where nothing is known of it, so that all is a hint.
    """
    if verdict.verdict == HOLDS:
        return not all(_stands(check, scatter) for check in verdict.checks)
    if verdict.verdict == FAILS:
        failed = (check for check in verdict.checks if check.verdict == FAILS)
        return not any(_stands(check, scatter) for check in failed)
    return False


def _stands(check: Checked, scatter: Scatter | None) -> bool:
    if check.ours is None or scatter is None or not check.ours.by_start:
        return False
    margin = scatter.margin(len(check.ours.by_start))
    value = check.ours.value
    wider = dataclasses.replace(check.ours, low=value - margin, high=value + margin)
    return verdict_of(wider, check.relation) == check.verdict
