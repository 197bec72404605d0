"""Boxes and points as text: `<x1,y1,x2,y2>` and `<x,y>`, whole numbers from 0 to 999.

Each axis of the ORIGINAL picture, before any padding or splitting, is cut into 1000 equal bins; a
coordinate is written as the number of its bin (Ferret's convention, adopted by MM1.5: figure 3) and
read back as the centre of that bin.
"""

import re
from collections.abc import Sequence

BINS = 1000

_NUMBER = r"\s*([0-9]{1,3})\s*"
_POINT = re.compile(f"<{_NUMBER},{_NUMBER}>")
_BOX = re.compile(f"<{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}>")


def format_box(box: Sequence[float], *, width: float, height: float) -> str:
    """Writes a box in pixels as `<x1,y1,x2,y2>`.

    Args:
      box: (x1, y1, x2, y2) in pixels of the original picture; corners are written as given, and
        coordinates outside the picture go to its edge.
      width: width of the picture in pixels.
      height: height of the picture in pixels.

    Returns:
      The text, without spaces.

    Raises:
      ValueError: if the box has not four finite numbers, or the size is not positive.
    """
    if len(box) != 4:
        raise ValueError(f"A box is (x1, y1, x2, y2) in pixels, four numbers; got {box!r}.")
    x1, y1, x2, y2 = box
    return (
        f"<{_to_bin(x1, width)},{_to_bin(y1, height)},{_to_bin(x2, width)},{_to_bin(y2, height)}>"
    )


def format_point(point: Sequence[float], *, width: float, height: float) -> str:
    """Writes a point (x, y) in pixels as `<x,y>`; arguments and errors as in `format_box`."""
    if len(point) != 2:
        raise ValueError(f"A point is (x, y) in pixels, two numbers; got {point!r}.")
    x, y = point
    return f"<{_to_bin(x, width)},{_to_bin(y, height)}>"


def parse_boxes(
    text: str, *, width: float, height: float
) -> list[tuple[float, float, float, float]]:
    """Finds the boxes in a text, in order.

    Spaces around numbers are accepted. Anything else that is not four whole numbers from 0 to 999
    in angle brackets is passed over, points included: what is parsed is a model's answer.

    Args:
      text: any text.
      width: width of the picture in pixels.
      height: height of the picture in pixels.

    Returns:
      Boxes (x1, y1, x2, y2) in pixels, each coordinate the centre of its bin.

    Raises:
      ValueError: if the size is not positive.
    """
    _check_size(width, height)
    return [
        (
            _to_pixel(x1, width),
            _to_pixel(y1, height),
            _to_pixel(x2, width),
            _to_pixel(y2, height),
        )
        for x1, y1, x2, y2 in _BOX.findall(text)
    ]


def parse_points(text: str, *, width: float, height: float) -> list[tuple[float, float]]:
    """Finds the points in a text, in order: (x, y) in pixels; otherwise as `parse_boxes`."""
    _check_size(width, height)
    return [(_to_pixel(x, width), _to_pixel(y, height)) for x, y in _POINT.findall(text)]


def _check_size(width: float, height: float) -> None:
    _ratio(width, "picture width", positive=True)
    _ratio(height, "picture height", positive=True)


def _to_bin(value: float, size: float) -> int:
    """int(value * 1000 / size), clipped to 0..999.

    Every number is a ratio of integers, so that nothing is rounded on the way to the bin.
    """
    numerator, denominator = _ratio(value, "coordinate")
    size_numerator, size_denominator = _ratio(size, "picture size", positive=True)
    index = numerator * BINS * size_denominator // (denominator * size_numerator)
    return min(max(index, 0), BINS - 1)


def _to_pixel(digits: str, size: float) -> float:
    return (2 * int(digits) + 1) * size / (2 * BINS)


def _ratio(value: float, name: str, *, positive: bool = False) -> tuple[int, int]:
    item = getattr(value, "item", None)  # numpy scalars become Python's
    number = value if item is None else item()
    try:
        numerator, denominator = number.as_integer_ratio()
    except (AttributeError, ValueError, OverflowError):
        raise ValueError(f"A {name} is {value!r}; expected a finite number of pixels.") from None
    if positive and numerator <= 0:
        raise ValueError(f"The {name} is {value!r}; expected a positive number of pixels.")
    return numerator, denominator
