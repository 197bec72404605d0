"""Tables as pictures: what text-rich training reads where a publisher has only cells.

Black print on white, thin rules, bold headings, long cells wrapped: the look of a table in a paper.
The print is DejaVu Sans: Latin, Greek, Cyrillic; characters it lacks come out as empty boxes.
"""

from __future__ import annotations

import functools
import io
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.miniature.fonts import font_directory
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Image
from mm15_jax.inputs.tiles import MAX_PIXELS

_SIZE = 16  # of the print, in pixels
_LINE = 21  # from one line to the next
_PAD = 6
_WRAP = 36  # characters of a line in a cell
_INK, _RULE, _SHADE = (0, 0, 0), (130, 130, 130), (238, 238, 238)


class Span(NamedTuple):
    """Cells that are one: rows and columns, both ends included."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int


@functools.cache
def label_font(size: int, bold: bool = False) -> PIL.ImageFont.FreeTypeFont:
    """DejaVu Sans, for print on pictures, of a size in pixels."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return PIL.ImageFont.truetype(str(font_directory() / name), size)


def _font(bold: bool) -> PIL.ImageFont.FreeTypeFont:
    return label_font(_SIZE, bold)


def draw_table(
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    header_rows: int = 1,
    header_columns: int = 0,
    spans: Sequence[Span] = (),
) -> Image:
    """A table as a PNG of the user's.

    Args:
      rows: texts of cells, from the top; short rows are filled with empty cells.
      title: printed above, if any.
      header_rows: rows in bold on grey, from the top.
      header_columns: columns in bold, from the left.
      spans: cells that are merged; the text is the left top one's.

    Raises:
      DataError: if there is no cell, or the picture would be too large.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise DataError("a table without cells")
    texts = [[_wrapped(row[j]) if j < len(row) else "" for j in range(columns)] for row in rows]
    owner = _owners(len(rows), columns, spans)
    bold = [
        [i < header_rows or j < header_columns for j in range(columns)] for i in range(len(rows))
    ]
    widths, heights = [2 * _PAD] * columns, [_LINE + 2 * _PAD] * len(rows)
    for (i, j), span in owner.items():
        width, height = _extent(texts[i][j], bold[i][j])
        _grow(widths, span.first_column, span.last_column, width + 2 * _PAD)
        _grow(heights, span.first_row, span.last_row, height + 2 * _PAD)
    heading = textwrap.fill(title, 80)
    top = _LINE * (heading.count("\n") + 1) + 2 * _PAD if title.strip() else 0
    xs, ys = _edges(_PAD, widths), _edges(_PAD + top, heights)
    width = max(xs[-1], _extent(heading, True)[0] + _PAD) + _PAD
    if width * (ys[-1] + _PAD) > MAX_PIXELS:
        raise DataError(f"a table of {len(rows)} x {columns} cells is too large for a picture")
    sheet = PIL.Image.new("RGB", (width, ys[-1] + _PAD), (255, 255, 255))
    draw = PIL.ImageDraw.Draw(sheet)
    if top:
        draw.multiline_text((_PAD, _PAD), heading, _INK, _font(True), spacing=_LINE - _SIZE)
    for (i, j), span in owner.items():
        box = (xs[j], ys[i], xs[span.last_column + 1], ys[span.last_row + 1])
        draw.rectangle(box, _SHADE if i < header_rows else None, _RULE)
        place, font = (box[0] + _PAD, box[1] + _PAD), _font(bold[i][j])
        draw.multiline_text(place, texts[i][j], _INK, font, spacing=_LINE - _SIZE)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return image_of(buffer.getvalue())


def _wrapped(text: str) -> str:
    lines = [textwrap.fill(line, _WRAP) for line in str(text).strip().splitlines()]
    return "\n".join(lines)


def _extent(text: str, bold: bool) -> tuple[int, int]:
    lines = text.split("\n")
    width = max(_font(bold).getlength(line) for line in lines)
    return int(width) + 1, _LINE * len(lines)


def _owners(rows: int, columns: int, spans: Sequence[Span]) -> dict[tuple[int, int], Span]:
    """Left top cells, with what they span; a span that leaves the table ends at its edge."""
    owner = {(i, j): Span(i, i, j, j) for i in range(rows) for j in range(columns)}
    for span in spans:
        first, last = (span.first_row, span.first_column), (span.last_row, span.last_column)
        last = (min(last[0], rows - 1), min(last[1], columns - 1))
        covered = [
            (i, j) for i in range(first[0], last[0] + 1) for j in range(first[1], last[1] + 1)
        ]
        if all(owner.get(cell) == Span(cell[0], cell[0], cell[1], cell[1]) for cell in covered):
            for cell in covered[1:]:
                del owner[cell]
            if covered:
                owner[first] = Span(first[0], last[0], first[1], last[1])
    return owner


def _grow(sizes: list[int], first: int, last: int, needed: int) -> None:
    """Widens the last of some rows or columns until they have the room."""
    lacking = needed - sum(sizes[first : last + 1])
    if lacking > 0:
        sizes[last] += lacking


def _edges(start: int, sizes: Sequence[int]) -> list[int]:
    edges = [start]
    for size in sizes:
        edges.append(edges[-1] + size)
    return edges
