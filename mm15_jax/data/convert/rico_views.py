"""RICO: pictures of screens, and the elements on them.

Format: `unique_uis.tar.gz` unpacks to combined/ID.jpg and combined/ID.json, a view hierarchy whose
`activity.root` has `bounds`, `pointer` and `children` (some null). Bounds are on a canvas whose
longer side is 2560, as big_vision's `datasets/widgetcap` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mm15_jax.data.convert.boxes import Box
from mm15_jax.data.convert.picture_files import read_picture
from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Image

_CANVAS = 2560  # longer side of the canvas that bounds are on
_FOLDERS = ("combined", "rico/combined", "images")


def screen_picture(source: Source, screen: str) -> Image:
    """The picture of a screen; DataError if it is not there."""
    return read_picture(source, [f"{folder}/{screen}.jpg" for folder in _FOLDERS])


def root_node(source: Source, screen: str) -> Any:
    """The root of a screen's view hierarchy; DataError if it is not there or is damaged."""
    for folder in _FOLDERS:
        if source.exists(f"{folder}/{screen}.json"):
            try:
                return json.loads(source.read(f"{folder}/{screen}.json"))["activity"]["root"]
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"a damaged view hierarchy: {error!r}") from error
    raise DataError(f"there is no view hierarchy {_FOLDERS[0]}/{screen}.json")


def node_at(root: Any, node_id: str) -> Any:
    """The node that Widget captioning calls "0.2.1"; DataError if there is none."""
    node = root
    try:
        for index in node_id.split(".")[1:]:
            node = node["children"][int(index)]
    except (KeyError, IndexError, TypeError, ValueError):
        node = None
    if not isinstance(node, dict):
        raise DataError(f"no node {node_id!r} in the view hierarchy")
    return node


def node_with_pointer(root: Any, pointer: str) -> Any:
    """The first node with this `pointer`, depth first; DataError if there is none."""
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            if node.get("pointer") == pointer:
                return node
            stack += reversed(node.get("children") or ())
    raise DataError(f"no node with pointer {pointer!r} in the view hierarchy")


def visible_box(node: Mapping[str, Any], image: Image) -> Box:
    """What is seen of a node, in pixels of the picture: lists scroll, so much reaches out.

    Raises:
      DataError: if nothing of it is on the screen.
    """
    scale = max(image.width, image.height) / _CANVAS
    bounds = node.get("bounds")
    if not isinstance(bounds, list) or len(bounds) != 4:
        raise DataError(f"a node whose bounds are {bounds!r}")
    x1, y1, x2, y2 = (float(value) * scale for value in bounds)
    seen = max(x1, 0.0), max(y1, 0.0), min(x2, image.width), min(y2, image.height)
    if not (seen[0] < seen[2] and seen[1] < seen[3]):
        raise DataError(f"the node's bounds {bounds} are not on the screen")
    return seen
