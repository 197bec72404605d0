"""Facts of an experiment's rows for `mm15 inspect`: planned ones counted, some read."""

from __future__ import annotations

import pathlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rich.console
import rich.table

from mm15_jax import config as config_lib
from mm15_jax.config import ExperimentConfig
from mm15_jax.data.inspection import Facts, ReadRow, plan_facts, read_rows, window_fill
from mm15_jax.data.pack_plan import PackPlan, Plan, Row
from mm15_jax.data.planning import plan_mixture
from mm15_jax.data.records import Dataset

_WINDOWS = 24  # windows whose fill is shown
_WORST = 5  # rows named


@dataclass
class SourceFacts:
    """A data set of the mixture, as planned and as read."""

    name: str
    category: str
    records: int | None  # None of a stream
    items: int | None  # None without an index
    target: float  # share of the examples it should have
    examples: float  # share it has
    tokens: float  # share of all tokens
    tiles: float
    mean_tokens: float
    mean_tiles: float
    longest: int  # tokens of its longest example here
    most_tiles: int
    read: int = 0  # examples that were read
    milliseconds: float = 0.0  # to read one, on one core
    loss_share: float = 0.0  # of its tokens that were read


@dataclass
class Inspection:
    """All that a page or a table shows."""

    config: ExperimentConfig
    plan: Plan
    cursor: int
    batches: int
    next_cursor: int
    facts: Facts
    sources: list[SourceFacts]
    windows: list[tuple[int, float, float]]  # window, token fill, tile fill
    planned: list[Row] = field(repr=False)
    read: list[ReadRow] = field(repr=False)

    @property
    def token_fill(self) -> float:
        """Of all planned rows."""
        return float(np.mean(self.facts.token_fill))

    @property
    def tile_fill(self) -> float:
        """Of all planned rows."""
        return float(np.mean(self.facts.tile_fill))

    def categories(self) -> dict[str, dict[str, float]]:
        """Category to its shares: target, examples, tokens, tiles, loss tokens of what was read."""
        found: dict[str, dict[str, float]] = {}
        for source in self.sources:
            row = found.setdefault(
                source.category,
                dict.fromkeys(("target", "examples", "tokens", "tiles", "loss_tokens"), 0.0),
            )
            for name in ("target", "examples", "tokens", "tiles"):
                row[name] += getattr(source, name)
        learned: dict[str, int] = defaultdict(int)
        for example in (e for row in self.read for e in row.examples):
            learned[example.category] += example.loss_tokens
        for name, row in found.items():
            row["loss_tokens"] = learned[name] / max(sum(learned.values()), 1)
        return found

    def worst_rows(self) -> list[tuple[int, float, float, int]]:
        """(row, token fill, tile fill, examples) of the rows that fill worst, by their tokens."""
        order = np.argsort(self.facts.token_fill, kind="stable")[:_WORST]
        return [
            (int(i), self.facts.token_fill[i], self.facts.tile_fill[i], self.facts.segments[i])
            for i in order
        ]

    def slowest_rows(self) -> list[ReadRow]:
        """Rows that took longest to read, of those that were."""
        return sorted(self.read, key=lambda row: -row.seconds)[:_WORST]

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "plan": self.plan.fingerprint,
            "rows": self.facts.rows,
            "next_cursor": self.next_cursor,
            "token_fill": self.token_fill,
            "tile_fill": self.tile_fill,
            "examples": self.facts.total.examples,
            "tokens": self.facts.total.tokens,
            "tiles": self.facts.total.tiles,
            "categories": self.categories(),
            "datasets": [vars(source) for source in self.sources],
            "windows": [{"window": w, "token_fill": t, "tile_fill": n} for w, t, n in self.windows],
            "bad_records": [reason for row in self.read for reason in row.bad],
        }


def inspect(
    config: ExperimentConfig,
    data_dir: pathlib.Path,
    *,
    batches: int,
    read: int,
    cursor: int,
    split: str,
) -> Inspection:
    """Plans batches from a cursor on; reads the first rows of them, and the one that fills worst.

    Args:
      config: of the experiment.
      data_dir: where its data sets are.
      batches: global batches to plan.
      read: rows to read, decode and tile.
      cursor: data state to begin at.
      split: of the data sets.
    """
    plan, datasets = plan_mixture(config, data_dir, split=split)
    rows, after = plan.batch(cursor, batches * config.train.batch_rows)
    names = [dataset.name for dataset in datasets]
    facts = plan_facts(rows, plan, names)
    windows: list[tuple[int, float, float]] = []
    if isinstance(plan, PackPlan):
        first = cursor // plan.window
        windows = window_fill(plan, range(first, first + _WINDOWS))
    # The first ones, and the one that fills worst.
    chosen, worst = list(range(min(read, len(rows)))), int(np.argmin(facts.token_fill))
    if worst not in chosen and read > 1:
        chosen[-1] = worst
    read_here = list(read_rows({number: rows[number] for number in chosen}, datasets, config))
    return Inspection(
        config,
        plan,
        cursor,
        batches,
        after,
        facts,
        _source_facts(config, plan, datasets, facts, read_here),
        windows,
        rows,
        read_here,
    )


def _source_facts(config, plan, datasets, facts: Facts, read: list[ReadRow]) -> list[SourceFacts]:
    categories = {
        name: group.category for group in config_lib.mixture(config) for name in group.datasets
    }
    weights = {source.name: source.weight for source in plan.sources}
    everything = facts.total
    found = []
    for i, dataset in enumerate(datasets):
        name, count = dataset.name, facts.by_source[dataset.name]
        longest, most_tiles = facts.longest.get(name, (0, 0))
        here = [e for row in read for e in row.examples if e.source == name]
        found.append(
            SourceFacts(
                name,
                categories[name],
                len(dataset) if isinstance(dataset, Dataset) else None,
                len(plan.sources[i].items) if isinstance(plan, PackPlan) else None,
                weights[name] / sum(weights.values()),
                count.examples / max(everything.examples, 1),
                count.tokens / max(everything.tokens, 1),
                count.tiles / max(everything.tiles, 1),
                count.tokens / max(count.examples, 1),
                count.tiles / max(count.examples, 1),
                longest,
                most_tiles,
                len(here),
                1000 * float(np.mean([e.seconds for e in here])) if here else 0.0,
                sum(e.loss_tokens for e in here) / max(sum(e.tokens for e in here), 1),
            )
        )
    return found


def print_stats(found: Inspection, console: rich.console.Console | None = None) -> None:
    """Prints the mixture as it comes out, by data set, and how rows fill."""
    console = console or rich.console.Console()
    # Cut columns say nothing: a narrow terminal wraps lines instead.
    console.width = max(console.width, 124)
    config, total = found.config, found.facts.total
    console.print(
        f"[bold]{config.name}[/bold]: mixture {config.data.mixture}, {found.facts.rows:,} rows of "
        f"{found.plan.sequence_length:,} tokens and {found.plan.tiles_per_row} tiles from cursor "
        f"{found.cursor:,} on"
    )
    table = rich.table.Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("data set")
    for name in (
        "records",
        "target",
        "examples",
        "tokens",
        "tiles",
        "tokens each",
        "longest",
        "tiles each",
        "learned",
        "ms each",
    ):
        table.add_column(name, justify="right")
    by_category: dict[str, list[SourceFacts]] = {}
    for source in found.sources:
        by_category.setdefault(source.category, []).append(source)
    for category, shares in found.categories().items():
        columns = [f"{shares[name]:.1%}" for name in ("target", "examples", "tokens", "tiles")]
        table.add_row(f"[bold]{category}[/bold]", "", *columns, style="bold")
        for s in by_category[category]:
            table.add_row(
                f"  {s.name}",
                "-" if s.records is None else f"{s.records:,}",
                *(f"{x:.1%}" for x in (s.target, s.examples, s.tokens, s.tiles)),
                f"{s.mean_tokens:,.0f}",
                f"{s.longest:,}",
                f"{s.mean_tiles:.1f}",
                f"{s.loss_share:.0%}" if s.read else "-",
                f"{s.milliseconds:.1f}" if s.read else "-",
            )
    console.print(table)
    console.print(
        f"fill: tokens [bold]{found.token_fill:.1%}[/bold], tiles [bold]{found.tile_fill:.1%}"
        f"[/bold]; {total.examples:,} examples, {np.mean(found.facts.segments):.1f} a row; "
        f"next cursor {found.next_cursor:,}"
    )
    for reason in (reason for row in found.read for reason in row.bad):
        console.print(f"left out: {reason}", markup=False)
