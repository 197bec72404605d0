"""From the scores of examples to a benchmark's score, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mm15_jax.evaluation.metrics import mean_and_error

# A line of an answers file, as `answers.make_row` gives it: "answer", "truth" (references),
# "score" (0-1) and, where the data has them, "group", "subset" and others.
Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Aggregated:
    """A benchmark's score.

    Attributes:
      score: 0-100, what category averages take.
      error: its standard error, in the same unit.
      parts: what the score is made of, by name, each in the unit in which the field prints it
        (MME's perception of 2000, OCRBench's of 1000).
    """

    score: float
    error: float
    parts: Mapping[str, float] = dataclasses.field(default_factory=dict)


def mean(rows: Sequence[Row]) -> Aggregated:
    """The mean of the examples' scores; with subsets, also the mean of each."""
    score, error = mean_and_error([row["score"] for row in rows])
    subsets = dict.fromkeys(row["subset"] for row in rows if row.get("subset"))
    parts = {
        name: 100 * mean_and_error([r["score"] for r in rows if r.get("subset") == name])[0]
        for name in subsets
    }
    return Aggregated(100 * score, 100 * error, parts)


AGGREGATES: dict[str, Callable[[Sequence[Row]], Aggregated]] = {
    "mean": mean,
}
