"""From scores of benchmarks to category averages and MMBase (paper, section 4)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from mm15_jax.evaluation.benchmarks import CATEGORIES, SUITES, TABLE, find

MMBASE = ("general", "text_rich", "knowledge")


@dataclasses.dataclass(frozen=True)
class CategoryScores:
    """Averages of one suite, and what stands in the way of those that could not be taken.

    Attributes:
      scores: 0-100 of each category that the suite has, and of "mmbase" where it has the three;
        None where something is missing.
      missing: category -> benchmarks without a score; for "mmbase" the categories.
    """

    scores: dict[str, float | None]
    missing: dict[str, list[str]]


def average_categories(scores: Mapping[str, float | None]) -> dict[str, CategoryScores]:
    """Plain means over the benchmarks of each category, by suite; MMBase over three categories.

    A category is averaged only if every benchmark of it has a score: an average over what happened
    to be there cannot be compared with another run's.

    Args:
      scores: benchmark -> 0-100; None counts as missing.

    Returns:
      Suite -> its averages, of those suites that have a benchmark in `scores`.

    Raises:
      ValueError: an unknown benchmark.
    """
    touched = {find(name).suite for name in scores}
    return {suite: _averages(suite, scores) for suite in SUITES if suite in touched}


def _averages(suite: str, scores: Mapping[str, float | None]) -> CategoryScores:
    expected: dict[str, list[str]] = {}
    for row in TABLE:
        if row.suite == suite and row.averaged:
            expected.setdefault(row.category, []).append(row.name)
    averages: dict[str, float | None] = {}
    missing: dict[str, list[str]] = {}
    for category in sorted(expected, key=CATEGORIES.index):
        names = expected[category]
        present = [score for name in names if (score := scores.get(name)) is not None]
        averages[category] = None
        if len(present) == len(names):
            averages[category] = math.fsum(present) / len(names)
        else:
            missing[category] = [name for name in names if scores.get(name) is None]
    if set(MMBASE) <= set(averages):
        parts = [score for name in MMBASE if (score := averages[name]) is not None]
        averages["mmbase"] = None
        if len(parts) == len(MMBASE):
            averages["mmbase"] = math.fsum(parts) / len(MMBASE)
        else:
            missing["mmbase"] = [name for name in MMBASE if averages[name] is None]
    return CategoryScores(averages, missing)
