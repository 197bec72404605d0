"""Which examples share a row, planned from token and tile counts before any pixel is decoded.

A window of the mixture is laid into rows by first-fit-decreasing under two budgets, tokens and
tiles. The state of the data is ONE integer, the cursor, which names a window and a row in it:
`plan.batch(cursor, rows)` is pure, so resuming costs one window, and every host computes the same
rows whatever the number of hosts.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mm15_jax.data.mixture import Mixture, MixtureSource
from mm15_jax.data.permutation import derive_seed, shuffled


def first_fit_decreasing(
    tokens: np.ndarray, tiles: np.ndarray, *, max_tokens: int, max_tiles: int
) -> list[np.ndarray]:
    """Rows of items under two budgets.

    Items are taken by falling size, the larger of their shares of the two budgets (equal sizes: as
    given), each into the first row that has room for it.

    Args:
      tokens: int32[n], each in [0, max_tokens].
      tiles: int32[n], each in [0, max_tiles].
      max_tokens: budget of a row.
      max_tiles: budget of a row; may be 0.

    Returns:
      For each row int64[k], the numbers of its items.
    """
    n = len(tokens)
    assert n == 0 or (tokens.max() <= max_tokens and tiles.max() <= max_tiles)
    # tokens / max_tokens against tiles / max_tiles, in integers.
    size = np.maximum(
        tokens.astype(np.int64) * max(max_tiles, 1), tiles.astype(np.int64) * max_tokens
    )
    order = np.argsort(-size, kind="stable")
    free_tokens = np.full(n, max_tokens, np.int32)
    free_tiles = np.full(n, max_tiles, np.int32)
    row_of = np.empty(n, np.int64)
    # Every row below `first` is too full for the smallest item; rows from `last` on are empty.
    least_tokens, first, last = tokens.min(initial=max_tokens + 1), 0, 0
    least_tiles = tiles.min(initial=max_tiles)
    for item, needs_tokens, needs_tiles in zip(
        order.tolist(), tokens[order].tolist(), tiles[order].tolist(), strict=True
    ):
        fits = free_tokens[first : last + 1] >= needs_tokens
        if needs_tiles:
            fits &= free_tiles[first : last + 1] >= needs_tiles
        row = first + int(fits.argmax())
        row_of[item] = row
        free_tokens[row] -= needs_tokens
        free_tiles[row] -= needs_tiles
        last = max(last, row + 1)
        while first < last and (
            free_tokens[first] < least_tokens or free_tiles[first] < least_tiles
        ):
            first += 1
    # Items of a row stand in the order in which they were laid into it.
    by_row = order[np.argsort(row_of[order], kind="stable")]
    return np.split(by_row, np.cumsum(np.bincount(row_of, minlength=last))[:-1]) if n else []


@dataclass(frozen=True)
class PlanSource:
    """A data set of the plan with the counts of its index."""

    name: str
    tokens: np.ndarray  # int32[n] of each record; negative: the record cannot be used
    tiles: np.ndarray  # int32[n]
    weight: float
    ordered: bool = False
    checksum: str = ""  # of its records and index


@dataclass(frozen=True)
class Row:
    """Examples that share a row, in their order in it."""

    sources: np.ndarray  # int32[k], numbers in `plan.sources`
    records: np.ndarray  # int64[k]


@dataclass(frozen=True)
class Dropped:
    """Records of a source that never enter a row, each in one of the lists."""

    too_long: np.ndarray  # int64[], more tokens than a row has
    too_many_tiles: np.ndarray  # int64[], more tiles than a row has
    unusable: np.ndarray  # int64[], damaged, or not to be formatted

    @property
    def total(self) -> int:
        """Number of records left out."""
        return len(self.too_long) + len(self.too_many_tiles) + len(self.unusable)


class PackPlan:
    """Rows of a mixture, endless, at random access."""

    def __init__(
        self,
        sources: Sequence[PlanSource],
        *,
        sequence_length: int,
        tiles_per_row: int,
        window: int,
        seed: int,
    ):
        """Plans rows.

        Records that no row can hold are left out before the mixture is drawn, so its ratios are
        those of the examples that train; `dropped` names them.

        Args:
          sources: data sets with distinct names; their weights count examples.
          sequence_length: S, tokens a row.
          tiles_per_row: N, tiles a row; 0 for text alone.
          window: examples planned together.
          seed: of all shuffling.

        Raises:
          ValueError: as of `Mixture`.
        """
        self.sources = tuple(sources)
        self.sequence_length = sequence_length
        self.tiles_per_row = tiles_per_row
        self.window = window
        self.dropped: dict[str, Dropped] = {}
        self._usable: list[np.ndarray] = []  # of each source: its records that fit
        for source in self.sources:
            unusable = source.tokens < 0
            too_long = ~unusable & (source.tokens > sequence_length)
            too_many = ~unusable & ~too_long & (source.tiles > tiles_per_row)
            self.dropped[source.name] = Dropped(
                *(np.flatnonzero(mask) for mask in (too_long, too_many, unusable))
            )
            self._usable.append(np.flatnonzero(~(unusable | too_long | too_many)))
        self.mixture = Mixture(
            [
                MixtureSource(s.name, len(usable), s.weight, s.ordered)
                for s, usable in zip(self.sources, self._usable, strict=True)
            ],
            window=window,
            seed=seed,
        )
        self._seed = seed
        # Consecutive batches lie in the same window or the next; rows are a few arrays each.
        self._rows = functools.lru_cache(maxsize=4)(self._plan_window)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of all that decides what a cursor means; a resumed run compares it."""
        digest = hashlib.sha256()
        budgets = (self.sequence_length, self.tiles_per_row, self.window, self._seed)
        digest.update(repr(budgets).encode())
        for source in self.sources:
            facts = (source.name, float(source.weight), source.ordered, source.checksum)
            digest.update(repr(facts).encode())
            digest.update(np.ascontiguousarray(source.tokens, np.int32).tobytes())
            digest.update(np.ascontiguousarray(source.tiles, np.int32).tobytes())
        return digest.hexdigest()[:16]

    def rows(self, window: int) -> list[Row]:
        """The rows of a window, in an order shuffled by the seed."""
        return self._rows(window)

    def _plan_window(self, window: int) -> list[Row]:
        sources, positions = self.mixture.ids(window)
        records = np.empty(self.window, np.int64)
        tokens = np.empty(self.window, np.int32)
        tiles = np.empty(self.window, np.int32)
        for number in np.unique(sources):
            chosen = np.flatnonzero(sources == number)
            source = self.sources[number]
            records[chosen] = found = self._usable[number][positions[chosen]]
            tokens[chosen], tiles[chosen] = source.tokens[found], source.tiles[found]
        rows = first_fit_decreasing(
            tokens, tiles, max_tokens=self.sequence_length, max_tiles=self.tiles_per_row
        )
        order = shuffled(len(rows), derive_seed("rows", self._seed, window))
        return [Row(sources[rows[i]], records[rows[i]]) for i in order]

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
