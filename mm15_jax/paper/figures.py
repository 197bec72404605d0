"""What is known of the paper's figures: points with their trust, and differences that it states."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

from mm15_jax.config.names import unknown
from mm15_jax.paper.files import read_toml


@dataclasses.dataclass(frozen=True)
class FigureValue:
    """One bar or point.

    Attributes:
      row: the setting, as "1344" or "hq_text_50_10_40".
      values: measure -> value; scores are 0-100.
      trust: "text", the paper says it in a sentence, or "secondary", another publication prints it.
    """

    figure: str
    row: str
    values: Mapping[str, float]
    trust: str


@dataclasses.dataclass(frozen=True)
class Difference:
    """What a sentence of the paper says of two rows: values of `row` minus those of `over`."""

    figure: str
    row: str
    over: str
    values: Mapping[str, float]
    within: float  # to which a difference of the values may be off, as the sentence rounds
    section: str


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure; without values where nothing but its words is known."""

    name: str
    title: str
    values: tuple[FigureValue, ...]
    differences: tuple[Difference, ...]

    def value(self, row: str) -> FigureValue:
        """The point of a setting; ValueError names the nearest."""
        for found in self.values:
            if found.row == row:
                return found
        raise unknown(f"row of figure {self.name}", row, [v.row for v in self.values])


@functools.cache
def figures() -> tuple[Figure, ...]:
    """The figures of ablations, 5 to 10."""
    fields = read_toml("figures.toml")
    values = [FigureValue(**row) for row in fields["value"]]
    differences = [Difference(**row) for row in fields["difference"]]
    return tuple(
        Figure(
            **row,
            values=tuple(v for v in values if v.figure == row["name"]),
            differences=tuple(d for d in differences if d.figure == row["name"]),
        )
        for row in fields["figure"]
    )


def figure(name: str) -> Figure:
    """Figure `name`, as "9a"; ValueError names the nearest."""
    for found in figures():
        if found.name == name:
            return found
    raise unknown("figure", name, [f.name for f in figures()])
