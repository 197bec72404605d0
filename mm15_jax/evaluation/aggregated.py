"""What an aggregate takes and gives."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# A line of an answers file, as `answers.make_row` gives it: "answer", "truth" (references),
# "score" (0-1) and, where the data has them, "group", "subset" and others.
Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Aggregated:
    """A benchmark's score.

    Attributes:
      score: 0-100, what category averages take; captions' CIDEr may be above.
      error: its standard error, in the same unit.
      parts: what the score is made of, by name, each in the unit in which the field prints it
        (MME's perception of 2000, OCRBench's right answers of 1000).
    """

    score: float
    error: float
    parts: Mapping[str, float] = dataclasses.field(default_factory=dict)


def mean_and_error(scores: Sequence[float]) -> tuple[float, float]:
    """Mean of per-example scores and its standard error (sample deviation / sqrt n).

    Raises:
      ValueError: no scores.
    """
    if not scores:
        raise ValueError("no scores to average, expected at least one")
    mean = math.fsum(scores) / len(scores)
    if len(scores) == 1:
        return mean, 0.0
    variance = math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1)
    return mean, math.sqrt(variance / len(scores))


def scores_of(rows: Sequence[Row]) -> list[float]:
    """The examples' scores, 0 to 1.

    Raises:
      ValueError: there is no row, or one whose answer a judge has not read yet.
    """
    if not rows:
        raise ValueError("no answers to score, expected at least one")
    for row in rows:
        if row["score"] is None:
            raise ValueError(
                f"the answer to {row.get('key', 'an example')} has no score yet, expected a judge's"
            )
    return [row["score"] for row in rows]


def by_subset(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of each subset, in the order in which subsets appear.

    Raises:
      ValueError: a row that has none.
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        if not row.get("subset"):
            raise ValueError(
                f"the answer to {row.get('key', 'an example')} is of no subset, expected metadata"
                " 'subset' on all examples"
            )
        found.setdefault(row["subset"], []).append(row)
    return found


def mean_error(errors: Iterable[float]) -> float:
    """Standard error of the plain mean of independent numbers, from theirs."""
    errors = list(errors)
    return math.sqrt(math.fsum(error**2 for error in errors)) / len(errors)


def judged_by(rows: Sequence[Row]) -> tuple[str, int]:
    """The judges' names, and how many rows have a score that could not be read."""
    names = sorted({name for row in rows for name in row["judgement"]["model"].split(", ")})
    return ", ".join(names), sum(row["judgement"]["failed"] for row in rows)
