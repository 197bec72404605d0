"""Scores of places: intersection over union of boxes, points in boxes."""

from __future__ import annotations

from collections.abc import Sequence

from mm15_jax.inputs.coordinates import parse_boxes, parse_points

Box = Sequence[float]
IOU_THRESHOLD = 0.5


def area(box: Box) -> float:
    """Width times height; 0 where the corners (x1, y1), (x2, y2) are not in order."""
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def iou(first: Box, second: Box) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2) in continuous coordinates.

    0 if either box has no area: a point or a line lies in any box but finds nothing.
    """
    shared = area(
        (
            max(first[0], second[0]),
            max(first[1], second[1]),
            min(first[2], second[2]),
            min(first[3], second[3]),
        )
    )
    areas = area(first), area(second)
    if not (areas[0] > 0 and areas[1] > 0):
        return 0.0
    return shared / (areas[0] + areas[1] - shared)


def grounding_correct(answer: str, box: Box, *, width: float, height: float) -> float:
    """1 if the first box of the answer overlaps the true one with IoU above 0.5, else 0.

    That is recall at one of the referring benchmarks (paper, section 4); exactly 0.5 is wrong.

    Args:
      answer: the model's, with boxes as `<x1,y1,x2,y2>`.
      box: the true one, in pixels of the picture.
      width: of the picture, in pixels.
      height: of the picture, in pixels.
    """
    boxes = parse_boxes(answer, width=width, height=height)
    return float(bool(boxes) and iou(boxes[0], box) > IOU_THRESHOLD)


def recall_at_one(
    answer: str, boxes: Sequence[Box], *, width: float, height: float, merged: bool = False
) -> float:
    """1 if the answer's first box overlaps any of the true ones with IoU of 0.5 or more, else 0.

    Recall at one of Flickr30k Entities, any-box protocol (MDETR; Kamath et al. 2021); exactly 0.5
    is right there, unlike in `grounding_correct`.

    Args:
      answer: the model's, with boxes as `<x1,y1,x2,y2>`.
      boxes: the true ones of a phrase, in pixels of the picture.
      width: of the picture, in pixels.
      height: of the picture, in pixels.
      merged: compare with the smallest box around all true ones instead, as Ferret's evaluation
        does (the merged-boxes protocol).

    Raises:
      ValueError: no true box.
    """
    if not boxes:
        raise ValueError("no true boxes, expected at least one")
    if merged:
        boxes = [
            (
                min(box[0] for box in boxes),
                min(box[1] for box in boxes),
                max(box[2] for box in boxes),
                max(box[3] for box in boxes),
            )
        ]
    given = parse_boxes(answer, width=width, height=height)
    return float(bool(given) and any(iou(given[0], box) >= IOU_THRESHOLD for box in boxes))


def point_correct(answer: str, box: Box, *, width: float, height: float) -> float:
    """1 if the first point of the answer, `<x,y>`, lies in the true box (edges count), else 0."""
    points = parse_points(answer, width=width, height=height)
    if not points:
        return 0.0
    x, y = points[0]
    return float(box[0] <= x <= box[2] and box[1] <= y <= box[3])
