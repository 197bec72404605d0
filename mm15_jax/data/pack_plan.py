"""Which examples share a row, planned from token and tile counts before any pixel is decoded.

A window of the mixture is laid into rows under two budgets, tokens and tiles. The state of the data
is ONE integer, the cursor, which names a window and a row in it: `plan.batch(cursor, rows)` is
pure, so resuming costs one window, and every host computes the same rows whatever the number of
hosts. A plan holds no length of any example: it looks up those of the window at hand.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mm15_jax.data.mixture import Mixture, MixtureSource
from mm15_jax.data.packing import pack_rows
from mm15_jax.data.permutation import derive_seed, shuffled
from mm15_jax.data.plan_items import Budgets, Found, Items
from mm15_jax.inputs.example import Example

_VERSION = 3  # raise when the same sources and budgets give other rows


@dataclass(frozen=True)
class PlanSource:
    """A data set of the plan."""

    name: str
    items: Items
    weight: float  # its share of the examples, relative to the others'
    ordered: bool = False
    checksum: str = ""  # of its records and their counts
    start: int = 0  # items of it that were read before this plan began
    version: int = 0  # of the preparation that made its records
    records: str = ""  # checksum of the records alone


@dataclass(frozen=True)
class Row:
    """Examples that share a row, in their order in it."""

    sources: np.ndarray  # int32[k], numbers in `plan.sources`
    records: np.ndarray  # int64[k]
    pieces: np.ndarray  # int32[k], which piece of a document that is cut; else 0
    tokens: np.ndarray  # int32[k], of each example or piece
    tiles: np.ndarray  # int32[k]
    examples: tuple[Example, ...] = ()  # where they were read to be measured (late packing)


class Plan(Protocol):
    """Where a pipeline's rows come from."""

    sequence_length: int
    tiles_per_row: int

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides which rows follow which."""
        ...

    def batch(self, cursor: int, rows: int) -> tuple[list[Row], int]:
        """The next rows from a cursor on, and the cursor after them; it depends on nothing else."""
        ...


class PackPlan:
    """Rows of a mixture, endless, at random access."""

    def __init__(self, sources: Sequence[PlanSource], budgets: Budgets, *, window: int, seed: int):
        """Plans rows.

        Records that no row can hold make no item, so the mixture's ratios are those of the examples
        that train.

        Args:
          sources: data sets with distinct names, with items of these budgets.
          budgets: of a row.
          window: examples planned together.
          seed: of all shuffling.

        Raises:
          ValueError: as of `Mixture`.
        """
        self.sources = tuple(sources)
        self.budgets = budgets
        self.sequence_length, self.tiles_per_row = budgets.tokens, budgets.tiles
        self.window, self.seed = window, seed
        self.mixture = Mixture(
            [MixtureSource(s.name, len(s.items), s.weight, s.ordered, s.start) for s in sources],
            window=window,
            seed=seed,
        )
        # Consecutive batches lie in the same window or the next; rows are a few arrays each.
        self._rows = functools.lru_cache(maxsize=4)(self._plan_window)

    def starting_at(self, starts: Mapping[str, int]) -> PackPlan:
        """The same plan with sources that were read so far before it began."""
        sources = [dataclasses.replace(s, start=starts[s.name]) for s in self.sources]
        return PackPlan(sources, self.budgets, window=self.window, seed=self.seed)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides which rows follow which; a resumed run compares it.

        Where sources start plays no part: a change of the data continues them where they were.
        """
        facts: list = [_VERSION, self.budgets, self.window, self.seed]
        facts += [(s.name, float(s.weight), s.ordered, s.checksum) for s in self.sources]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def rows(self, window: int) -> list[Row]:
        """The rows of a window, in an order shuffled by the seed."""
        return self._rows(window)

    def _plan_window(self, window: int) -> list[Row]:
        sources, positions = self.mixture.ids(window)
        found = Found(
            np.empty(self.window, np.int64), *(np.empty(self.window, np.int32) for _ in range(3))
        )
        for number in np.unique(sources):
            chosen = np.flatnonzero(sources == number)
            here = self.sources[number].items.find(positions[chosen])
            for name in ("records", "pieces", "tokens", "tiles"):
                getattr(found, name)[chosen] = getattr(here, name)
        rows = pack_rows(
            found.tokens,
            found.tiles,
            max_tokens=self.sequence_length,
            max_tiles=self.tiles_per_row,
        )
        order = shuffled(len(rows), derive_seed("rows", self.seed, window))
        return [
            Row(sources[r], found.records[r], found.pieces[r], found.tokens[r], found.tiles[r])
            for r in (rows[i] for i in order)
        ]

    def batch(self, cursor: int, rows: int) -> tuple[list[Row], int]:
        """The next rows from a cursor on. Pure: it depends on its arguments alone.

        Args:
          cursor: 0 at the start, later what this function returned. It is window x examples a
            window + row in the window, which is unique, as no window has more rows than examples.
          rows: number of rows, those of all hosts together.

        Returns:
          The rows and the cursor after them.

        Raises:
          ValueError: if the cursor points at no row of this plan.
        """
        window, start = divmod(int(cursor), self.window)
        if cursor < 0 or start >= len(self.rows(window)):
            raise ValueError(
                f"the data cursor {cursor} is no row of this plan: it was saved with another "
                "mixture, window or row size"
            )
        taken: list[Row] = []
        while len(taken) < rows:
            planned = self.rows(window)
            part = planned[start : start + rows - len(taken)]
            taken += part
            start += len(part)
            if start == len(planned):
                window, start = window + 1, 0
        return taken, window * self.window + start
