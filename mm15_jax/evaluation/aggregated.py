"""What an aggregate is made of and what it gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

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
