"""Places in Ferret's dialogues: `<bbox_location0>` in a turn, the boxes beside it in pixels.

Format: as read by train.py of Ferret and of Ferret-UI. `box_x1y1x2y2[turn][i]` is the box that
`<bbox_location i>` of that turn stands for; `image_w` and `image_h` are the size that it refers to.
In its questions Ferret writes each turn's places as boxes or as points, by chance; in its answers
always as boxes. We write them as all our data sets do (`inputs/coordinates.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mm15_jax.data.convert.dialogue import Turn
from mm15_jax.data.convert.prompts import pick
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.coordinates import format_box, format_point
from mm15_jax.inputs.example import Image

_SCALES_ALIKE = 0.02  # sides of a small picture are rounded
_PLACE = re.compile(r"<bbox_location(\d+)>")


def with_places(
    turns: Sequence[Turn], record: Mapping[str, Any], key: str, *, points: bool = True
) -> list[Turn]:
    """Turns with their places written out; as they are if the record has no boxes.

    Args:
      turns: all of the record's turns, in order.
      record: with `box_x1y1x2y2`, `image_w`, `image_h`.
      key: decides, with the number of the turn, between points and boxes in a question.
      points: whether it may decide for points; evaluations ask by boxes.

    Raises:
      DataError: if a place has no box, a box no place, or a box lies outside of its picture.
    """
    boxes = record.get("box_x1y1x2y2")
    if boxes is None:
        return list(turns)
    if len(boxes) > len(turns) and any(boxes[len(turns) :]):
        raise DataError(f"boxes of {len(boxes)} turns, the dialogue has {len(turns)}")
    width, height = _size(record, "image_w"), _size(record, "image_h")
    written = []
    for number, (role, text) in enumerate(turns):
        found = boxes[number] if number < len(boxes) else []
        as_points = points and role == "user" and pick(f"{key}/{number}", 2) == 1
        places = [_place(box, width, height, as_points) for box in found]
        written.append((role, _fill(text, places)))
    return written


def check_shape(image: Image, record: Mapping[str, Any]) -> None:
    """DataError if a record's boxes cannot be of this picture, which may be another size of it.

    Turned by its EXIF, or another picture altogether: boxes would stand where nothing is.
    """
    if record.get("box_x1y1x2y2") is None:
        return
    width, height = _size(record, "image_w"), _size(record, "image_h")
    across, down = image.width / width, image.height / height
    if abs(across - down) > _SCALES_ALIKE * max(across, down):
        raise DataError(
            f"the picture has {image.width} x {image.height} pixels, its boxes are of"
            f" {width:g} x {height:g}, which is another shape"
        )


def _size(record: Mapping[str, Any], name: str) -> float:
    size = record.get(name)
    if not isinstance(size, int | float) or size <= 0:
        raise DataError(f"boxes, and {name} is {size!r}, expected pixels")
    return size


def _fill(text: str, places: Sequence[str]) -> str:
    named = {int(number) for number in _PLACE.findall(text)}
    if named != set(range(len(places))):
        raise DataError(f"the turn names places {sorted(named)}, and has {len(places)} boxes")
    return _PLACE.sub(lambda match: places[int(match.group(1))], text)


def _place(box: Any, width: float, height: float, point: bool) -> str:
    if not isinstance(box, Sequence) or len(box) != 4:
        raise DataError(f"a box is {box!r}, expected four numbers")
    # Ferret clips boxes to the picture, however far they reach out.
    x1, x2 = (min(max(x, 0), width - 1) for x in (box[0], box[2]))
    y1, y2 = (min(max(y, 0), height - 1) for y in (box[1], box[3]))
    if x1 >= x2 or y1 >= y2:
        raise DataError(f"the box {box} is empty inside its picture of {width} x {height}")
    if point:
        return format_point(((x1 + x2) / 2, (y1 + y2) / 2), width=width, height=height)
    return format_box((x1, y1, x2, y2), width=width, height=height)
