"""Boxes of published annotations: checked against their picture, and what is asked about them.

Boxes are (x1, y1, x2, y2) in pixels of the ORIGINAL picture. A phrase is grounded (where is it?) or
referred to (what is there?); answers write boxes as `mm15_jax.inputs.coordinates` does. The paper
names these tasks (section 3.1) and not its prompts: the templates are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from mm15_jax.data.convert.prompts import pick
from mm15_jax.data.convert.segments import conversation
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.coordinates import format_box, format_point
from mm15_jax.inputs.example import Example, Image

Box = tuple[float, float, float, float]
Turn = tuple[str, str]  # question, answer

TOLERANCE = 1.0  # pixels by which annotations may leave their picture: rounding
MAX_TURNS = 12  # of one training dialogue; more become a further example
# One thing that a phrase names. The first of each tuple asks in evaluation.
GROUND_PHRASE = (
    "Give the bounding box of {}.",
    "Where is {}?",
    "Locate {} in the image.",
    "Find {} and give its box.",
)
# All things of a name, be it one.
GROUND_EVERY = (
    "Give the bounding box of every {}.",
    "Find every {} in the image.",
    "Locate each {}.",
)
REFER_PHRASE = (
    "Describe what is in {} with a short phrase.",
    "Give a phrase that refers to {}.",
    "What does {} show?",
)
REFER_NAME = (
    "What is the object in {}?",
    "Name the object in {}.",
    "What is in {}?",
)
REFER_POINT = (
    "What is the object at {}?",
    "Name the object at {}.",
    "What is at {}?",
)


def from_xywh(box: Sequence[float]) -> Box:
    """COCO's (x, y, width, height) as corners; DataError if it has not four numbers."""
    try:
        x, y, width, height = map(float, box)
    except (TypeError, ValueError):
        raise DataError(f"a box {box!r}; expected four numbers") from None
    return x, y, x + width, y + height


def checked(box: Box, image: Image) -> Box:
    """A box of a picture; what rounding put outside goes to the edge.

    Raises:
      DataError: if it is further outside, has no area, or is not finite.
    """
    x1, y1, x2, y2 = box
    clipped = max(x1, 0.0), max(y1, 0.0), min(x2, image.width), min(y2, image.height)
    if not all(map(math.isfinite, box)):
        raise DataError(f"a box {_text(box)} that is not finite")
    if max(abs(a - b) for a, b in zip(box, clipped, strict=True)) > TOLERANCE:
        raise DataError(
            f"a box {_text(box)} outside of its picture of {image.width} x {image.height}"
        )
    if not (clipped[0] < clipped[2] and clipped[1] < clipped[3]):
        raise DataError(f"a box {_text(box)} without an area")
    return clipped


def _text(box: Box) -> str:
    return f"({', '.join(f'{value:g}' for value in box)})"


def check_size(image: Image, width: int, height: int) -> None:
    """DataError unless the picture has the size that its annotation was made on."""
    if (image.width, image.height) != (width, height):
        raise DataError(
            f"the picture has {image.width} x {image.height} pixels, its boxes are of"
            f" {width} x {height}"
        )


def written(boxes: Sequence[Box], image: Image) -> str:
    """Boxes as text, a comma between them."""
    return ", ".join(format_box(box, width=image.width, height=image.height) for box in boxes)


def shuffled(names: Iterable[str], key: str) -> list[str]:
    """Names in an order that the key decides, whatever order they came in."""
    return sorted(names, key=lambda name: (pick(f"order {key} {name}", 2**63), name))


def template(templates: Sequence[str], key: str) -> str:
    """One of the templates, decided by the key."""
    return templates[pick(f"template {key}", len(templates))]


def ground(phrase: str, boxes: Sequence[Box], image: Image, key: str, *, every=False) -> Turn:
    """Where a phrase is: all its boxes, or those of every thing of a name."""
    templates = GROUND_EVERY if every else GROUND_PHRASE
    return template(templates, key).format(phrase), written(boxes, image)


def refer(
    phrase: str, box: Box, image: Image, key: str, templates: Sequence[str] = REFER_PHRASE
) -> Turn:
    """What is in a box."""
    return template(templates, key).format(written([box], image)), phrase


def refer_point(name: str, point: Sequence[float], image: Image, key: str) -> Turn:
    """What is at a point (x, y) in pixels."""
    place = format_point(point, width=image.width, height=image.height)
    return template(REFER_POINT, key).format(place), name


def dialogues(
    image: Image, turns: Sequence[Turn], source: str, key: str, category: str = "refer_ground"
) -> list[Example]:
    """Training examples of one picture: up to `MAX_TURNS` questions each, in their order."""
    examples = []
    for start in range(0, len(turns), MAX_TURNS):
        part = f"{key}:{start}" if start else key
        segments = conversation([image], turns[start : start + MAX_TURNS])
        examples.append(Example(segments, source, part, category, {}))
    return examples


def grounding_question(
    image: Image, phrase: str, box: Box, source: str, key: str, context: str = ""
) -> Example:
    """An evaluation example: the box of a phrase, right at IoU above 0.5.

    Args:
      image: the picture.
      phrase: what to find.
      box: where it is.
      source: the data set.
      key: of the example.
      context: what to say before the question, such as the sentence the phrase is from.
    """
    answer = written([box], image)
    question = context + GROUND_PHRASE[0].format(phrase)
    metadata = {"answer": answer, "metric": "iou", "box": list(box)}
    return Example(
        conversation([image], [(question, answer)]), source, key, "refer_ground", metadata
    )


def referring_question(
    image: Image, names: Sequence[str], box: Box, source: str, key: str, point=None
) -> Example:
    """An evaluation example: the name of what is in a box, or at a point of it.

    Args:
      image: the picture.
      names: all that are right; the first is shown as the answer.
      box: where the thing is.
      source: the data set.
      key: of the example.
      point: (x, y) in pixels to ask about, instead of the box.
    """
    if point is None:
        question = REFER_NAME[0].format(written([box], image))
    else:
        place = format_point(point, width=image.width, height=image.height)
        question = REFER_POINT[0].format(place)
    metadata: dict[str, Any] = {
        "answer": list(names),
        "metric": "exact_match",
        "kind": "box" if point is None else "point",
        "box": list(box),
    }
    return Example(
        conversation([image], [(question, names[0])]), source, key, "refer_ground", metadata
    )
