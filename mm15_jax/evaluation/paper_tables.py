"""The paper's tables 4 to 12 with a run's scores in a row of their own (arXiv 2409.20566)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from mm15_jax import paper
from mm15_jax.evaluation.benchmarks import TABLE
from mm15_jax.evaluation.results import BenchmarkResult, Results

NUMBERS = tuple(range(4, 13))
AVERAGES = (
    "general", "text_rich", "knowledge", "refer_ground", "multi_image", "in_context", "mmbase",
)  # fmt: skip
DASH = "–"
OURS = "this run"
_DETAILED = range(5, 10)  # of the image models: what category averages are made of
# Benchmarks whose columns are parts of the result of another: the five splits of table 7.
_WITHIN = {"refcoco": "refcoco", "refcoco_plus": "refcoco", "refcocog": "refcoco"}
# VCGBench is printed from 0 to 5; scores are 0-100.
_UNITS = {"vcgbench": 5 / 100}
_SPLITS = {"val": "validation"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A cell: numbers by part in the paper's units, and how they are printed (no unit)."""

    text: str
    values: Mapping[str, float]
    mark: str = ""


@dataclasses.dataclass(frozen=True)
class Line:
    """A model's cells by column; `key` is "" for this run."""

    key: str
    name: str
    group: str
    entries: Mapping[str, Entry]

    @property
    def is_ours(self) -> bool:
        """Whether it is this run, not the paper's."""
        return not self.key


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """A table of the paper beside a run.

    Attributes:
      number: of the paper's table; None for category averages, which the paper has no table of.
      columns: benchmarks and averages, without settings.
      lines: the paper's models in its order, then this run.
      missing: benchmarks, or parts of them ("refcoco.testB"), that this run has no score of.
      remarks: sentences on what hinders comparing, and on what disagrees in the paper.
    """

    number: int | None
    title: str
    columns: tuple[paper.Column, ...]
    lines: tuple[Line, ...]
    missing: tuple[str, ...]
    remarks: tuple[str, ...]
    turned: bool = False

    @property
    def ours(self) -> Line:
        """This run's line."""
        return self.lines[-1]


def paper_tables(
    results: Results,
    *,
    numbers: Iterable[int] = NUMBERS,
    peers: bool = False,
    name: str = OURS,
) -> list[PaperTable]:
    """The paper's tables in which a run has at least one score, and its category averages.

    Numbers are in the paper's units: MME's perception and cognition, RefCOCO's testA and testB,
    LVIS-Ref's box and point, OCRBench's in per cent, VCGBench's from 0 to 5, CIDEr times 100.
    Averages are as averages.toml defines them: none unless all its members are there.

    Args:
      results: of `evaluate`; benchmarks that no table has are left out.
      numbers: of tables, 4 to 12.
      peers: whether models of others, and MM1, are shown too.
      name: what this run is called in its line.

    Raises:
      ValueError: a table that is not one of 4 to 12.
    """
    numbers = tuple(numbers)
    wrong = [number for number in numbers if number not in NUMBERS]
    if wrong:
        raise ValueError(f"table {wrong[0]} has no scores of benchmarks, expected 4 to 12")
    lookup = lookup_of_results(results)
    found = [_table(paper.table(number), results, lookup, peers, name) for number in numbers]
    if set(_DETAILED) <= set(numbers):
        found.append(_averages(results, lookup, peers, name))
    return [table for table in found if any(e.values for e in table.ours.entries.values())]


def lookup_of_results(results: Results) -> paper.Lookup:
    """A run's numbers by benchmark and part in the paper's units, for `paper.evaluate`."""
    return lookup_of_scores({row.name: row for row in results.benchmarks})


class Scored(Protocol):
    """What a benchmark gave: its score from 0 to 100, and parts of it."""

    @property
    def score(self) -> float | None:
        """None where it has none."""

    @property
    def parts(self) -> Mapping[str, float]:
        """As the field prints them."""


def lookup_of_scores(by_name: Mapping[str, Scored]) -> paper.Lookup:
    """Numbers of benchmarks by their names and parts in the paper's units, for `paper.evaluate`.

    A part is one of the benchmark's result ("refcoco" with part "testA"), or a benchmark by itself
    ("refcoco_testA"), or so called in the result of a benchmark over several; a single split
    likewise ("refcocog", or "refcocog_test").
    """

    def lookup(benchmark: str, part: str) -> float | None:
        split = f"{benchmark}_{part or 'test'}"
        whole, over = by_name.get(benchmark), by_name.get(_WITHIN.get(benchmark, ""))
        if part and whole and part in whole.parts:
            return whole.parts[part]
        if over and split in over.parts:
            return over.parts[split]
        row = by_name.get(split) if part else whole or by_name.get(split)
        if row is None or row.score is None:
            return None
        return row.score * _UNITS.get(benchmark, 1.0)

    return lookup


def _table(
    table: paper.Table, results: Results, lookup: paper.Lookup, peers: bool, name: str
) -> PaperTable:
    lines = []
    for row in table.rows:
        model = paper.model(row.key)
        if model.is_mm15 or peers:
            entries = {key: Entry(c.text, c.values, c.mark) for key, c in row.cells.items()}
            lines.append(Line(row.key, model.name, row.group, entries))
    entries, missing = _ours(table.scores, lookup)
    remarks = [*_on_this_run(table.scores, results), *_on_the_paper(table, lines)]
    return PaperTable(
        number=table.number,
        title=table.title,
        columns=table.scores,
        lines=(*lines, Line("", name, "", entries)),
        missing=missing,
        remarks=tuple(remarks),
        turned=table.turned,
    )


def _averages(results: Results, lookup: paper.Lookup, peers: bool, name: str) -> PaperTable:
    columns = tuple(paper.Column(key, paper.average(key).title, average=key) for key in AVERAGES)
    shown = dict.fromkeys(row.key for n in _DETAILED for row in paper.table(n).rows)
    lines = []
    for model in paper.models():
        if model.key in shown and (model.is_mm15 or peers):
            entries, _ = _ours(columns, paper.lookup_of_model(model.key))
            if any(entry.values for entry in entries.values()):
                lines.append(Line(model.key, model.name, "", entries))
    entries, missing = _ours(columns, lookup)
    return PaperTable(
        number=None,
        title="Category averages and MMBase",
        columns=columns,
        lines=(*lines, Line("", name, "", entries)),
        missing=missing,
        remarks=("The paper's are computed here from its tables 5 to 9.",),
    )


def _ours(
    columns: Iterable[paper.Column], lookup: paper.Lookup
) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """A line's cells from its numbers, and what is missing for them."""
    entries, missing = {}, list[str]()
    for column in columns:
        if column.average:
            found = paper.evaluate(column.average, lookup)
            values = {} if found.value is None else {"": found.value}
            text = _print(values.get(""), column)
            missing += found.missing
        else:
            numbers = {part: lookup(column.key, part) for part in column.parts}
            values = {part: value for part, value in numbers.items() if value is not None}
            text = "/".join(_print(value, column) for value in numbers.values())
            text = text if values else DASH
            missing += [
                f"{column.key}.{part}" if part else column.key
                for part in column.parts
                if part not in values
            ]
        entries[column.key] = Entry(text, values)
    return entries, tuple(dict.fromkeys(missing))


def _print(value: float | None, column: paper.Column) -> str:
    return DASH if value is None else f"{value:.{column.digits}f}"


def _on_this_run(columns: Iterable[paper.Column], results: Results) -> list[str]:
    """What a reader must know of this run's numbers before comparing."""
    known = {row.name: row for row in TABLE}
    columns = tuple(columns)
    keys = _benchmarks_of(columns)
    rows = [r for r in results.benchmarks if r.score is not None and keys(r.name) is not None]
    remarks = []
    if results.split != "test" and rows:
        remarks.append(f"This run was scored on the {results.split} split.")
    for row in rows:
        column = keys(row.name)
        if results.split != "test" or row.name not in known or column is None or not column.split:
            continue
        theirs = _SPLITS.get(column.split, column.split)
        ours = [part.split for part in known[row.name].data_sets if part.split != theirs]
        if ours and row.name == column.key:  # else it is a benchmark over several columns
            split = ", ".join(ours)
            remarks.append(f"{row.name}: the paper's is of the {theirs} split, ours of {split}.")
    remarks += [_judged(row) for row in rows if row.judge]
    for row in rows:
        lacking = row.parts.get("missing_subtasks", 0)
        if row.name == "mme" and lacking:
            remarks.append(f"mme: {lacking:.0f} of 14 subtasks were not asked and count as 0.")
    if rows:
        counts = "; ".join(f"{row.name} {row.count:,}" for row in rows)
        remarks.append(f"Examples scored: {counts}.")
    return remarks


def _judged(row: BenchmarkResult) -> str:
    lost = f"; without a readable score, counted as 0: {row.failures}" if row.failures else ""
    return f"{row.name}: judged by {row.judge}{lost}."


def _benchmarks_of(
    columns: Iterable[paper.Column],
) -> Callable[[str], paper.Column | None]:
    """A function from a benchmark's name to the column that its score is in, or goes into."""
    places: dict[str, paper.Column] = {}

    def add(key: str, part: str, column: paper.Column) -> None:
        places[key] = places[f"{key}_{part}" if part else f"{key}_test"] = column

    def add_average(key: str, column: paper.Column) -> None:
        for member in paper.average(key).members:
            if member in paper.averages():
                add_average(member, column)
            else:
                benchmark, _, part = member.partition(".")
                add(benchmark, part, column)

    for column in columns:
        if column.average:
            add_average(column.average, column)
        else:
            for part in column.parts:
                add(column.key, part, column)
    return places.get


def _on_the_paper(table: paper.Table, lines: Iterable[Line]) -> list[str]:
    """Marks of the cells that are shown, and where the paper disagrees with itself."""
    remarks = dict[str, None]()
    if any(column.seen for column in table.scores):
        remarks["† the benchmark's training set was in MM1.5's training data."] = None
    about: dict[paper.Note, dict[str, None]] = {}
    for line in lines:
        for column in table.scores:
            cell = table.cell(line.key, column.key)
            if cell.mark:
                remarks[f"{cell.mark} {cell.mark_means}."] = None
            for note in cell.notes:
                whole = all(row == "*" for _, row, _ in note.cells)
                if note.kind == "inconsistent" or (note.kind == "doubtful" and not whole):
                    place = column.title if whole else f"{line.name}, {column.title}"
                    about.setdefault(note, {})[place] = None
    return [*remarks, *(f"{'; '.join(places)}: {note.text}." for note, places in about.items())]
