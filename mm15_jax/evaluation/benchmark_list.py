"""The list of benchmarks that `mm15 eval --list` prints: for people and as JSON."""

from __future__ import annotations

import itertools
from typing import Any

import rich.console
import rich.table

from mm15_jax.evaluation.benchmarks import TABLE, Benchmark
from mm15_jax.evaluation.oracles import oracles_of
from mm15_jax.evaluation.score_table import SUITE_TITLES, TITLES

_WIDE = 120  # columns of a terminal that has room for what a point of the score means


def describe(row: Benchmark) -> dict[str, Any]:
    """A benchmark's facts, JSON's kinds of values."""
    return {
        "name": row.name,
        "suite": row.suite,
        "category": row.category,
        "metric": list(row.metrics),
        "aggregate": row.aggregate,
        "oracle": list(oracles_of(row)),
        "judge": row.judge,
        "measures": row.measures,
        "data": [f"{part.data_set}/{part.split}" for part in row.data_sets],
        "prompt": row.prompt,
        "shots": row.shots,
        "max_new_tokens": row.max_new_tokens,
        "averaged": row.averaged,
    }


def print_list(console: rich.console.Console | None = None) -> None:
    """Prints a table a suite, its categories one below the other; fits into 80 columns."""
    console = console or rich.console.Console()
    for suite, rows in itertools.groupby(TABLE, lambda row: row.suite):
        console.print(_table(suite, list(rows), wide=console.width >= _WIDE))
    console.print(
        "oracle: whose scorer the metric is held against (docs/metrics.md). judge: a language "
        "model scores (docs/judges.md). --json has all facts.",
        highlight=False,
    )


def _table(suite: str, rows: list[Benchmark], *, wide: bool) -> rich.table.Table:
    title = f"{SUITE_TITLES.get(suite, suite)} ({suite}): {len(rows)}"
    table = rich.table.Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("benchmark", no_wrap=True)
    for name in ("metric", "split", "oracle"):
        table.add_column(name)
    if wide:
        table.add_column("a point of the score")
    for category, members in itertools.groupby(rows, lambda row: row.category):
        table.add_row(f"[bold]{TITLES[category]}[/bold]")
        for row in members:
            splits = dict.fromkeys(part.split for part in row.data_sets)
            cells = ["\n".join(names) for names in (_metric(row), splits, _oracle(row))]
            table.add_row(f"  {row.name}", *cells, *([row.measures] if wide else []))
    return table


def _metric(row: Benchmark) -> list[str]:
    """How answers are scored, and how scores become one where it is more than their mean."""
    more = [] if row.aggregate in ("mean", row.judge) else [row.aggregate]
    return list(dict.fromkeys([*row.metrics, *more]))


def _oracle(row: Benchmark) -> list[str]:
    """The projects alone, without version and place."""
    return list(dict.fromkeys(scorer.partition(":")[0].split()[0] for scorer in oracles_of(row)))
