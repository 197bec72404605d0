"""From scores of benchmarks to category averages and MMBase (paper, section 4)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

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

    Benchmarks that count as one (`Benchmark.counts_as`) do so by their own plain mean.

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
    expected: dict[str, dict[str, list[str]]] = {}  # category -> what counts once -> benchmarks
    for row in TABLE:
        if row.suite == suite and row.averaged:
            counted = expected.setdefault(row.category, {})
            counted.setdefault(row.counts_as or row.name, []).append(row.name)
    known = {name: score for name, score in scores.items() if score is not None}
    averages: dict[str, float | None] = {}
    missing: dict[str, list[str]] = {}
    for category in sorted(expected, key=CATEGORIES.index):
        members = expected[category].values()
        absent = [name for names in members for name in names if name not in known]
        averages[category] = None
        if absent:
            missing[category] = absent
        else:
            means = [_mean([known[name] for name in names]) for names in members]
            averages[category] = _mean(means)
    if set(MMBASE) <= set(averages):
        parts = [score for name in MMBASE if (score := averages[name]) is not None]
        averages["mmbase"] = None
        if len(parts) == len(MMBASE):
            averages["mmbase"] = _mean(parts)
        else:
            missing["mmbase"] = [name for name in MMBASE if averages[name] is None]
    return CategoryScores(averages, missing)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
