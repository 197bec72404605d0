"""Pictures that annotations name, wherever users unpacked them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Image


def read_picture(source: Source, names: Sequence[str], role: str = "user") -> Image:
    """The first picture that is there.

    Args:
      source: where to look.
      names: file names to try, in order.
      role: of the Image.

    Raises:
      DataError: if none is there, or it is no picture.
    """
    likely = [name for name in names if _has_top(source, name.partition("/")[0])]
    for name in likely[:-1]:
        if source.exists(name):
            return image_of(source.read(name), role)
    if not likely:
        raise DataError(f"there is no picture {' or '.join(map(repr, names))} in {source.url}")
    return image_of(source.read(likely[-1]), role)  # it says itself if it is not there


@functools.lru_cache(maxsize=4096)
def _has_top(source: Source, folder: str) -> bool:
    """Whether the first part of a name is there; asked once, for buckets answer slowly."""
    return source.exists(folder)
