"""What the paper averages: RefCOCO, LVIS-Ref, VL-ICL, categories, MMBase (sections 3.1 and 4.1)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

from mm15_jax.config.names import unknown
from mm15_jax.paper.files import read_toml
from mm15_jax.paper.tables import table

# (benchmark, part) -> the number in the paper's unit, None where there is none.
Lookup = Callable[[str, str], float | None]
_DETAILED = range(5, 13)  # tables 1 to 3 are of ablations, table 4 repeats others


@dataclasses.dataclass(frozen=True)
class Average:
    """A mean or a sum over benchmarks, parts of them or other averages; see averages.toml."""

    key: str
    title: str
    members: tuple[str, ...]
    is_sum: bool
    divide: float = 1.0
    printed: str = ""


@dataclasses.dataclass(frozen=True)
class Averaged:
    """An average's value, or what stands in its way ("refcoco.testB")."""

    value: float | None
    missing: tuple[str, ...]


@functools.cache
def averages() -> dict[str, Average]:
    """Key -> average, members before what is made of them."""
    return {key: _average(key, row) for key, row in read_toml("averages.toml").items()}


def average(key: str) -> Average:
    """The average called `key`; ValueError names the nearest."""
    if key not in averages():
        raise unknown("average", key, averages())
    return averages()[key]


def evaluate(key: str, lookup: Lookup) -> Averaged:
    """The value of an average; None unless all of its members are there.

    Args:
      key: of averages.toml: "refcoco_avg", "general", "mmbase", ...
      lookup: gives benchmarks' numbers and those of their parts.

    Raises:
      ValueError: there is no such average; the sentence names the nearest.
    """
    found = average(key)
    if found.printed:
        benchmark, _, part = found.printed.partition(".")
        whole = lookup(benchmark, part)
        if whole is not None:
            return Averaged(whole / found.divide, ())
    values: list[float] = []
    missing: list[str] = []
    for member in found.members:
        if member in averages():
            inner = evaluate(member, lookup)
            value, lacking = inner.value, inner.missing
        else:
            benchmark, _, part = member.partition(".")
            value = lookup(benchmark, part)
            lacking = (member,) if value is None else ()
        missing.extend(lacking)
        if value is not None:
            values.append(value)
    if missing:
        return Averaged(None, tuple(missing))
    total = math.fsum(values)
    return Averaged((total if found.is_sum else total / len(values)) / found.divide, ())


def lookup_of_model(key: str) -> Lookup:
    """Numbers of a model of tables 5 to 12, for `evaluate`."""
    cells = {
        column: row.cells[column]
        for number in _DETAILED
        for row in table(number).rows
        if row.key == key
        for column in row.cells
    }

    def lookup(benchmark: str, part: str) -> float | None:
        return cells[benchmark].values.get(part) if benchmark in cells else None

    return lookup


def _average(key: str, row: dict[str, Any]) -> Average:
    is_sum = "sum_of" in row
    members = tuple(row.pop("sum_of" if is_sum else "mean_of"))
    return Average(key, members=members, is_sum=is_sum, **row)
