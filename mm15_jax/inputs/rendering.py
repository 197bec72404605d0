"""The tiles of an example's pictures and clips: one way for training, inference and inspection."""

from __future__ import annotations

import numpy as np

from mm15_jax.inputs.example import Example, Image, Video
from mm15_jax.inputs.formatting import Formatted
from mm15_jax.inputs.tiles import load_tiles
from mm15_jax.inputs.video import load_frames


def load_example(example: Example, formatted: Formatted) -> list[np.ndarray]:
    """Decodes what an example shows, and renders it into tiles.

    Args:
      example: the example.
      formatted: what `format_example` made of it.

    Returns:
      uint8[k, r, r, 3] for each of `formatted.tilings`: of a picture, or of a frame of a clip.

    Raises:
      ValueError: if a picture or clip cannot be read, or is not as its record says.
    """
    shown = [segment for segment in example.segments if isinstance(segment, Image | Video)]
    tilings = iter(formatted.tilings)
    tiles: list[np.ndarray] = []
    for segment, count in zip(shown, formatted.pictures, strict=True):
        own = [next(tilings) for _ in range(count)]
        if isinstance(segment, Video):
            tiles += load_frames(segment, own)
        else:
            tiles.append(load_tiles(segment.data, own[0]))
    return tiles
