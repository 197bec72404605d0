"""The tables of the MM1.5 paper (arXiv 2409.20566) as typed data, from the files in assets/."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mm15_jax.config.names import unknown
from mm15_jax.paper.files import read_csv, read_toml

LINES = ("mm15", "mm15_video", "mm15_ui", "mm1", "peer")
_CELL = re.compile(r"(?P<numbers>[\d./]*)(?P<mark>†?)(?P<mended>\*?)")
_HEAD = ("row", "printed", "reference", "group")


@dataclasses.dataclass(frozen=True)
class Model:
    """A model that a table compares.

    Attributes:
      key: its name in tables, as "mm15_3b_moe".
      name: for readers, as "MM1.5-3B-MoE".
      parameters: as its name has it, "7B"; "" where it has none.
      line: one of `LINES`: MM1.5, its video and its UI models, MM1, or a peer.
      family: of MM1.5's, the `ExperimentConfig.family` that trains it ("3b", "3b_moe"); else "".
    """

    key: str
    name: str
    parameters: str
    line: str
    family: str

    @property
    def is_mm15(self) -> bool:
        """Whether it is one of MM1.5's, the video and UI models among them."""
        return self.line.startswith("mm15")


@dataclasses.dataclass(frozen=True)
class Column:
    """A column: a benchmark, an average, or a setting; fields as tables.toml explains them."""

    key: str
    title: str
    group: str = ""
    parts: tuple[str, ...] = ("",)  # of a cell "a/b"; one part without a name for a plain number
    total: str = ""
    average: str = ""
    split: str = ""
    digits: int = 1
    unit: str = ""
    seen: bool = False
    setting: bool = False


@dataclasses.dataclass(frozen=True)
class Note:
    """What was mended, or where the paper disagrees with itself; fields as in notes.toml."""

    kind: str  # "mended", "inconsistent" or "doubtful"
    cells: tuple[tuple[str, str, str], ...]  # (table, row, column), "*" for all
    text: str
    printed: str = ""  # what the transcription has, where it was mended

    def concerns(self, table: int, row: str, column: str) -> bool:
        """Whether it is about this cell."""
        sought = (str(table), row, column)
        return any(
            all(have in ("*", want) for have, want in zip(cell, sought, strict=True))
            for cell in self.cells
        )


@dataclasses.dataclass(frozen=True)
class Cell:
    """A number of a table, or two, in the paper's own units.

    Attributes:
      text: as printed, without mark and unit: "57.1", "89.3/81.9", "1442.4/–"; "–" where the paper
        leaves it out.
      values: part -> number: "" for a plain cell, else "perception", "testA", "box", ...; a part
        that the paper leaves out is not there, so that nothing is where it leaves out all.
      mark: "†" where it has one; `mark_means` says of what.
      notes: what was mended, and what disagrees with it.
    """

    text: str
    values: Mapping[str, float]
    mark: str = ""
    mark_means: str = ""
    notes: tuple[Note, ...] = ()

    @property
    def mended(self) -> bool:
        """Whether the transcription was wrong."""
        return any(note.kind == "mended" for note in self.notes)

    @property
    def value(self) -> float | None:
        """The number of a cell that has one; None where the paper leaves it out.

        Raises:
          ValueError: the cell has several, which `values` names.
        """
        if len(self.values) > 1:
            raise ValueError(
                f"the cell {self.text} has {len(self.values)} numbers, expected one; "
                f"choose of its values: {', '.join(self.values)}"
            )
        return next(iter(self.values.values()), None)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row: a model, or, in tables 1 to 3, a setting under its number.

    Attributes:
      key: a model's key, or "1", "2", ...
      printed: its name as this table prints it.
      reference: number in the paper's list; None for the paper's own.
      group: the heading above it: "3B", "SFT"; "" for none.
      settings: setting's column -> int, float or word.
      cells: column -> cell, settings not among them.
    """

    key: str
    printed: str
    reference: int | None
    group: str
    settings: Mapping[str, int | float | str]
    cells: Mapping[str, Cell]


@dataclasses.dataclass(frozen=True)
class Table:
    """One table; `turned` where the paper prints its columns as rows (table 4)."""

    number: int
    title: str
    section: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    turned: bool = False

    @property
    def scores(self) -> tuple[Column, ...]:
        """Columns that are not settings."""
        return tuple(column for column in self.columns if not column.setting)

    def row(self, key: str) -> Row:
        """The row of a model or setting; ValueError names the nearest."""
        return _named(f"row of table {self.number}", key, self.rows)

    def column(self, key: str) -> Column:
        """The column of a benchmark, average or setting; ValueError names the nearest."""
        return _named(f"column of table {self.number}", key, self.columns)

    def cell(self, row: str, column: str) -> Cell:
        """The cell of a model or setting and a benchmark or average.

        Raises:
          ValueError: there is no such row or column (the sentence names the nearest), or the
            column is a setting, which `Row.settings` has.
        """
        found, head = self.row(row), self.column(column)
        if head.setting:
            raise ValueError(
                f"column {column!r} of table {self.number} is a setting, expected a score: "
                f"{', '.join(c.key for c in self.scores)}"
            )
        return found.cells[column]


def _named(kind: str, key: str, among: Sequence[Any]) -> Any:
    for item in among:
        if item.key == key:
            return item
    raise unknown(kind, key, [item.key for item in among])


@functools.cache
def models() -> tuple[Model, ...]:
    """All models of tables 4 to 12: MM1.5's first, small before large, then MM1's and peers."""
    return tuple(Model(row.pop("model"), **row) for row in read_csv("models.csv"))


def model(key: str) -> Model:
    """The model called `key`; ValueError names the nearest."""
    return _named("model of the paper", key, models())


def models_of_family(family: str) -> tuple[Model, ...]:
    """MM1.5's models that experiments of a family train: "3b" gives the image, video, UI models.

    Args:
      family: an `ExperimentConfig.family`: "1b", "1b_moe", "3b", "3b_moe", "7b" or "30b".

    Raises:
      ValueError: the paper has none of that family; the sentence names the nearest.
    """
    found = tuple(m for m in models() if m.family == family and family)
    if not found:
        raise unknown("family", family, dict.fromkeys(m.family for m in models() if m.family))
    return found


@functools.cache
def notes() -> tuple[Note, ...]:
    """All that was mended, disagrees or is doubtful."""
    rows = read_toml("notes.toml")["note"]
    return tuple(
        Note(**{**row, "cells": tuple(tuple(cell.split("/")) for cell in row["cells"])})
        for row in rows
    )


@functools.cache
def tables() -> tuple[Table, ...]:
    """Tables 1 to 12."""
    return tuple(_read_table(fields) for fields in read_toml("tables.toml")["table"])


def table(number: int) -> Table:
    """Table `number`; ValueError where the paper has none."""
    for found in tables():
        if found.number == number:
            return found
    raise ValueError(f"there is no table {number}, expected 1 to {len(tables())}")


def cell(number: int, row: str, column: str) -> Cell:
    """A cell: `cell(7, "mm15_3b", "refcoco").values["testA"]`.

    Args:
      number: of the table.
      row: a model, or the number of a row of tables 1 to 3.
      column: a benchmark, as `mm15 eval --benchmarks` has it, or an average.

    Raises:
      ValueError: there is none; the sentence names the nearest.
    """
    return table(number).cell(row, column)


@functools.cache
def benchmarks() -> tuple[str, ...]:
    """The benchmarks of tables 5 to 12, averages over several left out."""
    columns = (column for found in tables() if found.number > 4 for column in found.scores)
    return tuple(column.key for column in columns if not column.average)


def _read_table(fields: dict[str, Any]) -> Table:
    number, marks = fields["number"], fields.pop("marks", {})
    columns = tuple(
        Column(**{**column, "parts": tuple(column.get("parts", ("",)))})
        for column in fields.pop("columns")
    )
    rows = []
    for line in read_csv(f"table{number:02d}.csv"):
        expected = [*_HEAD, *(column.key for column in columns)]
        assert list(line) == expected, f"table{number:02d}.csv has columns {list(line)}"
        key, printed, reference, group = (line[name] for name in _HEAD)
        cells = {
            column.key: _read_cell(line[column.key], column, marks, number, key)
            for column in columns
            if not column.setting
        }
        settings = {c.key: _read_setting(line[c.key]) for c in columns if c.setting}
        number_of_reference = int(reference) if reference else None
        rows.append(Row(key, printed, number_of_reference, group, settings, cells))
    return Table(**fields, columns=columns, rows=tuple(rows))


def _read_cell(text: str, column: Column, marks: Mapping[str, str], table: int, row: str) -> Cell:
    found = _CELL.fullmatch(text)
    assert found, f"table {table}, {row}, {column.key}: cannot read {text!r}"
    about = tuple(note for note in notes() if note.concerns(table, row, column.key))
    numbers = found["numbers"].split("/") if found["numbers"] else []
    if len(numbers) == 1 and len(column.parts) > 1:
        names: tuple[str, ...] = (column.total,)
    else:
        names = column.parts
    values = {
        name: float(number) for name, number in zip(names, numbers, strict=bool(numbers)) if number
    }
    shown = "/".join(number or "–" for number in numbers) or "–"
    return Cell(shown, values, found["mark"], marks[found["mark"]] if found["mark"] else "", about)


def _read_setting(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
