"""Answers of yes or no: MME, POPE, Taperception."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from mm15_jax.evaluation.aggregated import Aggregated, Row, by_subset, mean_error

_FIRST_WORD = re.compile(r"[\W_]*([^\W_]+(?:['’-][^\W_]+)*)")


def read_yes_no(answer: str) -> str | None:
    """Reads "yes" or "no" if that is the answer's first word, in any case; else None.

    "Yes.", "**No**" and "yes, there is" are read; "Nothing", "no-one", "not sure" and
    "the answer is yes" are not: what follows a first word may say anything.
    """
    match = _FIRST_WORD.match(answer)
    word = match.group(1).casefold() if match else ""
    return word if word in ("yes", "no") else None


def true_yes_no(references: Sequence[str]) -> str:
    """The truth of a yes-or-no question.

    Raises:
      ValueError: it is neither, or both.
    """
    found = {read_yes_no(reference) for reference in references}
    if found == {"yes"}:
        return "yes"
    if found == {"no"}:
        return "no"
    raise ValueError(f"the references {list(references)} are not one of 'yes' and 'no'")


def yes_no(answer: str, references: Sequence[str]) -> float:
    """1 if the answer's first word is the truth's, "yes" or "no", else 0.

    Raises:
      ValueError: a truth that is neither.
    """
    return float(read_yes_no(answer) == true_yes_no(references))


# (truth, answer) of one question; an answer that cannot be read is None.
_Outcome = tuple[str, str | None]


def _outcomes(rows: Sequence[Row]) -> Counter[_Outcome]:
    if not rows:
        raise ValueError("no answers to score, expected at least one")
    return Counter((true_yes_no(row["truth"]), read_yes_no(row["answer"])) for row in rows)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _precision(counts: Counter[_Outcome]) -> float:
    return _ratio(counts["yes", "yes"], counts["yes", "yes"] + counts["no", "yes"])


def _recall(counts: Counter[_Outcome]) -> float:
    return _ratio(counts["yes", "yes"], _of_truth(counts, "yes"))


def _of_truth(counts: Counter[_Outcome], truth: str) -> int:
    return sum(count for (true, _), count in counts.items() if true == truth)


def _f1(counts: Counter[_Outcome]) -> float:
    precision, recall = _precision(counts), _recall(counts)
    return _ratio(2 * precision * recall, precision + recall)


def _jackknife_error(counts: Counter[_Outcome]) -> float:
    """Standard error of F1, from leaving out one question at a time."""
    total = sum(counts.values())
    if total < 2:
        return 0.0
    without = {kind: _f1(counts - Counter([kind])) for kind in counts}
    mean = math.fsum(counts[kind] * f1 for kind, f1 in without.items()) / total
    spread = math.fsum(counts[kind] * (f1 - mean) ** 2 for kind, f1 in without.items())
    return math.sqrt(spread * (total - 1) / total)


def _parts(counts: Counter[_Outcome]) -> dict[str, float]:
    total = sum(counts.values())
    right = counts["yes", "yes"] + counts["no", "no"]
    said = {
        answer: sum(count for (_, given), count in counts.items() if given == answer)
        for answer in ("yes", None)
    }
    return {
        "f1": 100 * _f1(counts),
        "accuracy": 100 * right / total,
        "precision": 100 * _precision(counts),
        "recall": 100 * _recall(counts),
        "yes_ratio": 100 * said["yes"] / total,
        "unread": 100 * said[None] / total,
    }


def f1(rows: Sequence[Row]) -> Aggregated:
    """F1 of "yes" over all examples (Taperception: yes means tappable).

    An answer that is neither yes nor no is wrong: it lowers recall where the truth is yes, and is
    counted in the part "unread". The error is the jackknife's.

    Returns:
      F1 in per cent; parts f1, accuracy, precision, recall, yes_ratio (answers of yes) and unread.

    Raises:
      ValueError: no rows, or a truth that is neither yes nor no.
    """
    counts = _outcomes(rows)
    return Aggregated(100 * _f1(counts), 100 * _jackknife_error(counts), _parts(counts))


def pope_f1(rows: Sequence[Row]) -> Aggregated:
    """POPE (Li et al. 2023): F1 of "yes", the plain mean over the subsets.

    The three subsets are random, popular and adversarial. The mean of their F1 is what LLaVA and
    those who compare with it print; MM1.5 does not say what its 88 are. Accuracy, precision,
    recall, the ratio of yes and unread answers are parts, for all questions together and by subset
    ("adversarial/accuracy"). "yes_ratio" is of the answers, as POPE defines it.

    The error takes subsets as independent, though they share pictures.

    Raises:
      ValueError: no rows, a row without subset, or a truth that is neither yes nor no.
    """
    parts = {f"all/{name}": value for name, value in _parts(_outcomes(rows)).items()}
    scores, errors = [], []
    for subset, members in by_subset(rows).items():
        found = f1(members)
        scores.append(found.score)
        errors.append(found.error)
        parts |= {f"{subset}/{name}": value for name, value in found.parts.items()}
    return Aggregated(math.fsum(scores) / len(scores), mean_error(errors), parts)
