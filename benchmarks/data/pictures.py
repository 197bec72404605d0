"""Pictures to measure loaders with, made by code, as JPEG; and Pillow's way from them to tiles.

A photograph is noise with the spectrum of natural pictures (amplitude 1/f) over a gradient, with a
few hard edges; a page is words in two columns, a heading and a ruled table. Both come out at the
sizes in bytes that real ones have (0.2 to 0.4 bytes a pixel).
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mm15_jax.inputs.image_splitting import OVERVIEW_CELL, Tiling, fit_size
from mm15_jax.inputs.tiles import PAD_COLOUR

A4_INCHES = 11.69, 8.27  # height, width


def photo(height: int, width: int, seed: int) -> bytes:
    """A JPEG of quality 90."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = 1
    noise = np.stack(
        [
            np.fft.irfft2(
                np.fft.rfft2(rng.normal(size=(height, width))) / frequency, (height, width)
            )
            for _ in range(3)
        ],
        -1,
    )
    gradient = np.linspace(-1, 1, width)[None, :, None] * rng.normal(size=3)
    pixels = noise / noise.std() + gradient
    pixels = (pixels - pixels.min()) / np.ptp(pixels) * 255
    picture = Image.fromarray(pixels.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y = rng.integers(0, width), rng.integers(0, height)
        radius = int(rng.integers(4, height // 6))
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return _jpeg(picture, 90)


def page(dots_per_inch: int, seed: int) -> bytes:
    """A printed page of A4, a JPEG of quality 85."""
    from matplotlib import font_manager  # for its fonts; the peers' environments do without

    rng = np.random.default_rng(seed)
    height, width = (round(side * dots_per_inch) for side in A4_INCHES)
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    path = font_manager.findfont("DejaVu Serif")
    body = ImageFont.truetype(path, round(10 / 72 * dots_per_inch))  # ten points
    margin, line = dots_per_inch * 3 // 4, round(14 / 72 * dots_per_inch)
    draw.text((margin, margin // 2), "A Heading", font=body.font_variant(size=line), fill="black")
    column = (width - 2 * margin) // 2
    for left in (margin, margin + column + margin // 4):
        for top in range(margin, height * 3 // 4, line):
            words = ""
            while draw.textlength(words, font=body) < column - margin:
                words += "".join(rng.choice(list("aeioutnrshldm"), rng.integers(2, 9))) + " "
            draw.text((left, top), words, font=body, fill="black")
    for i in range(7):  # a ruled table
        y = height * 3 // 4 + line * (2 + i)
        draw.line((margin, y, width - margin, y), fill="black")
        draw.text((margin, y), f"row {i}   {rng.integers(0, 9999)}", font=body, fill="black")
    return _jpeg(picture, 85)


def pillow_tiles(data: bytes, tiling: Tiling) -> np.ndarray:
    """What `load_tiles` gives, by Pillow alone: its decoder, its antialiased bicubic."""
    r = tiling.resolution
    picture = Image.open(io.BytesIO(data)).convert("RGB")

    def fitted(rows: int, columns: int) -> Image.Image:
        height, width = fit_size(tiling.height, tiling.width, rows, columns, r)
        canvas = Image.new("RGB", (columns * r, rows * r), PAD_COLOUR)
        canvas.paste(picture.resize((width, height), Image.Resampling.BICUBIC))
        return canvas

    grid, overview = fitted(*tiling.grid), fitted(1, 1)
    tiles = np.empty((tiling.num_tiles, r, r, 3), np.uint8)
    for tile, (row, column) in zip(tiles, tiling.cells, strict=True):
        if (row, column) == OVERVIEW_CELL:
            tile[...] = overview
        else:
            x, y = (column - 1) * r, (row - 1) * r
            tile[...] = grid.crop((x, y, x + r, y + r))
    return tiles


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
