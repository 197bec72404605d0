"""From a judge's scores to the figures that the field prints."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mm15_jax.evaluation.aggregated import Aggregated, Row
from mm15_jax.evaluation.metrics import mean_and_error


def llava_w(rows: Sequence[Row]) -> Aggregated:
    """The sum of the answers' scores over that of the references', of 100 (LLaVA).

    The parts are the same ratio of each category (conv, detail, complex), and the two mean scores
    of 100. A reply that cannot be read gives the answer 0, and the reference the others' mean.
    """
    ratio, error = _relative(rows)
    parts = {f"relative/{name}": _relative(some)[0] for name, some in _by_category(rows).items()}
    parts["reference"] = 10 * _mean_reference(rows)
    parts["answer"] = 10 * mean_and_error([_parts(row)["answer"] for row in rows])[0]
    return Aggregated(ratio, error, parts)


def ferret_bench(rows: Sequence[Row]) -> Aggregated:
    """The mean of the categories' ratios, as `llava_w` has them (Ferret, section 5; MM1.5)."""
    found = {name: _relative(some) for name, some in _by_category(rows).items()}
    score, error = _mean_of(list(found.values()))
    return Aggregated(score, error, {name: ratio for name, (ratio, _) in found.items()})


def mm_vet(rows: Sequence[Row]) -> Aggregated:
    """The mean score, of 100; the parts are the means of the examples with each capability."""
    score, error = mean_and_error([row["score"] for row in rows])
    names = sorted({name for row in rows for name in _fact(row, "capabilities")})
    parts = {
        name: 100
        * mean_and_error([r["score"] for r in rows if name in _fact(r, "capabilities")])[0]
        for name in names
    }
    return Aggregated(100 * score, 100 * error, parts)


def vcgbench(rows: Sequence[Row]) -> Aggregated:
    """The mean of the aspects' means, times 20.

    The parts are the aspects' means, from 0 to 5, and their "mean", which the field prints.
    """
    names = list(dict.fromkeys(name for row in rows for name in _parts(row)))
    found = {
        name: mean_and_error([_parts(row)[name] for row in rows if name in _parts(row)])
        for name in names
    }
    score, error = _mean_of(list(found.values()))
    parts = {**{name: mean for name, (mean, _) in found.items()}, "mean": score}
    return Aggregated(20 * score, 20 * error, parts)


def accuracy_and_score(rows: Sequence[Row]) -> Aggregated:
    """The share of right answers, of 100; the parts are "accuracy" and the judge's mean "score".

    For ActivityNet-QA (0 to 5) and LLaVA-Hound (1 to 5). With subsets, both of each as well.
    """
    score, error = mean_and_error([row["score"] for row in rows])
    parts = {}
    subsets = dict.fromkeys(row["subset"] for row in rows if row.get("subset"))
    for name in ("", *subsets):
        some = [row for row in rows if not name or row.get("subset") == name]
        prefix = f"{name}/" if name else ""
        parts[f"{prefix}accuracy"] = 100 * mean_and_error([row["score"] for row in some])[0]
        parts[f"{prefix}score"] = mean_and_error([_parts(row)["score"] for row in some])[0]
    return Aggregated(100 * score, 100 * error, parts)


JUDGED: dict[str, Callable[[Sequence[Row]], Aggregated]] = {
    "llava_w": llava_w,
    "mm_vet": mm_vet,
    "ferret_bench": ferret_bench,
    "vcgbench": vcgbench,
    "activitynet_qa": accuracy_and_score,
    "llava_hound": accuracy_and_score,
}


def _parts(row: Row) -> dict[str, float]:
    if "judgement" not in row:
        raise ValueError(f"example {row.get('key')!r} has no judgement: it was not judged yet")
    return row["judgement"]["parts"]


def _fact(row: Row, name: str) -> Sequence[str]:
    facts = row.get("judge") or {}
    if name not in facts:
        raise ValueError(f"example {row.get('key')!r} has no {name!r} among its judge's facts")
    return facts[name]


def _by_category(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(_fact(row, "category")), []).append(row)
    return found


def _mean_reference(rows: Sequence[Row]) -> float:
    """Mean score of the references that could be read; 0 where none could."""
    scores = [_parts(row)["reference"] for row in rows if "reference" in _parts(row)]
    return mean_and_error(scores)[0] if scores else 0.0


def _relative(rows: Sequence[Row]) -> tuple[float, float]:
    """100 times the ratio of the two mean scores, and its standard error by the delta method."""
    reference = _mean_reference(rows)
    if not reference:
        return 0.0, 0.0
    answers = [_parts(row)["answer"] for row in rows]
    ratio = mean_and_error(answers)[0] / reference
    rest = [
        answer - ratio * _parts(row).get("reference", reference)
        for answer, row in zip(answers, rows, strict=True)
    ]
    return 100 * ratio, 100 * mean_and_error(rest)[1] / reference


def _mean_of(found: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The mean of independent figures, and its standard error."""
    mean, _ = mean_and_error([value for value, _ in found])
    return mean, math.sqrt(math.fsum(error**2 for _, error in found)) / len(found)
