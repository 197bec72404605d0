"""Boxes and points of the miniature as text, to the pixel of a tile.

They are written as everywhere, in thousandths of the picture (`inputs.coordinates`), but to the
nearest multiple of `STEP`: a tile of 48 pixels has no finer ones. So few numbers can be one token
each, and a box is five tokens instead of eighteen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mm15_jax.inputs.coordinates import format_box, format_point

STEP = 20  # of 1000: about a pixel of a tile
_LAST = 1000 - STEP
_NUMBER = re.compile(r"\d+")

# Pieces of the tokenizer: a coordinate with the sign before it.
COORDINATE_SYMBOLS = tuple(f"{sign}{n}" for sign in "<," for n in range(0, _LAST + 1, STEP))


def box_text(box: Sequence[float], *, width: float, height: float) -> str:
    """`<x1,y1,x2,y2>` of a box in pixels, to multiples of STEP; errors as of `format_box`."""
    return _coarse(format_box(box, width=width, height=height))


def point_text(point: Sequence[float], *, width: float, height: float) -> str:
    """`<x,y>` of a point in pixels, to multiples of STEP; errors as of `format_point`."""
    return _coarse(format_point(point, width=width, height=height))


def _coarse(text: str) -> str:
    return _NUMBER.sub(lambda m: str(min((int(m[0]) + STEP // 2) // STEP * STEP, _LAST)), text)
