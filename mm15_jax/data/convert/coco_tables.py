"""Annotation files in COCO's format, as columns: Objects365's 25 million boxes take 1.1 GB.

Format: as read by pycocotools (`COCO.createIndex`): one object with the arrays `images` (id,
file_name, width, height), `annotations` (id, image_id, category_id, bbox as x, y, width, height)
and `categories` (id, name). LVIS has `coco_url` for `file_name`, and lists of the categories that
are not annotated everywhere in a picture (`not_exhaustive_category_ids`).
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mm15_jax.data.convert.boxes import Box, from_xywh
from mm15_jax.data.convert.json_stream import array_elements
from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source

_KEYS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class Picture:
    """A row of `images`."""

    id: int
    name: str  # the last part of file_name or coco_url, with the folders before it
    width: int
    height: int
    partial: frozenset[int]  # categories of which some things may lack a box


@dataclass(frozen=True)
class Annotation:
    """A row of `annotations`."""

    id: int
    category: int
    box: Box
    point: tuple[float, float] | None  # inside of its outline, where that is a polygon


class CocoTable:
    """What an annotation file holds, by picture."""

    def __init__(self, source: Source, file: str, *, points: bool = False):
        """Reads the file once.

        Args:
          source: where it is.
          file: its name.
          points: whether to find a point inside of each outline; costs 20 us each.

        Raises:
          ValueError: if it is not in COCO's format.
        """
        self.names: dict[int, str] = {}
        self.synonyms: dict[int, tuple[str, ...]] = {}
        self._files: list[str] = []
        self._partial: dict[int, frozenset[int]] = {}
        image_ids, sizes = array("q"), array("i")
        owners, ids, categories, boxes = array("q"), array("q"), array("i"), array("f")
        inside = array("f")
        try:
            for kind, row in array_elements(source, file, _KEYS):
                if kind == "images":
                    image_ids.append(row["id"])
                    sizes.extend((row["width"], row["height"]))
                    self._files.append(row.get("file_name") or row["coco_url"])
                    if row.get("not_exhaustive_category_ids"):
                        self._partial[row["id"]] = frozenset(row["not_exhaustive_category_ids"])
                elif kind == "categories":
                    self.names[row["id"]] = row["name"]
                    self.synonyms[row["id"]] = tuple(row.get("synonyms", ()))
                elif not (row.get("iscrowd") or row.get("isfake")):
                    owners.append(row["image_id"])
                    ids.append(row["id"])
                    categories.append(row["category_id"])
                    boxes.extend(_box(row["bbox"]))
                    if points:
                        inside.extend(point_inside(row.get("segmentation")) or _NOWHERE)
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(
                f"{file} in {source.url}: a row of {kind} is not in COCO's format"
                f" ({type(error).__name__}: {error})"
            ) from error
        self.image_ids = np.array(image_ids, np.int64)
        self._sizes = np.array(sizes, np.int32).reshape(-1, 2)
        # Sorted by picture; one column at a time is there twice.
        order = np.argsort(np.array(owners, np.int64), kind="stable")
        columns = [owners, ids, categories, boxes, inside]
        del owners, ids, categories, boxes, inside
        self._owners = np.array(columns.pop(0), np.int64)[order]
        self._ids = np.array(columns.pop(0), np.int64)[order]
        self._categories = np.array(columns.pop(0), np.int32)[order]
        self._boxes = np.array(columns.pop(0), np.float32).reshape(-1, 4)[order]
        self._points = (
            np.array(columns.pop(0), np.float32).reshape(-1, 2)[order] if points else None
        )

    def __len__(self) -> int:
        return len(self.image_ids)

    def picture(self, index: int) -> Picture:
        """The picture in row `index` of the file."""
        number = int(self.image_ids[index])
        width, height = map(int, self._sizes[index])
        name, partial = self._files[index], self._partial.get(number, frozenset())
        return Picture(number, name, width, height, partial)

    def annotations(self, image_id: int) -> list[Annotation]:
        """Boxes of a picture, in the order of the file; no crowds, no pictures of pictures."""
        start, stop = np.searchsorted(self._owners, [image_id, image_id + 1])
        return [self._annotation(row) for row in range(start, stop)]

    def _annotation(self, row: int) -> Annotation:
        point = None
        if self._points is not None and np.isfinite(self._points[row]).all():
            x, y = map(float, self._points[row])
            point = x, y
        x1, y1, x2, y2 = (round(float(value), 2) for value in self._boxes[row])
        category = int(self._categories[row])
        return Annotation(int(self._ids[row]), category, (x1, y1, x2, y2), point)


_NOWHERE = (float("nan"), float("nan"))


def _box(box: Any) -> Box:
    try:
        return from_xywh(box)
    except DataError:  # refused later, where its picture's name is known
        return (float("nan"),) * 4


def point_inside(polygons: Any) -> tuple[float, float] | None:
    """A point (x, y) inside of the polygon with the most corners: in the widest span half way down.

    Args:
      polygons: COCO's segmentation, [[x1, y1, x2, y2, ...], ...]; a run-length mask gives None.
    """
    if not isinstance(polygons, list) or not polygons:
        return None
    flat = max(polygons, key=len)
    if len(flat) < 6 or len(flat) % 2:
        return None
    corners = [(float(x), float(y)) for x, y in zip(flat[::2], flat[1::2], strict=True)]
    heights = [y for _, y in corners]
    level = (min(heights) + max(heights)) / 2
    crossings = []
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        if (y1 > level) != (y2 > level):
            crossings.append(x1 + (level - y1) * (x2 - x1) / (y2 - y1))
    crossings.sort()
    spans = list(zip(crossings[::2], crossings[1::2], strict=True))
    if not spans:
        return None
    left, right = max(spans, key=lambda span: span[1] - span[0])
    return (left + right) / 2, level


@functools.lru_cache(maxsize=2)
def coco_table(source: Source, file: str, points: bool = False) -> CocoTable:
    """The table of a file, kept for the next part."""
    return CocoTable(source, file, points=points)


def picture_names(name: str, folders: Sequence[str]) -> list[str]:
    """Where a picture may be: its name as published, and its last part in each folder."""
    last = name.rpartition("/")[2]
    return [f"{folder}/{last}" if folder else last for folder in folders]
