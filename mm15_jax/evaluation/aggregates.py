"""From the scores of examples to a benchmark's score, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mm15_jax.evaluation.aggregated import Aggregated, Row
from mm15_jax.evaluation.judges.aggregates import JUDGED
from mm15_jax.evaluation.metrics import mean_and_error

__all__ = ["AGGREGATES", "Aggregated", "Row", "mean"]


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
    **JUDGED,
}
