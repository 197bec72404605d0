"""Pictures whose every patch has a label: what the encoder is pretrained on.

Boxes and coordinates are kept out of these labels on purpose: what the model knows of grounding it
must learn from the grounding data, or ablating them would show nothing.
"""

from __future__ import annotations

import numpy as np
from PIL import ImageFont

from mm15_jax.data.miniature.dialogue import Built
from mm15_jax.data.miniature.drawing import Box, Canvas, fill_shape
from mm15_jax.data.miniature.sampling import Layout, Sampler
from mm15_jax.data.miniature.scenes import place
from mm15_jax.data.miniature.words import BACKGROUND, COLORS, GLYPHS, SHAPES, label_symbol
from mm15_jax.inputs.example import Text

SIDE = 48  # pixels of the picture
PATCH = 8  # pixels of a patch
GRID = SIDE // PATCH

_MIN_SHARE = 0.3  # of the smaller of glyph and patch: less than this is background


class _Labels:
    """The best label of each patch so far."""

    def __init__(self) -> None:
        self.names = [BACKGROUND] * (GRID * GRID)
        self.scores = [0.0] * (GRID * GRID)

    def glyph(self, name: str, box: Box) -> None:
        """Claims the patches that a glyph's ink box covers, by the share that is covered."""
        x1, y1, x2, y2 = box
        smaller = min((x2 - x1) * (y2 - y1), PATCH * PATCH)
        for row in range(max(0, y1 // PATCH), min(GRID, (y2 - 1) // PATCH + 1)):
            high = min(y2, (row + 1) * PATCH) - max(y1, row * PATCH)
            for column in range(max(0, x1 // PATCH), min(GRID, (x2 - 1) // PATCH + 1)):
                wide = min(x2, (column + 1) * PATCH) - max(x1, column * PATCH)
                share = wide * high / smaller
                k = row * GRID + column
                if share >= _MIN_SHARE and share > self.scores[k]:
                    self.names[k], self.scores[k] = name, share

    def mask(self, name: str, coverage: np.ndarray) -> None:
        """Claims the patches that a shape covers; float[36] shares of each patch."""
        for k in np.flatnonzero(coverage >= _MIN_SHARE):
            if coverage[k] > self.scores[k]:
                self.names[k], self.scores[k] = name, float(coverage[k])

    def text(self) -> str:
        return "".join(label_symbol(name) for name in self.names)


def _print(
    canvas: Canvas, labels: _Labels, x: int, y: int, text: str, font: ImageFont.FreeTypeFont, ink
) -> None:
    """Prints a line with the left top of its ink at (x, y) and labels its glyphs."""
    left, top, _, _ = font.getbbox(text)
    canvas.text_in(x, y, text, font, ink)
    for k, glyph in enumerate(text):
        if glyph == " ":
            continue
        start = round(font.getlength(text[:k])) if k else 0
        x1, y1, x2, y2 = font.getbbox(glyph)
        labels.glyph(glyph, (x - left + start + x1, y - top + y1, x - left + start + x2, y - top + y2))


def dense_labels(sampler: Sampler) -> Built:
    """A picture of print or shapes, and 36 labels, one for each patch, row by row."""
    canvas = Canvas(sampler, SIDE, SIDE)
    labels = _Labels()
    kind = sampler.pick(("lines", "lines", "word", "glyphs", "shapes", "shapes"))
    _KINDS[kind](sampler, canvas, labels)
    text = labels.text()
    return (canvas.image("document"), Text(text, loss=True)), {
        "answer": text,
        "metric": "exact_match",
        "kind": kind,
    }


def _characters(sampler: Sampler, length: int) -> str:
    """A word, a number or a short calculation."""
    kind = sampler.rng.random()
    if kind < 0.65 and length >= 3:
        return sampler.word(length, length)
    if kind < 0.85:
        return "".join(sampler.pick(GLYPHS[26:36]) for _ in range(length))
    return "".join(sampler.pick(GLYPHS) for _ in range(length))


def _fitting(sampler: Sampler, font: ImageFont.FreeTypeFont, longest: int):
    """Characters that fit the width in this font, with their (left, top, right, bottom)."""
    length = sampler.integer(1, longest)
    while True:
        text = _characters(sampler, length)
        box = font.getbbox(text)
        if box[2] - box[0] <= SIDE - 2:
            return text, box
        length -= 1


def _lines(sampler: Sampler, canvas: Canvas, labels: _Labels) -> None:
    """Two to four lines of one font."""
    font = sampler.font(9, 12)
    ascent, descent = font.getmetrics()
    count = sampler.integer(2, max(2, min(4, SIDE // (ascent + descent))))
    texts = [_fitting(sampler, font, 6) for _ in range(count)]
    pitch = SIDE // count

    def propose() -> Layout:
        layout = []
        for k, (_, box) in enumerate(texts):
            layout.append(sampler.integer(1, SIDE - 1 - (box[2] - box[0])))
            high = box[3] - box[1]
            layout.append(k * pitch + sampler.integer(0, max(0, pitch - high - 1)))
        return tuple(layout)

    layout = sampler.layout(propose)
    ink = sampler.ink()
    for k, (text, _) in enumerate(texts):
        _print(canvas, labels, layout[2 * k], layout[2 * k + 1], text, font, ink)


def _word(sampler: Sampler, canvas: Canvas, labels: _Labels) -> None:
    """One word or number anywhere, in any size."""
    font = sampler.font(9, 16)
    text, (x1, y1, x2, y2) = _fitting(sampler, font, 7)

    def propose() -> Layout:
        return (
            x2 - x1,
            y2 - y1,
            sampler.integer(1, SIDE - 1 - (x2 - x1)),
            sampler.integer(0, SIDE - (y2 - y1)),
        )

    layout = sampler.layout(propose)
    _print(canvas, labels, layout[2], layout[3], text, font, sampler.ink())


def _scattered(sampler: Sampler, canvas: Canvas, labels: _Labels) -> None:
    """Single glyphs in several fonts and sizes, around the points of a grid."""
    cell = sampler.pick((12, 16))
    cells = SIDE // cell
    glyphs = []
    for k in range(cells * cells):
        if sampler.chance(0.85):
            font = sampler.font(8 if cell == 12 else 9, 11 if cell == 12 else 15)
            glyph = sampler.pick(GLYPHS)
            x1, y1, x2, y2 = font.getbbox(glyph)
            glyphs.append((k % cells, k // cells, font, glyph, x2 - x1, y2 - y1))

    def propose() -> Layout:
        layout = []
        for column, row, _, _, w, h in glyphs:
            layout.append(column * cell + sampler.integer(0, max(0, cell - w)))
            layout.append(row * cell + sampler.integer(0, max(0, cell - h)))
        return tuple(layout)

    layout = sampler.layout(propose)
    ink = sampler.ink()
    for k, (_, _, font, glyph, _, _) in enumerate(glyphs):
        _print(canvas, labels, layout[2 * k], layout[2 * k + 1], glyph, font, ink)


def _shapes(sampler: Sampler, canvas: Canvas, labels: _Labels) -> None:
    """One to four shapes; the labels name their colours, or their forms."""
    by_color = sampler.chance(0.5)
    count = sampler.integer(1, 4)
    boxes = place(sampler, SIDE, SIDE, count, 9, 26 if count <= 2 else 20)
    for box in boxes:
        color, shape = sampler.pick(tuple(COLORS)), sampler.pick(SHAPES)
        canvas.shape(shape, box, sampler.shade(color))
        mask = np.zeros((SIDE, SIDE), np.uint8)
        fill_shape(mask, shape, box, 255)
        coverage = mask.reshape(GRID, PATCH, GRID, PATCH).mean(axis=(1, 3)).ravel() / 255
        labels.mask(color if by_color else shape, coverage)


_KINDS = {"lines": _lines, "word": _word, "glyphs": _scattered, "shapes": _shapes}
