"""Fonts split between training and the held-out sets, and their glyphs as cached masks.

Composing a line from cached masks is several times faster than asking FreeType for it, which
decides how long `mm15 prepare` takes. Glyphs are FreeType's own, hinted and anti-aliased; kerning
is left out (below one pixel at these sizes).
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

# File and the factor that brings its small letters to the height of DejaVu's.
Face = tuple[str, float]
TRAIN_FONTS: tuple[Face, ...] = (
    ("DejaVuSans.ttf", 1.0),
    ("DejaVuSans-Bold.ttf", 1.0),
    ("DejaVuSansMono.ttf", 1.0),
    ("DejaVuSerif.ttf", 1.0),
    ("DejaVuSansMono-Oblique.ttf", 1.0),
    ("STIXGeneralBol.ttf", 1.15),
    ("DejaVuSans-BoldOblique.ttf", 1.0),
    ("DejaVuSansMono-BoldOblique.ttf", 1.0),
    ("DejaVuSerif-BoldItalic.ttf", 1.0),
    ("DejaVuSerif-Italic.ttf", 1.0),
    ("cmss10.ttf", 1.2),
)
HELD_OUT_FONTS: tuple[Face, ...] = (
    ("DejaVuSansMono-Bold.ttf", 1.0),
    ("DejaVuSerif-Bold.ttf", 1.0),
    ("DejaVuSans-Oblique.ttf", 1.0),
)


class Glyph(NamedTuple):
    """One character: coverage uint8[h, w], its left top from the line's origin, and the advance."""

    mask: np.ndarray
    left: int
    top: int
    advance: int


class Ink(NamedTuple):
    """A line before it is printed: its characters' places, and the box of its ink.

    The box counts from the line's origin, which is its left end at the top of the font's ascent.
    """

    glyphs: tuple[tuple[int, Glyph], ...]  # (x, glyph), without the spaces
    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Of the ink, in pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Of the ink, in pixels."""
        return self.bottom - self.top

    def mask(self) -> np.ndarray:
        """Coverage of the ink's box, uint8[height, width]."""
        mask = np.zeros((self.height, self.width), np.uint8)
        for x, glyph in self.glyphs:
            h, w = glyph.mask.shape
            row, column = glyph.top - self.top, x - self.left
            part = mask[row : row + h, column : column + w]
            np.maximum(part, glyph.mask, out=part)
        return mask


class Font:
    """A font file at one size."""

    def __init__(self, face: Face, size: int) -> None:
        """Opens the file at a nominal size in pixels times the face's factor."""
        name, factor = face
        self.name = name
        self._font = ImageFont.truetype(
            str(font_directory() / name), round(size * factor), layout_engine=ImageFont.Layout.BASIC
        )
        ascent, descent = self._font.getmetrics()
        self.line_height = ascent + descent
        self._glyphs: dict[str, Glyph] = {}

    def glyph(self, character: str) -> Glyph:
        """One character, rendered on first use."""
        found = self._glyphs.get(character)
        if found is None:
            found = self._glyphs[character] = self._render(character)
        return found

    def _render(self, character: str) -> Glyph:
        pad = self.line_height
        sheet = PillowImage.new("L", (3 * pad, 3 * pad))
        ImageDraw.Draw(sheet).text((pad, pad), character, font=self._font, fill=255)
        x1, y1, x2, y2 = sheet.getbbox() or (pad, pad, pad, pad)
        mask = np.asarray(sheet)[y1:y2, x1:x2].copy()
        return Glyph(mask, x1 - pad, y1 - pad, round(self._font.getlength(character)))

    def ink(self, text: str) -> Ink:
        """Lays a line out; there must be a character that leaves ink."""
        placed = []
        x = 0
        for character in text:
            glyph = self.glyph(character)
            if glyph.mask.size:
                placed.append((x + glyph.left, glyph))
            x += glyph.advance
        return Ink(
            tuple(placed),
            min([x for x, _ in placed]),
            min([g.top for _, g in placed]),
            max([x + g.mask.shape[1] for x, g in placed]),
            max([g.top + g.mask.shape[0] for _, g in placed]),
        )


@functools.cache
def font_directory() -> Path:
    """Where matplotlib keeps its TrueType files, found without importing it.

    Raises:
      ValueError: if matplotlib is not installed.
    """
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            "The miniature draws with the fonts that matplotlib ships, but matplotlib is not "
            "installed; install it with `pip install matplotlib`."
        )
    return Path(next(iter(spec.submodule_search_locations))) / "mpl-data" / "fonts" / "ttf"


@functools.cache
def load_font(face: Face, size: int) -> Font:
    """The font, opened on first use and shared after that."""
    return Font(face, size)
