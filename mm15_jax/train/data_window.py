"""What was trained on since the last log step: speed, fill, and the mixture as it came out."""

from __future__ import annotations

import time
from collections.abc import Sequence

import jax
import numpy as np
from jax.experimental import multihost_utils

from mm15_jax.data.batch import BatchStats, Count

_MEASURES = ("examples", "tokens", "tiles", "loss_tokens")


class DataWindow:
    """Sums over the batches of some steps, of this process until `over_processes`."""

    def __init__(self, sources: Sequence[str], categories: Sequence[str]):
        """`sources` and `categories`: all that may come, in one order on every process."""
        self.began = time.monotonic()
        self.steps = 0
        self.waited = self.token_fill = self.tile_fill = 0.0
        self._sources = {name: Count() for name in sources}
        self._categories = {name: Count() for name in categories}
        self._sum = Count()

    def add(self, stats: BatchStats) -> None:
        """Adds a batch of one more step."""
        self.steps += 1
        self.token_fill += stats.token_fill
        self.tile_fill += stats.tile_fill
        self._sum.add(stats)
        for name, count in stats.by_source.items():
            self._sources[name].add(count)
        for name, count in stats.by_category.items():
            self._categories[name].add(count)

    @property
    def tokens(self) -> int:
        """Of all examples."""
        return self._sum.tokens

    @property
    def tiles(self) -> int:
        """Of all examples."""
        return self._sum.tiles

    @property
    def examples(self) -> int:
        """All that were trained on."""
        return self._sum.examples

    def over_processes(self, rows: int, batch_rows: int) -> DataWindow:
        """The window of all processes' rows; they all call it at the same step.

        Args:
          rows: of a batch that this process has; others may have the same, where a tensor axis
            lies across processes.
          batch_rows: of the whole batch.
        """
        if jax.process_count() > 1:
            counts = [self._sum, *self._sources.values(), *self._categories.values()]
            mine = [getattr(c, name) for c in counts for name in _MEASURES]
            # Whole numbers as such: as float32, which JAX would make of them, they are not exact.
            gathered = multihost_utils.process_allgather(np.array([rows, *mine], np.int32))
            all_rows, *whole = gathered.sum(axis=0, dtype=np.int64).tolist()
            values = iter(whole)
            for count in counts:
                for name in _MEASURES:
                    setattr(count, name, next(values) * batch_rows // all_rows)
            fill = np.array([self.token_fill, self.tile_fill], np.float32)
            mean = multihost_utils.process_allgather(fill).mean(axis=0, dtype=np.float64)
            self.token_fill, self.tile_fill = mean.tolist()
        return self

    def ratios(self) -> dict:
        """Columns of the mixture as it came out.

        `mixture/MEASURE/CATEGORY` is a category's share of all examples, tokens, tiles and loss
        tokens; `datasets` has the counts of each data set, which add up over rows.
        """
        row: dict = {}
        for measure in _MEASURES:
            total = getattr(self._sum, measure)
            for name, count in self._categories.items():
                if total:
                    row[f"mixture/{measure}/{name}"] = getattr(count, measure) / total
        row["datasets"] = {
            name: {measure: getattr(count, measure) for measure in _MEASURES}
            for name, count in self._sources.items()
            if count.examples
        }
        return row
