"""Reads KGeography's maps: an XML list of regions, and a picture with one flat colour a region."""

from __future__ import annotations

import contextlib
import functools
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mm15_jax.data.open_corpus.common import MAX_PIXELS, content_hash, inside, linked
from mm15_jax.data.preparation import DataError

FOLDER = "usr/share/kgeography"
LICENCE = "GPL-2+ (Debian package kgeography-data)"
MAX_XML_BYTES = 2_000_000


@dataclass(frozen=True)
class Region:
    """A division of a map; `drawn_only` ones (water, frontiers, neighbours) are never asked for."""

    name: str
    colour: tuple[int, int, int]
    drawn_only: bool
    capital: str | None
    flag: str | None  # a path under flags/


@dataclass(frozen=True)
class Map:
    """One .kgm file."""

    key: str  # its stem
    name: str
    picture: Path
    regions: tuple[Region, ...]
    capital_question: str | None  # with %1 for the region, where it is not about capitals

    def named(self) -> list[Region]:
        """Regions that may be asked for: their name and their colour occur once in the map."""
        names = [r.name for r in self.regions]
        colours = [r.colour for r in self.regions]
        return [
            r
            for r in self.regions
            if not r.drawn_only and names.count(r.name) == 1 and colours.count(r.colour) == 1
        ]


def read_map(root: Path, key: str) -> Map:
    """The map `key` (a stem) of the folder `root`; DataError if its XML is not as expected."""
    path = inside(root, f"{key}.kgm")
    if path.stat().st_size > MAX_XML_BYTES:
        raise DataError(f"{path.name} has more than {MAX_XML_BYTES} bytes")
    data = path.read_bytes()
    if b"<!ENTITY" in data:
        raise DataError(f"{path.name} declares XML entities, which maps do not need")
    try:
        tree = ElementTree.fromstring(data)
        regions = tuple(_region(node) for node in tree.findall("division"))
        name, picture = _text(tree, "name"), _text(tree, "mapFile")
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path.name} is not a map ({error})") from error
    return Map(
        key=key,
        name=name,
        picture=inside(root, picture),
        regions=regions,
        capital_question=tree.findtext("divisionToCapitalPattern"),
    )


def _text(node: ElementTree.Element, tag: str) -> str:
    text = " ".join((node.findtext(tag) or "").split())
    if not text:
        raise ValueError(f"a <{node.tag}> has no <{tag}>")
    return text


def _region(node: ElementTree.Element) -> Region:
    colour = node.find("color")
    if colour is None:
        raise ValueError("a <division> has no <color>")
    red, green, blue = (int(_text(colour, c)) for c in ("red", "green", "blue"))
    capital, flag = (node.findtext(tag) for tag in ("capital", "flag"))
    return Region(
        name=_text(node, "name"),
        colour=(red, green, blue),
        # "allowClickMode" regions have no capital or flag to ask for, but a place.
        drawn_only=(node.findtext("ignore") or "").strip() == "yes",
        capital=" ".join(capital.split()) if capital and capital.strip() else None,
        flag=flag.strip() if flag and flag.strip() else None,
    )


def map_keys(root: Path) -> dict[str, str]:
    """The unit of every map: maps of one country (france, france_regions) are one unit."""
    links = []
    for path in sorted(root.glob("*.kgm")):
        marks = [path.stem.split("_")[0]]
        with contextlib.suppress(DataError):  # named where the map is planned
            marks.append(content_hash(read_map(root, path.stem).picture))
        links.append((path.stem, marks))
    return linked(links)


@functools.lru_cache(maxsize=4)
def colour_codes(picture: Path) -> np.ndarray:
    """int32[h, w]: red * 65536 + green * 256 + blue of each pixel."""
    pixels = cv2.imdecode(np.frombuffer(picture.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if pixels is None or pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise DataError(f"{picture.name} is not a readable picture")
    blue, green, red = (pixels[..., i].astype(np.int32) for i in range(3))
    return red * 65536 + green * 256 + blue


@functools.lru_cache(maxsize=256)
def areas(picture: Path) -> dict[int, int]:
    """Pixels of each colour code."""
    codes, counts = np.unique(colour_codes(picture), return_counts=True)
    return dict(zip(codes.tolist(), counts.tolist(), strict=True))


def code_of(colour: tuple[int, int, int]) -> int:
    """The colour as one number, as in `colour_codes`."""
    return colour[0] * 65536 + colour[1] * 256 + colour[2]


@dataclass(frozen=True)
class Place:
    """Where a region is, in pixels of its map."""

    box: tuple[int, int, int, int]  # x1, y1, x2, y2; x2 and y2 exclusive; all parts of the region
    point: tuple[int, int]  # x, y: the middle of the pixel farthest from the region's edge
    area: int  # pixels


@functools.lru_cache(maxsize=512)
def place_of(picture: Path, colour: tuple[int, int, int]) -> Place:
    """Box and inner point of the region's exact mask; DataError if no pixel has the colour."""
    mask = colour_codes(picture) == code_of(colour)
    if not mask.any():
        raise DataError(f"no pixel of {picture.name} has the colour {colour}")
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    # A frame of zeros makes the picture's border an edge of the region.
    framed = np.pad(mask.astype(np.uint8), 1)
    distance = cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return Place(
        box=(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1),
        point=(int(x), int(y)),
        area=int(mask.sum()),
    )
