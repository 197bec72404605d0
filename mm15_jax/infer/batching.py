"""Prompts to a few static shapes: padded lengths, padded tile counts, batches of them.

Axes: B rows, S prompt tokens (padded), N tiles a row (padded), T image tokens a tile, r tile side.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from mm15_jax.inputs.example import Example
from mm15_jax.inputs.formatting import Formatted
from mm15_jax.inputs.rendering import load_example
from mm15_jax.inputs.tiles import PAD_COLOUR

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Prompt:
    """One formatted example and its place in the caller's list."""

    index: int
    example: Example
    formatted: Formatted

    @property
    def length(self) -> int:
        """Tokens of the prompt, image tokens included."""
        return len(self.formatted.tokens)

    @property
    def tiles(self) -> int:
        """Tiles of all its images and clips."""
        return sum(tiling.num_tiles for tiling in self.formatted.tilings)


@dataclasses.dataclass(frozen=True)
class Group:
    """Prompts that run in one compiled program of B x S tokens and B x N tiles."""

    length: int
    tiles: int
    rows: int
    prompts: tuple[Prompt, ...]


def padded_length(length: int) -> int:
    """Smallest shape of the ladder that holds `length` tokens.

    The ladder is 32, 64, 96, 128, 192, 256, 384, 512, 768 ...: a third of a row is padding at
    worst, and prompts of up to 4,096 tokens have one of 14 shapes. Each shape costs a compilation,
    which takes seconds even for the smallest model.
    """
    step = max(32, (1 << max(length - 1, 1).bit_length()) // 4)
    return -(-length // step) * step


def padded_cache(length: int) -> int:
    """Cache length for prompt and answer together: 128, 256, 512, then as `padded_length`.

    Coarser than prompts' lengths, so that prompts of several shapes share one decoding program.
    """
    return max(128, 1 << (length - 1).bit_length()) if length <= 512 else padded_length(length)


def padded_answer(tokens: int) -> int:
    """Room for an answer of at most `tokens`: 128, 512, 2048 ...; unused room costs nothing."""
    room = 128
    while room < tokens:
        room *= 4
    return room


def padded_tiles(tiles: int) -> int:
    """Smallest tile count of the ladder 0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24 ..."""
    if tiles <= 6:
        return tiles
    step = max(2, (1 << (tiles - 1).bit_length()) // 8)
    if tiles > 12:
        step = max(4, step)
    return -(-tiles // step) * step


def group_prompts(prompts: Sequence[Prompt], rows: int) -> list[Group]:
    """Sorts prompts into groups of one static shape and at most `rows` prompts.

    Prompts that do not fill one batch of their shape join the next larger shape in use, if that is
    not larger by far: compiling one more program takes longer than padding a few rows.

    Args:
      prompts: any number of prompts, in the caller's order.
      rows: of every group. One number for all: filling a last batch up is cheaper than one more
        program.

    Returns:
      Groups that hold every prompt exactly once, longest shapes first: the largest allocation
      comes first, so that a run that does not fit fails at once and not after an hour.
    """
    assert rows > 0
    buckets: dict[tuple[int, int], list[Prompt]] = {}
    for prompt in prompts:
        shape = (padded_tiles(prompt.tiles), padded_length(prompt.length))
        buckets.setdefault(shape, []).append(prompt)
    for shape in sorted(buckets):
        if len(buckets[shape]) >= rows:
            continue
        larger = [
            other
            for other in sorted(buckets)
            if other != shape
            and shape[0] <= other[0] <= max(3 * shape[0], 2)
            and shape[1] <= other[1] <= max(3 * shape[1], 128)
        ]
        if larger:
            buckets[larger[0]].extend(buckets.pop(shape))
    groups = []
    for tiles, length in sorted(buckets, reverse=True):
        members = sorted(buckets[tiles, length], key=lambda prompt: prompt.index)
        for start in range(0, len(members), rows):
            groups.append(Group(length, tiles, rows, tuple(members[start : start + rows])))
    return groups


def rows_for(examples: int, batch_size: int, multiple: int = 1) -> int:
    """Rows of a batch: `batch_size`, or fewer for few examples, and a multiple of the devices."""
    rows = min(batch_size, 1 << max(examples - 1, 0).bit_length())
    return -(-rows // multiple) * multiple


def render_prompt(prompt: Prompt, resolution: int) -> np.ndarray:
    """Tiles of all that a prompt shows in sequence order, uint8[tiles, r, r, 3].

    Blank where a picture or clip cannot be read, with a warning that names the example: of several
    processes one alone meets it, and the others wait for its rows.
    """
    none = np.zeros((0, resolution, resolution, 3), np.uint8)
    try:
        return np.concatenate([none, *load_example(prompt.example, prompt.formatted)])
    except ValueError as error:
        example = prompt.example
        log.warning("%s of %s is shown blank: %s", example.key, example.source, error)
        return np.full((prompt.tiles, *none.shape[1:]), PAD_COLOUR, np.uint8)


def build_batch(
    group: Group,
    *,
    resolution: int,
    pad_id: int,
    rows: Sequence[int] | None = None,
    loss_weights: bool = False,
) -> dict[str, np.ndarray]:
    """The arrays that `mllm.prefill` takes, padded on the right.

    Args:
      group: prompts of one shape; rows above their number stay empty.
      resolution: tile side.
      pad_id: token that fills the rows up.
      rows: which of the group's rows, rising: those of this process; None for all.
      loss_weights: whether to take over those of the formatted prompts.

    Returns:
      tokens, segment_ids, positions, vision_index int32[B, S]; loss_weights float32[B, S];
      tiles uint8[B, N, r, r, 3]; tile_valid bool[B, N].
    """
    numbers = range(group.rows) if rows is None else rows
    length, tiles = group.length, group.tiles
    batch: dict[str, np.ndarray] = {
        "tokens": np.full((len(numbers), length), pad_id, np.int32),
        "segment_ids": np.zeros((len(numbers), length), np.int32),
        "positions": np.zeros((len(numbers), length), np.int32),
        "vision_index": np.full((len(numbers), length), -1, np.int32),
        "loss_weights": np.zeros((len(numbers), length), np.float32),
        "tiles": np.zeros((len(numbers), tiles, resolution, resolution, 3), np.uint8),
        "tile_valid": np.zeros((len(numbers), tiles), bool),
    }
    for row, number in enumerate(numbers):
        if number >= len(group.prompts):
            # A row of no length at all would have no last token whose logits can be taken.
            batch["segment_ids"][row, 0] = 1
            continue
        prompt = group.prompts[number]
        size = prompt.length
        batch["tokens"][row, :size] = prompt.formatted.tokens
        batch["segment_ids"][row, :size] = 1
        batch["positions"][row, :size] = np.arange(size)
        batch["vision_index"][row, :size] = prompt.formatted.vision_index
        if loss_weights:
            batch["loss_weights"][row, :size] = prompt.formatted.loss_weights
        pixels = render_prompt(prompt, resolution)
        batch["tiles"][row, : len(pixels)] = pixels
        batch["tile_valid"][row, : len(pixels)] = True
    return batch
