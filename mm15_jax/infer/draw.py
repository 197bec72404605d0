"""Boxes and points drawn into a copy of a picture, legible on any background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Box = Sequence[float]
Point = Sequence[float]

# Okabe and Ito's palette, told apart by colour-blind readers too.
PALETTE = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
_MINIMUM_SIDE = 384  # pixels; below it a label would cover what it names


def draw_boxes(
    image: Image.Image | np.ndarray,
    boxes: Sequence[Box],
    labels: Sequence[str] | None = None,
    *,
    points: Sequence[Point] = (),
    colours: Sequence[str] | None = None,
    minimum_side: int = _MINIMUM_SIDE,
) -> Image.Image:
    """Draws boxes, their labels, and points into an enlarged copy.

    A bright line with a dark and a light rim stands out on any background; small pictures are
    enlarged first by a whole factor, so that lines and labels keep one size.

    Args:
      image: a picture, or uint8[height, width, 3].
      boxes: (x1, y1, x2, y2) in pixels of `image`; corners in any order, parts outside are cut.
      labels: one text a box, "" for none; none at all by default.
      points: (x, y) in pixels, drawn as rings.
      colours: of boxes, then points; a palette by default.
      minimum_side: the longer side of the result is at least this many pixels.

    Returns:
      An RGB picture.

    Raises:
      ValueError: labels or colours do not match the boxes in number.
    """
    if labels is not None and len(labels) != len(boxes):
        raise ValueError(f"{len(labels)} labels for {len(boxes)} boxes, expected one a box")
    count = len(boxes) + len(points)
    if colours is not None and len(colours) != count:
        raise ValueError(f"{len(colours)} colours for {count} boxes and points, expected as many")
    if isinstance(image, np.ndarray):
        image = Image.fromarray(np.ascontiguousarray(image[..., :3]))
    image = image.convert("RGB")
    scale = max(1, -(-minimum_side // max(image.size)))
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.LANCZOS)
    else:
        image = image.copy()
    colours = colours or [PALETTE[i % len(PALETTE)] for i in range(count)]
    line = max(2, round(max(image.size) / 190))
    draw = ImageDraw.Draw(image)
    corners = [_on_canvas(box, scale, image.size) for box in boxes]
    for corner, colour in zip(corners, colours, strict=False):
        _outline(draw, corner, colour, line)
    for point, colour in zip(points, colours[len(boxes) :], strict=True):
        _ring(draw, (point[0] * scale, point[1] * scale), colour, line)
    # Labels last: a later box must not cross an earlier label.
    font = ImageFont.load_default(size=max(13, round(max(image.size) / 28)))
    tags: list[tuple[float, float, float, float]] = []
    for corner, label, colour in zip(corners, labels or [], colours, strict=False):
        if label:
            tags.append(_label(draw, corner, label, colour, font, line, tags))
    return image


def _on_canvas(box: Box, scale: int, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Scaled corners in order, cut to the canvas."""
    x1, x2 = sorted(min(max(float(x) * scale, 0), size[0] - 1) for x in (box[0], box[2]))
    y1, y2 = sorted(min(max(float(y) * scale, 0), size[1] - 1) for y in (box[1], box[3]))
    return x1, y1, x2, y2


def _outline(draw: ImageDraw.ImageDraw, corner, colour: str, line: int) -> None:
    x1, y1, x2, y2 = corner
    for grow, shade, width in ((2, "#ffffff", line + 4), (1, "#111111", line + 2)):
        draw.rectangle((x1 - grow, y1 - grow, x2 + grow, y2 + grow), outline=shade, width=width)
    draw.rectangle(corner, outline=colour, width=line)


def _ring(draw: ImageDraw.ImageDraw, centre, colour: str, line: int) -> None:
    radius = 4 * line
    for grow, shade, width in (
        (2, "#ffffff", line + 4),
        (1, "#111111", line + 2),
        (0, colour, line),
    ):
        reach = radius + grow
        draw.ellipse(
            (centre[0] - reach, centre[1] - reach, centre[0] + reach, centre[1] + reach),
            outline=shade,
            width=width,
        )


def _label(
    draw: ImageDraw.ImageDraw, corner, text: str, colour: str, font, line: int, taken
) -> tuple[float, float, float, float]:
    """A filled tag at the first free place: above the box, below it, or inside at its top."""
    width, height = draw.im.size
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    pad = line + 1
    tag_width, tag_height = right - left + 2 * pad, bottom - top + 2 * pad
    starts = corner[0] - line, corner[2] + line - tag_width
    above, below, inside = corner[1] - tag_height - 1, corner[3] + 1, corner[1] + line
    places = [(x, y) for y in (above, below, inside) for x in starts]
    tags = [(x, y, x + tag_width, y + tag_height) for x, y in places]
    free = [
        tag
        for tag in tags
        if tag[0] >= 0
        and tag[1] >= 0
        and tag[2] <= width
        and tag[3] <= height
        and not any(_overlap(tag, other) for other in taken)
    ]
    x = min(max(starts[0], 0), max(width - tag_width, 0))
    y = min(max(above, 0), max(height - tag_height, 0))
    tag = free[0] if free else (x, y, x + tag_width, y + tag_height)
    draw.rectangle(tag, fill=colour, outline="#111111", width=1)
    position = (tag[0] + pad - left, tag[1] + pad - top)
    draw.text(position, text, fill=_readable_on(colour), font=font)
    return tag


def _overlap(first, second) -> bool:
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )


def _readable_on(colour: str) -> str:
    """Black or white, whichever has more contrast on a #rrggbb colour (WCAG luminance)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"
