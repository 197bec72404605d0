"""Anti-aliased shapes and print on a small canvas.

Boxes are (x1, y1, x2, y2) in pixels; x2 and y2 are just outside, so that x2 - x1 is the width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from mm15_jax.data.miniature.fonts import Ink
from mm15_jax.data.miniature.sampling import Sampler
from mm15_jax.inputs.example import Image

Box = tuple[int, int, int, int]
Rgb = tuple[int, int, int]
Corners = Sequence[tuple[float, float]]  # in the unit square

_SHIFT = 4  # cv2's fixed point: a pixel has 16 steps
_UNIT = 1 << _SHIFT

# Fast to write: one filter instead of a search for the best of five.
_PNG = [
    cv2.IMWRITE_PNG_COMPRESSION,
    1,
    cv2.IMWRITE_PNG_FILTER,
    cv2.IMWRITE_PNG_FILTER_PAETH,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_RLE,
]


def _star() -> list[tuple[float, float]]:
    corners = []
    for k in range(10):
        radius = 1.0 if k % 2 == 0 else 0.45
        angle = math.pi * k / 5
        corners.append((radius * math.sin(angle), -radius * math.cos(angle)))
    xs, ys = zip(*corners, strict=True)
    return [
        ((x - min(xs)) / (max(xs) - min(xs)), (y - min(ys)) / (max(ys) - min(ys)))
        for x, y in corners
    ]


# Corners of a shape in the unit square.
_POLYGONS: dict[str, list[tuple[float, float]]] = {
    "triangle": [(0.5, 0.0), (1.0, 1.0), (0.0, 1.0)],
    "square": [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)],
    "star": _star(),
}


def regular_polygon(sides: int, turn: float) -> list[tuple[float, float]]:
    """Corners of a regular polygon in the unit square; `turn` in radians."""
    angles = [turn + 2 * math.pi * k / sides for k in range(sides)]
    return [(0.5 + 0.5 * math.sin(a), 0.5 - 0.5 * math.cos(a)) for a in angles]


def fill_polygon(pixels: np.ndarray, box: Box, corners: Corners, color: Rgb | int) -> None:
    """Fills a polygon whose corners are given in the unit square laid over the box."""
    x1, y1, x2, y2 = box
    # The last pixel's centre is at x2 - 1; a corner at 1.0 lies there.
    points = [
        (round((x1 + x * (x2 - 1 - x1)) * _UNIT), round((y1 + y * (y2 - 1 - y1)) * _UNIT))
        for x, y in corners
    ]
    cv2.fillPoly(pixels, [np.array(points, np.int32)], color, cv2.LINE_AA, _SHIFT)


def fill_shape(pixels: np.ndarray, shape: str, box: Box, color: Rgb | int) -> None:
    """Fills one of the named shapes so that it touches all four sides of the box.

    Args:
      pixels: uint8[h, w, 3] with a colour, or uint8[h, w] with a number, changed in place.
      shape: a name of `words.SHAPES`.
      box: where, in whole pixels.
      color: what to fill with.
    """
    x1, y1, x2, y2 = box
    if shape == "square":
        cv2.rectangle(pixels, (x1, y1), (x2 - 1, y2 - 1), color, -1)
    elif shape == "circle":
        center = (round((x1 + x2 - 1) * _UNIT / 2), round((y1 + y2 - 1) * _UNIT / 2))
        axes = (round((x2 - x1 - 1) * _UNIT / 2), round((y2 - y1 - 1) * _UNIT / 2))
        cv2.ellipse(pixels, center, axes, 0, 0, 360, color, -1, cv2.LINE_AA, _SHIFT)
    else:
        fill_polygon(pixels, box, _POLYGONS[shape], color)


def paint(pixels: np.ndarray, x: int, y: int, mask: np.ndarray, color: Rgb) -> None:
    """Colours what a mask covers.

    Args:
      pixels: uint8[height, width, 3], changed in place.
      x: where the mask's left column goes.
      y: where its top row goes.
      mask: coverage, uint8[h, w]; it must fit.
      color: what with.
    """
    part = pixels[y : y + mask.shape[0], x : x + mask.shape[1]]
    assert y >= 0 and x >= 0 and part.shape[:2] == mask.shape, "what is painted leaves the canvas"
    cover = mask.astype(np.int32)
    cover += cover >> 7  # 0 to 256, so that a shift divides
    part[:] = part + ((np.array(color, np.int32) - part) * cover[:, :, None] >> 8)


def encode_png(pixels: np.ndarray, role: str) -> Image:
    """A picture, uint8[height, width, 3] RGB, as a PNG segment."""
    ok, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _PNG)
    assert ok
    return Image(data=data.tobytes(), height=pixels.shape[0], width=pixels.shape[1], role=role)


class Canvas:
    """A picture in the making."""

    def __init__(self, sampler: Sampler, height: int, width: int) -> None:
        """An empty sheet of paper.

        The sheets of training are plain or shaded from top to bottom; those of the held-out sets
        are plain or shaded from left to right.
        """
        self.height = height
        self.width = width
        self.paper = sampler.paper()
        pixels = np.empty((height, width, 3), np.uint8)
        pixels[:] = self.paper
        if sampler.chance(0.4):
            fall = sampler.integer(6, 20)
            ramp = np.arange(height if not sampler.held_out else width) * fall
            ramp = (ramp // len(ramp)).astype(np.uint8)
            pixels -= ramp[None, :, None] if sampler.held_out else ramp[:, None, None]
        self.pixels = pixels  # uint8[height, width, 3], RGB

    def shape(self, shape: str, box: Box, color: Rgb) -> None:
        """Fills a named shape; see `fill_shape`."""
        fill_shape(self.pixels, shape, box, color)

    def polygon(self, corners: Corners, box: Box, color: Rgb) -> None:
        """Fills a polygon; see `fill_polygon`."""
        fill_polygon(self.pixels, box, corners, color)

    def rectangle(self, box: Box, color: Rgb, outline: bool = False) -> None:
        """Fills a rectangle, or draws its border of one pixel, inside the box."""
        x1, y1, x2, y2 = box
        cv2.rectangle(self.pixels, (x1, y1), (x2 - 1, y2 - 1), color, 1 if outline else -1)

    def line(self, x1: int, y1: int, x2: int, y2: int, color: Rgb) -> None:
        """A line of one pixel, both ends included; smooth where it slants."""
        smooth = cv2.LINE_8 if x1 == x2 or y1 == y2 else cv2.LINE_AA
        cv2.line(self.pixels, (x1, y1), (x2, y2), color, 1, smooth)

    def text(self, x: int, y: int, ink: Ink, color: Rgb) -> None:
        """Prints a line with the left top corner of its ink at (x, y); it must fit the canvas."""
        paint(self.pixels, x, y, ink.mask(), color)

    def image(self, role: str) -> Image:
        """The picture as a PNG segment."""
        return encode_png(self.pixels, role)
