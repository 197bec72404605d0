"""Pictures whose every patch has a label: what the encoder is pretrained on.

Boxes and coordinates are kept out of these labels on purpose: what the model knows of grounding it
must learn from the grounding data, or ablating them would show nothing.
"""

from __future__ import annotations

import numpy as np

from mm15_jax.data.miniature.dialogue import Built
from mm15_jax.data.miniature.drawing import Box, Canvas, Rgb, fill_shape
from mm15_jax.data.miniature.fonts import Font, Ink
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
    canvas: Canvas, labels: _Labels, x: int, y: int, text: str, ink: Ink, color: Rgb
) -> None:
    """Prints a line with the left top of its ink at (x, y) and labels its glyphs."""
    canvas.text(x, y, ink, color)
    for name, (left, glyph) in zip(text, ink.glyphs, strict=True):
        h, w = glyph.mask.shape
        x1, y1 = x + left - ink.left, y + glyph.top - ink.top
        labels.glyph(name, (x1, y1, x1 + w, y1 + h))


def dense_labels(sampler: Sampler) -> Built:
    """A picture of print or shapes, and 36 labels, one for each patch, row by row."""
    canvas = Canvas(sampler, SIDE, SIDE)
    labels = _Labels()
    kind = sampler.pick(("lines",) * 5 + ("glyphs",) * 3 + ("shapes",) * 3 + ("word",))
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


def _fitting(sampler: Sampler, font: Font, shortest: int, longest: int) -> tuple[str, Ink]:
    """Characters, shortest to longest in number, or as many as fit the picture's width."""
    length = sampler.integer(shortest, longest)
    while True:
        text = _characters(sampler, length)
        ink = font.ink(text)
        if ink.width <= SIDE - 2:
            return text, ink
        length -= 1


def _lines(sampler: Sampler, canvas: Canvas, labels: _Labels) -> None:
    """As many lines of one font as fit, or one less: the denser, the more there is to learn."""
    font = sampler.font(9, 12)
    most = min(4, (SIDE + 2) // font.line_height)
    count = sampler.integer(most - 1, most)
    lines = [_fitting(sampler, font, 3, 7) for _ in range(count)]
    pitch = SIDE // count

    def propose() -> Layout:
        layout = []
        for k, (_, ink) in enumerate(lines):
            layout.append(sampler.integer(1, SIDE - 1 - ink.width))
            layout.append(k * pitch + sampler.integer(0, max(0, pitch - ink.height - 1)))
        return tuple(layout)

    layout = sampler.layout(propose)
    color = sampler.ink()
    for k, (text, ink) in enumerate(lines):
        _print(canvas, labels, layout[2 * k], layout[2 * k + 1], text, ink, color)


def _word(sampler: Sampler, canvas: Canvas, labels: _Labels) -> None:
    """One word or number anywhere, in any size."""
    text, ink = _fitting(sampler, sampler.font(9, 16), 1, 7)

    def propose() -> Layout:
        x = sampler.integer(1, SIDE - 1 - ink.width)
        y = sampler.integer(0, SIDE - ink.height)
        return ink.width, ink.height, x, y

    layout = sampler.layout(propose)
    _print(canvas, labels, layout[2], layout[3], text, ink, sampler.ink())


def _scattered(sampler: Sampler, canvas: Canvas, labels: _Labels) -> None:
    """Single glyphs in several fonts and sizes, around the points of a grid."""
    cell = sampler.pick((12, 16))
    cells = SIDE // cell
    largest = 11 if cell == 12 else 15
    glyphs = []
    for k in range(cells * cells):
        if sampler.chance(0.95):
            glyph = sampler.pick(GLYPHS)
            glyphs.append((k % cells, k // cells, glyph, sampler.font(8, largest).ink(glyph)))

    def propose() -> Layout:
        layout = []
        for column, row, _, ink in glyphs:
            layout.append(column * cell + sampler.integer(0, max(0, cell - ink.width)))
            layout.append(row * cell + sampler.integer(0, max(0, cell - ink.height)))
        return tuple(layout)

    layout = sampler.layout(propose)
    color = sampler.ink()
    for k, (_, _, glyph, ink) in enumerate(glyphs):
        _print(canvas, labels, layout[2 * k], layout[2 * k + 1], glyph, ink, color)


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
