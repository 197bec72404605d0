"""What converters make examples of: checked pictures, and the turns of a dialogue."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Image, Segment, Text, Video
from mm15_jax.inputs.tiles import check_whole, image_size


def image_of(data: bytes, role: str = "user") -> Image:
    """A picture in its published bytes, with the size that its header claims.

    Raises:
      DataError: if training would refuse it: no picture's bytes, too large, or cut short.
    """
    try:
        height, width = image_size(data)
        check_whole(data)
    except ValueError as error:
        raise DataError(str(error)) from error
    return Image(data=data, height=height, width=width, role=role)


def conversation(
    images: Sequence[Image | Video], turns: Sequence[tuple[str, str]]
) -> tuple[Segment, ...]:
    """Pictures and clips of the user, then questions and answers; answers alone are trained on."""
    segments: list[Segment] = [dataclasses.replace(image, role="user") for image in images]
    for question, answer in turns:
        segments.append(Text(question, role="user"))
        segments.append(Text(answer, role="assistant", loss=True))
    return tuple(segments)
