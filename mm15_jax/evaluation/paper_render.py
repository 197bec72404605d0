"""The paper's tables beside a run: for the terminal, as Markdown, and as a dict for JSON."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import rich.box
import rich.console
import rich.table
import rich.text

from mm15_jax.data.storage import write_atomically
from mm15_jax.evaluation.paper_tables import DASH, Entry, PaperTable
from mm15_jax.evaluation.results import for_split

MARKDOWN = "paper_tables.md"


@dataclasses.dataclass(frozen=True)
class _Grid:
    """A table in words, as the paper prints it.

    Attributes:
      heads: of the columns; the first `labels` of them name the row.
      over: a heading over each column, "" where the one before it goes on; empty for none.
      rows: words of each row.
      ours: indices of rows, or of columns in a turned table, that are this run's.
      breaks: indices of rows that begin a new group.
    """

    heads: list[str]
    labels: int
    over: list[str]
    rows: list[list[str]]
    ours: set[int]
    breaks: set[int]


def title_of(table: PaperTable) -> str:
    """The title with its number in the paper."""
    return f"Table {table.number}: {table.title}" if table.number else table.title


def missing_sentence(table: PaperTable) -> str:
    """What this run has no score of; "" if nothing is missing."""
    return f"Not scored: {', '.join(table.missing)}." if table.missing else ""


def to_rich(table: PaperTable, width: int) -> list[rich.table.Table]:
    """The table for the terminal, this run in bold; several, of some columns each, if it is wide.

    Args:
      table: of `paper_tables`.
      width: columns of the terminal. A table that is wider has its heads and cells broken, or a
        row a benchmark and names of models without what is common to them, or goes on below.
    """
    common = _common([line.name for line in table.lines if not line.is_ours])
    whole, stacked = _grid(table), _broken(_stacked(table, common))
    ways = [(whole, table.turned, ""), (_broken(whole), table.turned, ""), (stacked, True, common)]
    fitting = [way for way in ways if _width(way[0]) <= width]
    grid, turned, common = fitting[0] if fitting else ways[1]
    title = title_of(table) + (f" ({common}...)" if common else "")
    return [
        _to_rich(part, title if number == 0 else f"{title}, continued", turned=turned)
        for number, part in enumerate([grid] if fitting else _parts(grid, width))
    ]


def _to_rich(grid: _Grid, title: str, *, turned: bool) -> rich.table.Table:
    # Text, not markup: names and marks may have brackets.
    shown = rich.table.Table(
        title=rich.text.Text(title),
        title_justify="left",
        box=rich.box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for index, head in enumerate(_heads(grid)):
        label = index < grid.labels
        shown.add_column(
            rich.text.Text(head),
            justify="left" if label else "right",
            style="bold" if turned and index in grid.ours else None,
            no_wrap=not label,
            overflow="fold",
        )
    for index, row in enumerate(grid.rows):
        if index in grid.breaks and index:
            shown.add_section()
        style = "bold" if not turned and index in grid.ours else None
        shown.add_row(*(rich.text.Text(word) for word in row), style=style)
    return shown


def _parts(grid: _Grid, width: int) -> list[_Grid]:
    """As many of the columns as fit, then the others, each time beside the labels."""
    parts, columns = list[_Grid](), list(range(grid.labels))
    for index in range(grid.labels, len(grid.heads)):
        if len(columns) > grid.labels and _width(_some(grid, [*columns, index])) > width:
            parts.append(_some(grid, columns))
            columns = list(range(grid.labels))
        columns.append(index)
    return [*parts, _some(grid, columns)]


def _some(grid: _Grid, columns: Sequence[int]) -> _Grid:
    """Some columns of an upright grid."""
    return dataclasses.replace(
        grid,
        heads=[grid.heads[i] for i in columns],
        over=[grid.over[i] for i in columns] if grid.over else [],
        rows=[[row[i] for i in columns] for row in grid.rows],
    )


def _heads(grid: _Grid) -> list[str]:
    if not grid.over:
        return grid.heads
    return [f"{over}\n{head}" for over, head in zip(grid.over, grid.heads, strict=True)]


def _broken(grid: _Grid) -> _Grid:
    """Heads in a word a line, parts of a cell ("92.0/86.1") one above the other."""

    def broken(text: str) -> str:
        return re.sub(r" |(?<=_)|(?<=-)(?=\w{4})", "\n", text)

    def numbers(words: list[str], change: Callable[[str], str]) -> list[str]:
        return [*words[: grid.labels], *map(change, words[grid.labels :])]

    return dataclasses.replace(
        grid,
        heads=numbers(grid.heads, broken),
        over=numbers(grid.over, broken),
        rows=[numbers(row, lambda word: word.replace("/", "/\n")) for row in grid.rows],
    )


def _common(names: Sequence[str]) -> str:
    """The parts, between hyphens, that several names begin with."""
    common = names[0] if len(names) > 1 else ""
    while not all(name.startswith(common) for name in names):
        common = common[:-1]
    return common[: common.rfind("-") + 1]


def _width(grid: _Grid) -> int:
    """Columns of a terminal that it takes: labels by their longest word, others by their lines."""
    total = 1
    for index, head in enumerate(_heads(grid)):
        texts = [head, *(row[index] for row in grid.rows)]
        cut = str.split if index < grid.labels else str.splitlines
        total += 2 + max(len(piece) for text in texts for piece in cut(text))
    return total


def print_tables(tables: Sequence[PaperTable], console: rich.console.Console | None = None) -> None:
    """Prints the tables with what is missing and what hinders comparing."""
    console = console or rich.console.Console()
    for table in tables:
        for shown in to_rich(table, console.width):
            console.print(shown)
        for sentence in (missing_sentence(table), *table.remarks):
            if sentence:
                console.print(sentence, highlight=False, markup=False)


def to_markdown(table: PaperTable) -> str:
    """The table as GitHub prints it, this run in bold, with its remarks below."""
    grid = _grid(table)
    rules = ["---" if i < grid.labels else "---:" for i in range(len(grid.heads))]
    lines = [f"### {title_of(table)}", "", _pipes(grid.heads), f"|{'|'.join(rules)}|"]
    if grid.over:
        lines.append(_pipes([f"*{word}*" if word else "" for word in grid.over]))
    for index, row in enumerate(grid.rows):
        strong = {*range(len(row))} if not table.turned and index in grid.ours else set()
        strong |= grid.ours if table.turned else set()
        lines.append(_pipes([f"**{w}**" if i in strong else w for i, w in enumerate(row)]))
    remarks = [f"- {s}" for s in (missing_sentence(table), *table.remarks) if s]
    return "\n".join([*lines, *([""] if remarks else []), *remarks]) + "\n"


def write_tables(run_dir: pathlib.Path, tables: Sequence[PaperTable], split: str) -> None:
    """Writes paper_tables.md, or paper_tables_<split>.md; nothing where there is no table."""
    if tables:
        text = "\n".join(to_markdown(table) for table in tables)
        write_atomically(run_dir / for_split(MARKDOWN, split), text.encode())


def to_dict(table: PaperTable) -> dict[str, Any]:
    """The table for JSON: columns, and a row a model with its numbers by column and part."""
    return {
        "table": table.number,
        "title": table.title,
        "columns": [{"key": c.key, "title": c.title, "group": c.group} for c in table.columns],
        "rows": [
            {
                "model": line.key or None,
                "name": line.name,
                "group": line.group,
                "ours": line.is_ours,
                "cells": {
                    key: {"text": entry.text, "mark": entry.mark, "values": dict(entry.values)}
                    for key, entry in line.entries.items()
                },
            }
            for line in table.lines
        ],
        "missing": list(table.missing),
        "remarks": list(table.remarks),
    }


def _grid(table: PaperTable) -> _Grid:
    return _turned(table) if table.turned else _upright(table)


def _upright(table: PaperTable) -> _Grid:
    names = [column.group.removesuffix(" Benchmarks") for column in table.columns]
    groups, several = _first_of_each(names), len(set(names)) > 1
    rows = [
        [line.name, *(_word(line.entries[c.key], c.unit) for c in table.columns)]
        for line in table.lines
    ]
    starts = _first_of_each([line.group if line.key else "ours" for line in table.lines])
    return _Grid(
        heads=["Model", *(column.title for column in table.columns)],
        labels=1,
        over=["", *groups] if several else [],
        rows=rows,
        ours={i for i, line in enumerate(table.lines) if line.is_ours},
        breaks={i for i, group in enumerate(starts) if group},
    )


def _turned(table: PaperTable) -> _Grid:
    groups = _first_of_each([column.group for column in table.columns])
    rows = [
        [
            group,
            f"{'†' if column.seen else ''}{column.title}",
            *(_word(line.entries[column.key], column.unit) for line in table.lines),
        ]
        for group, column in zip(groups, table.columns, strict=True)
    ]
    return _Grid(
        heads=["Capability", "Benchmark", *(line.name for line in table.lines)],
        labels=2,
        over=[],
        rows=rows,
        ours={2 + i for i, line in enumerate(table.lines) if line.is_ours},
        breaks={i for i, group in enumerate(groups) if group},
    )


def _stacked(table: PaperTable, common: str) -> _Grid:
    """Turned, its groups above their benchmarks."""
    groups = _first_of_each([column.group.removesuffix(" Benchmarks") for column in table.columns])
    several = sum(map(bool, groups)) > 1
    rows = list[list[str]]()
    breaks = set[int]()
    for group, column in zip(groups, table.columns, strict=True):
        if group and several:
            breaks.add(len(rows))
            rows.append([group, *[""] * len(table.lines)])
        words = [_word(line.entries[column.key], column.unit) for line in table.lines]
        name = f"{'  ' if several else ''}{'†' if column.seen else ''}{column.title}"
        rows.append([name, *words])
    return _Grid(
        heads=["", *(line.name.removeprefix(common) for line in table.lines)],
        labels=1,
        over=[],
        rows=rows,
        ours={1 + i for i, line in enumerate(table.lines) if line.is_ours},
        breaks=breaks,
    )


def _word(entry: Entry, unit: str) -> str:
    return DASH if entry.text == DASH else f"{entry.text}{unit}{entry.mark}"


def _first_of_each(groups: Sequence[str]) -> list[str]:
    """The groups with repetitions blank."""
    return [g if i == 0 or g != groups[i - 1] else "" for i, g in enumerate(groups)]


def _pipes(words: Sequence[str]) -> str:
    return "| " + " | ".join(word.replace("|", "\\|") for word in words) + " |"
