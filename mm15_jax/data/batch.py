"""From formatted examples to a Batch: numpy arrays of static shapes.

B rows, S tokens a row, N tiles a row, T vision tokens a tile, r pixels a side of a tile.

    tokens        int32[B, S]           token ids, 0 where there is nothing
    segment_ids   int32[B, S]           1, 2 ... for the examples of a row, 0 for padding
    positions     int32[B, S]           from 0 in each example
    vision_index  int32[B, S]           tile slot x T + token: the vision token of this row that
                                        stands here; -1 for text and padding
    loss_weights  float32[B, S]         weight of PREDICTING the token that stands here
    category_ids  int32[B, S]           category of the example, for the loss by category; 0 also
                                        for padding, whose loss weight is 0
    tiles         uint8[B, N, r, r, 3]  N may be 0
    tile_valid    bool[B, N]            False for a slot without a tile
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mm15_jax.inputs.formatting import Formatted

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class BatchShape:
    """Static sizes of a batch, named as in the legend above."""

    rows: int
    sequence_length: int
    tiles_per_row: int
    tokens_per_tile: int
    resolution: int

    @property
    def bytes(self) -> int:
        """Of a batch's arrays, near enough: six of 4 bytes a token, three bytes a pixel."""
        pixels = self.tiles_per_row * self.resolution**2
        return self.rows * (6 * 4 * self.sequence_length + 3 * pixels)


@dataclasses.dataclass(frozen=True)
class Decoded:
    """One example, ready to be laid into a row."""

    formatted: Formatted
    tiles: Sequence[np.ndarray]  # uint8[k, r, r, 3] of each picture or frame
    category: str
    source: str


@dataclasses.dataclass
class Count:
    """Sums over examples."""

    examples: int = 0
    tokens: int = 0
    tiles: int = 0
    loss_tokens: int = 0  # tokens that are predicted with a weight above 0

    def add(self, other: Count) -> None:
        """Adds another sum to this one."""
        self.examples += other.examples
        self.tokens += other.tokens
        self.tiles += other.tiles
        self.loss_tokens += other.loss_tokens


@dataclasses.dataclass
class BatchStats(Count):
    """What a batch of this host holds, in all, by category and by source."""

    token_fill: float = 0.0  # share of the rows' tokens that is not padding
    tile_fill: float = 0.0  # share of the rows' tile slots that holds a tile; 0 without slots
    bad_records: int = 0  # examples left out because they could not be read
    by_category: dict[str, Count] = dataclasses.field(default_factory=dict)
    by_source: dict[str, Count] = dataclasses.field(default_factory=dict)

    def add_example(self, count: Count, category: str, source: str) -> None:
        """Adds one example to all sums."""
        self.add(count)
        self.by_category.setdefault(category, Count()).add(count)
        self.by_source.setdefault(source, Count()).add(count)

    def as_dict(self) -> dict[str, Any]:
        """Plain nested dict, JSON-able."""
        return dataclasses.asdict(self)


def batch_stats(
    laid: Iterable[tuple[str, str, Count]], shape: BatchShape, bad_records: int = 0
) -> BatchStats:
    """Sums over (category, source, count) of the examples of a batch of `shape`."""
    stats = BatchStats(bad_records=bad_records)
    for category, source, count in laid:
        stats.add_example(count, category, source)
    stats.token_fill = stats.tokens / (shape.rows * shape.sequence_length)
    if shape.tiles_per_row:
        stats.tile_fill = stats.tiles / (shape.rows * shape.tiles_per_row)
    return stats


def empty_batch(shape: BatchShape) -> Batch:
    """A batch of padding."""
    tokens = (shape.rows, shape.sequence_length)
    side = shape.resolution
    return {
        "tokens": np.zeros(tokens, np.int32),
        "segment_ids": np.zeros(tokens, np.int32),
        "positions": np.zeros(tokens, np.int32),
        "vision_index": np.full(tokens, -1, np.int32),
        "loss_weights": np.zeros(tokens, np.float32),
        "category_ids": np.zeros(tokens, np.int32),
        "tiles": np.zeros((shape.rows, shape.tiles_per_row, side, side, 3), np.uint8),
        "tile_valid": np.zeros((shape.rows, shape.tiles_per_row), bool),
    }


def fill_row(
    batch: Batch,
    row: int,
    examples: Sequence[Decoded],
    *,
    tokens_per_tile: int,
    category_ids: Mapping[str, int],
) -> list[tuple[str, str, Count]]:
    """Lays examples one behind the other into an empty row of a batch, in place.

    The first token of an example gets loss weight 0: nothing of the example stands before it that
    could predict it.

    Args:
      batch: of `empty_batch`; threads may fill different rows of it.
      row: which row.
      examples: that fit both budgets together.
      tokens_per_tile: T.
      category_ids: number of each category.

    Returns:
      (category, source, count) of each example, for `batch_stats`.
    """
    laid = []
    tokens, vision_index = batch["tokens"][row], batch["vision_index"][row]
    segment_ids, positions = batch["segment_ids"][row], batch["positions"][row]
    loss_weights, categories = batch["loss_weights"][row], batch["category_ids"][row]
    tiles, tile_valid = batch["tiles"][row], batch["tile_valid"][row]
    start = slot = 0
    for segment, example in enumerate(examples, start=1):
        formatted = example.formatted
        length = len(formatted.tokens)
        stop, first_slot = start + length, slot
        assert stop <= len(tokens), "the examples of a row exceed its tokens: a stale index"
        tokens[start:stop] = formatted.tokens
        segment_ids[start:stop] = segment
        positions[start:stop] = np.arange(length)
        loss_weights[start + 1 : stop] = formatted.loss_weights[1:]
        categories[start:stop] = category_ids[example.category]
        if example.tiles:
            vision = formatted.vision_index
            offset = first_slot * tokens_per_tile
            np.copyto(vision_index[start:stop], vision + offset, where=vision >= 0)
            for picture in example.tiles:
                assert slot + len(picture) <= len(tiles), "too many tiles for a row: a stale index"
                tiles[slot : slot + len(picture)] = picture
                slot += len(picture)
            tile_valid[first_slot:slot] = True
        predicted = int(np.count_nonzero(loss_weights[start:stop]))
        count = Count(1, length, slot - first_slot, predicted)
        laid.append((example.category, example.source, count))
        start = stop
    return laid


def assemble(
    rows: Sequence[Sequence[Decoded]], shape: BatchShape, category_names: Sequence[str]
) -> tuple[Batch, BatchStats]:
    """A batch from the examples of its rows; `fill_row` for each, and their statistics.

    Args:
      rows: at most `shape.rows` rows of examples; what is missing stays padding.
      shape: of the batch.
      category_names: every category that occurs; the order gives their numbers.
    """
    assert len(rows) <= shape.rows, (len(rows), shape.rows)
    batch = empty_batch(shape)
    ids = {name: number for number, name in enumerate(category_names)}
    laid = []
    for row, examples in enumerate(rows):
        laid += fill_row(
            batch, row, examples, tokens_per_tile=shape.tokens_per_tile, category_ids=ids
        )
    return batch, batch_stats(laid, shape)
