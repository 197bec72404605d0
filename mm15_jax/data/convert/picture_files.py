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
    if len(names) == 1:
        return image_of(source.read(names[0]), role)  # it says itself if it is not there
    for name in names:
        if _has_top(source, name.partition("/")[0]) and source.exists(name):
            return image_of(source.read(name), role)
    raise DataError(f"there is no picture {' or '.join(map(repr, names))} in {source.url}")


@functools.lru_cache(maxsize=4096)
def _has_top(source: Source, folder: str) -> bool:
    """Whether the first part of a name is there; asked once, for buckets answer slowly."""
    return source.exists(folder)
