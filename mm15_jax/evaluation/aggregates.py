"""From the scores of examples to a benchmark's score, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mm15_jax.evaluation.aggregated import (
    Aggregated,
    Row,
    by_subset,
    mean_and_error,
    mean_error,
    scores_of,
)
from mm15_jax.evaluation.cider import cider
from mm15_jax.evaluation.judges.aggregates import JUDGED
from mm15_jax.evaluation.mme import mme
from mm15_jax.evaluation.mmmu import mmmu
from mm15_jax.evaluation.yes_no import f1, pope_f1

__all__ = ["AGGREGATES", "Aggregated", "Row", "mean", "ocrbench", "subset_mean"]

_TEXT_RECOGNITION = (
    "Regular Text Recognition", "Irregular Text Recognition", "Artistic Text Recognition",
    "Handwriting Recognition", "Digit String Recognition", "Non-Semantic Text Recognition",
)  # fmt: skip


def mean(rows: Sequence[Row]) -> Aggregated:
    """The mean of the examples' scores; with subsets, also the mean of each.

    Raises:
      ValueError: no rows, or one that waits for a judge.
    """
    score, error = mean_and_error(scores_of(rows))
    subsets = by_subset([row for row in rows if row.get("subset")])
    parts = {name: 100 * mean_and_error(scores_of(found))[0] for name, found in subsets.items()}
    return Aggregated(100 * score, 100 * error, parts)


def subset_mean(rows: Sequence[Row]) -> Aggregated:
    """The plain mean over subsets of the mean of each, whatever their sizes; parts are those.

    Raises:
      ValueError: no rows, one without subset, or one that waits for a judge.
    """
    scores_of(rows)
    found = {name: mean_and_error(scores_of(part)) for name, part in by_subset(rows).items()}
    parts = {name: 100 * score for name, (score, _) in found.items()}
    error = 100 * mean_error(error for _, error in found.values())
    return Aggregated(math.fsum(parts.values()) / len(parts), error, parts)


def ocrbench(rows: Sequence[Row]) -> Aggregated:
    """OCRBench: right answers in per cent; of all 1000 questions a tenth of the published score.

    Parts are numbers of right answers: "right" of all (the published score, of 1000),
    "Text Recognition" of its six kinds, and each subset (kind of question).

    Raises:
      ValueError: no rows, or one without subset.
    """
    score, error = mean_and_error(scores_of(rows))
    kinds = {name: math.fsum(scores_of(part)) for name, part in by_subset(rows).items()}
    recognised = [kinds[name] for name in _TEXT_RECOGNITION if name in kinds]
    parts = {"right": math.fsum(kinds.values())}
    if recognised:
        parts["Text Recognition"] = math.fsum(recognised)
    return Aggregated(100 * score, 100 * error, parts | kinds)


# Name in a benchmark's row -> its score from the rows of its answers.
AGGREGATES: dict[str, Callable[[Sequence[Row]], Aggregated]] = {
    "mean": mean,
    **JUDGED,
    "subset_mean": subset_mean,
    "cider": cider,
    "f1": f1,
    "mme": mme,
    "mmmu": mmmu,
    "ocrbench": ocrbench,
    "pope_f1": pope_f1,
}
