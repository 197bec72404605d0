"""MME's total: perception and cognition, by subtask (Fu et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mm15_jax.evaluation.aggregated import Aggregated, Row, by_subset, mean_and_error, scores_of

SUBTASKS = {
    "perception": (
        "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark",
        "artwork", "OCR",
    ),
    "cognition": (
        "commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning",
    ),
}  # fmt: skip
_NAMES = {f"{half}/{name}" for half, names in SUBTASKS.items() for name in names}


def _subtask(rows: Sequence[Row]) -> tuple[float, float, float, int]:
    """(accuracy, accuracy+, standard error of their sum, pictures without two questions), 0-100."""
    pictures: dict[str, list[float]] = {}
    for row, score in zip(rows, scores_of(rows), strict=True):
        if row.get("group") is None:
            raise ValueError(f"MME's {row.get('key', 'example')} has no metadata 'group'")
        pictures.setdefault(row["group"], []).append(score)
    accuracy, _ = mean_and_error([score for scores in pictures.values() for score in scores])
    both = [float(min(scores) == 1.0) for scores in pictures.values()]
    sums = [
        100 * (math.fsum(scores) / len(scores) + plus)
        for scores, plus in zip(pictures.values(), both, strict=True)
    ]
    odd = sum(len(scores) != 2 for scores in pictures.values())
    return 100 * accuracy, 100 * math.fsum(both) / len(both), mean_and_error(sums)[1], odd


def mme(rows: Sequence[Row]) -> Aggregated:
    """Perception (of 2000) plus cognition (of 800), over 28.

    A subtask counts its accuracy over questions plus its "accuracy+" over pictures, which asks for
    both questions of one; that is 200 at most. Rows have "group" (the picture) and "subset" (such
    as "perception/existence").

    A picture with one question or with three, as when only the first examples are scored, counts
    in accuracy+ if all of its questions are right; the part "pictures_without_two_questions" says
    how many there were, and "missing_subtasks" how many of the 14 are absent and count nothing.

    Returns:
      (P + C) / 28; parts perception, cognition, and of each subtask acc and acc+ (0-100).

    Raises:
      ValueError: no rows, an unknown subset, or a row without group or subset.
    """
    parts: dict[str, float] = {"perception": 0.0, "cognition": 0.0}
    scores_of(rows)
    variance, odd = 0.0, 0
    subsets = by_subset(rows)
    for subset, members in subsets.items():
        if subset not in _NAMES:
            raise ValueError(f"MME has no subtask {subset!r}, expected one of {sorted(_NAMES)}")
        accuracy, plus, error, others = _subtask(members)
        parts[subset.split("/")[0]] += accuracy + plus
        parts[f"{subset}/acc"], parts[f"{subset}/acc+"] = accuracy, plus
        variance, odd = variance + error**2, odd + others
    if odd:
        parts["pictures_without_two_questions"] = float(odd)
    if len(subsets) < len(_NAMES):
        parts["missing_subtasks"] = float(len(_NAMES) - len(subsets))
    total = parts["perception"] + parts["cognition"]
    return Aggregated(total / 28, math.sqrt(variance) / 28, parts)
