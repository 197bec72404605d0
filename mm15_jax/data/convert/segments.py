"""What converters make examples of: checked pictures, and the turns of a dialogue."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import PIL.Image

from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Image, Segment, Text

MAX_PIXELS = 100_000_000  # a picture that claims more is taken for a bomb
_TURNED = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_ORIENTATION = 0x0112
# What training decodes; anything else is refused where the data set is prepared, not later.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "MPO")


def image_of(data: bytes, role: str = "user") -> Image:
    """A picture in its published bytes, with the size that its header claims.

    Raises:
      DataError: if the header is no picture's, or claims more than `MAX_PIXELS` or no pixel.
    """
    try:
        with PIL.Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            width, height = picture.size
            if picture.getexif().get(_ORIENTATION, 1) in _TURNED:
                width, height = height, width
    # Pillow reports broken files by all of these.
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise DataError(f"not a readable picture ({error})") from error
    if not 0 < width * height <= MAX_PIXELS:
        raise DataError(f"a picture that claims {width} x {height} pixels")
    return Image(data=data, height=height, width=width, role=role)


def conversation(images: Sequence[Image], turns: Sequence[tuple[str, str]]) -> tuple[Segment, ...]:
    """Pictures of the user, then questions and answers; only the answers are trained on."""
    segments: list[Segment] = [dataclasses.replace(image, role="user") for image in images]
    for question, answer in turns:
        segments.append(Text(question, role="user"))
        segments.append(Text(answer, role="assistant", loss=True))
    return tuple(segments)
