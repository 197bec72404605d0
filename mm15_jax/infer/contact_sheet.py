"""A clip as one picture: frames side by side, row by row in the order of time."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw, ImageFont

from mm15_jax.inputs.example import Video
from mm15_jax.inputs.video import frame_numbers, load_frames, plan_frames

_GAP, _STRIP = 6, 18  # pixels between frames, and below each for its time
_SMALL = 128  # frames whose longer side is less are enlarged by a whole factor


def contact_sheet(clip: Video, frames: int, side: int = 256) -> Image.Image:
    """Frames of a clip with the time of each below it, on white.

    Args:
      clip: any clip.
      frames: most frames, taken uniformly as a model takes them (`inputs.video`).
      side: longer side of a frame in pixels, at most; small frames are enlarged towards it.

    Returns:
      An RGB picture, nearly square.

    Raises:
      ValueError: if the clip is damaged.
    """
    longer = max(clip.height, clip.width)
    scale = min(1.0, side / longer)
    height, width = (max(1, round(length * scale)) for length in (clip.height, clip.width))
    tiles = load_frames(
        clip, plan_frames(clip, wanted=frames, resolution=min(longer, side))
    )  # each uint8[1, r, r, 3], the frame at its left top
    factor = max(1, min(_SMALL, side) // max(height, width))
    fewest = min(math.ceil(math.sqrt(len(tiles) * height / width)), len(tiles))
    # Of nearly square sheets the one with the fewest empty places.
    columns = min((fewest, fewest + 1), key=lambda n: -len(tiles) % n)
    rows = -(-len(tiles) // columns)
    across, down = width * factor + _GAP, height * factor + _STRIP + _GAP
    sheet = Image.new("RGB", (columns * across + _GAP, rows * down + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for place, ((tile,), number) in enumerate(
        zip(tiles, frame_numbers(clip.frames, len(tiles)), strict=True)
    ):
        picture = Image.fromarray(tile[:height, :width])
        picture = picture.resize((width * factor, height * factor), Image.Resampling.NEAREST)
        left, top = _GAP + place % columns * across, _GAP + place // columns * down
        sheet.paste(picture, (left, top))
        share = (2 * place + 1) / (2 * len(tiles))
        text = f"{share * clip.seconds:.1f} s" if clip.seconds else f"frame {number + 1}"
        draw.text((left, top + height * factor + 1), text, fill="#444444", font=font)
    return sheet
