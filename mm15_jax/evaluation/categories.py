"""From scores of benchmarks to category averages and MMBase (paper, section 4)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from mm15_jax.evaluation.benchmarks import CATEGORIES, TABLE, find

MMBASE = ("general", "text_rich", "knowledge")


@dataclasses.dataclass(frozen=True)
class CategoryScores:
    """Averages, and what stands in the way of those that could not be taken.

    Attributes:
      scores: 0-100 of each category and of "mmbase"; None where something is missing.
      missing: category -> benchmarks without a score; for "mmbase" the categories.
    """

    scores: dict[str, float | None]
    missing: dict[str, list[str]]


def average_categories(scores: Mapping[str, float]) -> CategoryScores:
    """Plain means over the benchmarks of each category; MMBase over three categories.

    A category is averaged only if every benchmark of it has a score, in each suite that `scores`
    touches: an average over what happened to be there cannot be compared with another run's.

    Args:
      scores: benchmark -> 0-100.

    Raises:
      ValueError: an unknown benchmark.
    """
    suites = {find(name).suite for name in scores}
    averages: dict[str, float | None] = {}
    missing: dict[str, list[str]] = {}
    for category in CATEGORIES:
        expected = [
            benchmark.name
            for benchmark in TABLE
            if benchmark.category == category and benchmark.averaged and benchmark.suite in suites
        ]
        absent = [name for name in expected if name not in scores]
        averages[category] = None
        if absent:
            missing[category] = absent
        elif expected:
            averages[category] = math.fsum(scores[name] for name in expected) / len(expected)
        else:
            missing[category] = []
    present = [score for name in MMBASE if (score := averages[name]) is not None]
    averages["mmbase"] = None
    if len(present) < len(MMBASE):
        missing["mmbase"] = [name for name in MMBASE if averages[name] is None]
    else:
        averages["mmbase"] = math.fsum(present) / len(MMBASE)
    return CategoryScores(averages, missing)
