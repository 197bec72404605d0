"""`mm15 inspect --out`: one HTML page of rows as training sees them, without external resources."""

from __future__ import annotations

import base64
import datetime
import io
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from mm15_jax.cli.inspect_stats import Inspection
from mm15_jax.data.inspection import Picture, ReadExample, ReadRow
from mm15_jax.data.storage import write_atomically
from mm15_jax.evaluation.page import template_of
from mm15_jax.evaluation.report_plots import COLOURS

_SPARE = ("#008B95", "#5E7D1A", "#A04A9C", "#8C5A3C", "#3F51A5", "#4B6043")  # other categories
_SIDE = 132  # pixels of a tile on the page at most
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 1100, 190, 46, 24  # of the chart


def write_page(found: Inspection, folder: pathlib.Path) -> pathlib.Path:
    """Writes `inspect.html`, also into a bucket; returns its path."""
    colours = category_colours(found)
    rows = [_row(row, found, colours) for row in found.read]
    page = template_of("mm15_jax.cli", "inspect.html").render(
        found=found,
        config=found.config,
        date=datetime.datetime.now().astimezone().strftime("%-d %B %Y, %H:%M %Z"),
        command=f"mm15 {shlex.join(sys.argv[1:])}",
        total=found.facts.total,
        segments=float(np.mean(found.facts.segments)),
        colours=colours,
        categories=found.categories(),
        chart=fill_chart(found.windows),
        rows=rows,
        shown={row.number for row in found.read},
        measures=("examples", "tokens", "tiles", "loss_tokens"),
        longest=sorted(found.sources, key=lambda s: -s.mean_tokens)[:5],
        slowest=sorted((s for s in found.sources if s.read), key=lambda s: -s.milliseconds)[:5],
    )
    path = folder / "inspect.html"
    write_atomically(path, page.encode())
    return path


def category_colours(found: Inspection) -> dict[str, str]:
    """A colour for each category of the mixture and of the rows that were read."""
    names = list(found.categories())
    names += [e.category for row in found.read for e in row.examples]
    colours: dict[str, str] = {}
    spare = [c for c in _SPARE if c not in COLOURS.values()]
    for name in dict.fromkeys(names):
        others = sum(other not in COLOURS for other in colours)
        colours[name] = COLOURS.get(name) or spare[others % len(spare)]
    return colours


def _row(row: ReadRow, found: Inspection, colours: dict[str, str]) -> dict[str, Any]:
    planned = found.planned[row.number]
    tiles = int(row.batch["tile_valid"].sum())
    return {
        "number": row.number,
        "tokens": int((row.batch["segment_ids"] > 0).sum()),
        "tiles": tiles,
        "token_fill": found.facts.token_fill[row.number],
        "tile_fill": found.facts.tile_fill[row.number],
        "milliseconds": 1000 * row.seconds,
        "planned": len(planned.records),
        "strip": sequence_strip(row, found.plan.sequence_length, colours),
        "examples": [_example(example, colours) for example in row.examples],
        "bad": row.bad,
    }


def _example(example: ReadExample, colours: dict[str, str]) -> dict[str, Any]:
    return {
        "facts": example,
        "colour": colours[example.category],
        "pictures": [_picture(number, p) for number, p in enumerate(example.pictures)],
        "tiles": sum(len(picture.tiles) for picture in example.pictures),
    }


def _picture(number: int, picture: Picture) -> dict[str, Any]:
    side = min(picture.tiles.shape[1], _SIDE)
    tiles = [
        {
            "row": row,
            "column": column,
            "uri": _data_uri(tile, side),
            "name": f"({number},{row},{column})",
        }
        for (row, column), tile in zip(picture.cells, picture.tiles, strict=True)
    ]
    split = picture.grid != (1, 1)
    return {
        "grid": picture.grid,
        "size": picture.size,
        "overview": [tile for tile in tiles if split and not tile["row"]],
        "tiles": [tile for tile in tiles if not split or tile["row"]],
        "crisp": picture.tiles.shape[1] < _SIDE,
    }


def _data_uri(tile: np.ndarray, side: int) -> str:
    image = Image.fromarray(tile)
    small = side == image.width
    if not small:
        image = image.resize((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if small:  # a miniature's tiles: every pixel counts
        image.save(buffer, "PNG", optimize=True)
    else:
        image.save(buffer, "JPEG", quality=82)
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def sequence_strip(row: ReadRow, length: int, colours: dict[str, str]) -> str:
    """A row's token sequence as an <svg>, one unit a token: examples, tiles, and what is learned.

    Examples have their category's colour, in two shades in turn; tiles are hatched; a dark line
    below marks the tokens with loss.
    """
    shapes = []
    for i, example in enumerate(row.examples):
        start, stop = example.pieces[0].start, example.pieces[-1].stop
        name = f"{example.source} {example.key}: {example.tokens} tokens".replace("&", "&amp;")
        name = name.replace("<", "&lt;")
        shapes.append(
            f'<rect x="{start}" y="0" width="{stop - start}" height="22" '
            f'fill="{colours[example.category]}" opacity="{0.85 if i % 2 else 0.6}">'
            f"<title>{name}</title></rect>"
        )
        for piece in example.pieces:
            box = f'x="{piece.start}" width="{piece.stop - piece.start}"'
            if piece.kind == "tile":
                shapes.append(f'<rect {box} y="0" height="22" fill="url(#hatch)"/>')
                shapes.append(f'<rect x="{piece.start}" width="{length / 900:.2f}" y="0" '
                              'height="22" fill="#fff" opacity=".8"/>')  # fmt: skip
            if piece.loss:
                shapes.append(f'<rect {box} y="25" height="6" class="learned"/>')
        shapes.append(
            f'<rect x="{stop}" y="0" width="{length / 450:.2f}" height="22" fill="#fff"/>'
        )
    return (
        f'<svg class="strip" viewBox="0 0 {length} 32" preserveAspectRatio="none" role="img" '
        f'aria-label="Row {row.number}: {len(row.examples)} examples">'
        f'<rect x="0" y="0" width="{length}" height="22" class="empty"/>{"".join(shapes)}</svg>'
    )


def fill_chart(windows: Sequence[tuple[int, float, float]]) -> str:
    """Token and tile fill by window, as an <svg>; empty where there are no windows."""
    if len(windows) < 2:
        return ""
    first, last = windows[0][0], windows[-1][0]
    lowest = min(min(t, n) for _, t, n in windows)
    low = min(int(lowest * 20) / 20, 0.9)  # a multiple of 5%

    def place(window: int, fill: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - 10) * (window - first) / (last - first)
        y = 10 + (_HEIGHT - 10 - _BOTTOM) * (1 - fill) / (1 - low)
        return f"{x:.1f},{y:.1f}"

    parts = []
    steps = max(round((1 - low) * 20 / 4), 1)
    for k in range(0, round((1 - low) * 20) + 1, steps):
        fill = 1 - k / 20
        _, y = place(first, fill).split(",")
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y}" y2="{y}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{float(y) + 4:.1f}" text-anchor="end">'
                     f"{100 * fill:.0f}%</text>")  # fmt: skip
    for index, name in ((1, "tokens"), (2, "tiles")):
        points = " ".join(place(row[0], float(row[index])) for row in windows)  # type: ignore[misc]
        parts.append(f'<polyline points="{points}" class="line {name}"/>')
    parts.append(f'<text x="{_LEFT}" y="{_HEIGHT - 6}">window {first:,}</text>')
    parts.append(f'<text x="{_WIDTH - 4}" y="{_HEIGHT - 6}" text-anchor="end">{last:,}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="Fill by window">{"".join(parts)}</svg>'
    )
