"""What an ablation scores, by the paper's names: benchmarks, categories, averages over them.

At nano scale the benchmarks are the miniature's: a category is made of its benchmarks of the same
category, and a benchmark of the paper has a counterpart that asks for the same capability.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from mm15_jax import paper
from mm15_jax.config.names import unknown
from mm15_jax.evaluation.benchmarks import TABLE

# A benchmark's score from 0 to 100 by name (and part); None where it was not run.
Lookup = Callable[[str, str], float | None]

TITLES = {
    "text_rich": "Text-rich",
    "knowledge": "Knowledge",
    "general": "General",
    "refer_ground": "Refer & Ground",
    "multi_image": "Multi-image",
    "in_context": "In-context",
    "average": "Average",
    "average_of_five": "Average",
    "mmbase": "MMBase",
    "docvqa": "DocVQA",
    "infovqa": "InfoVQA",
    "ui": "Screens",
}
_FIVE = ("general", "text_rich", "knowledge", "refer_ground", "multi_image")
_CATEGORIES = (*_FIVE, "in_context")  # the last of the paper's benchmarks alone
# Averages over categories, as sections 3.1 and 3.2 define them.
_AVERAGES = {
    "mmbase": _CATEGORIES[:3],
    "average": _CATEGORIES[:4],
    "average_of_five": _FIVE,
}
# Counterparts at nano scale: a page of two by two sub-images; strips and larger pages.
_NANO = {
    "docvqa": ("mini_document_qa",),
    "infovqa": ("mini_banner_qa", "mini_poster_qa"),
}


def title(measure: str) -> str:
    """For readers; a benchmark's own name where the paper has none."""
    if measure in TITLES:
        return TITLES[measure]
    return measure.removeprefix("mini_").replace("_", " ")


def members(measure: str, scale: str) -> tuple[str, ...]:
    """What a measure is the plain mean of; () for a benchmark itself."""
    if measure in _AVERAGES:
        return _AVERAGES[measure]
    if scale == "nano":
        if measure in _NANO:
            return _NANO[measure]
        if measure in _FIVE:
            return _averaged("mini", measure)
        if measure == "ui":
            return _averaged("mini_ui", measure)
    return ()


def _averaged(suite: str, category: str) -> tuple[str, ...]:
    rows = (row for row in TABLE if row.suite == suite and row.averaged)
    return tuple(row.name for row in rows if row.category == category)


def benchmarks_of(measures: tuple[str, ...], scale: str) -> tuple[str, ...]:
    """What has to be run, in the order of the table of benchmarks.

    Raises:
      ValueError: a measure that is neither a benchmark nor made of some.
    """
    found: set[str] = set()
    known = {row.name: row for row in TABLE}
    for measure in measures:
        inner = members(measure, scale)
        if inner:
            found.update(benchmarks_of(inner, scale))
        elif measure in _CATEGORIES:  # of the paper's own benchmarks
            found.update(
                row.name
                for row in TABLE
                if row.suite == "paper" and row.category == measure and row.averaged
            )
        elif measure in known:
            found.add(measure)
        else:
            raise unknown("measure", measure, [*TITLES, *known])
    return tuple(row.name for row in TABLE if row.name in found)


def value(measure: str, scale: str, lookup: Lookup) -> float | None:
    """The measure's value; None unless all that it is made of is there."""
    inner = members(measure, scale)
    if inner:
        values = [value(member, scale, lookup) for member in inner]
        known = [v for v in values if v is not None]
        return math.fsum(known) / len(known) if len(known) == len(values) else None
    if measure in _CATEGORIES:
        return paper.evaluate(measure, lookup).value
    return lookup(measure, "")
