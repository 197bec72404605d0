"""Find and name the regions of real maps: exact boxes and points from KGeography's masks.

open_maps asks by name ("Where is Aragon?"), which takes knowledge of the world on maps that were
not trained on; open_regions asks by colour ("Where is the green region?"), which takes sight only.
The pictures are the maps as shipped: flat colours, no writing.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from pathlib import Path

from mm15_jax.data.convert.segments import conversation
from mm15_jax.data.open_corpus import common, kgm
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.coordinates import format_box, format_point
from mm15_jax.inputs.example import Example, Image

SMALLEST_AREA = 40  # pixels of a region that is asked for
SMALLEST_SHARE = 0.002  # of the map, for a region that is asked for by colour


def _maps(source: Path, data_set: str):
    """(map, its split, its folder) of every readable map."""
    root = common.folder(source, kgm.FOLDER, data_set)
    for key, unit in kgm.map_keys(root).items():
        try:
            found = kgm.read_map(root, key)
            kgm.areas(found.picture)
        except DataError as error:
            common.log_unit(data_set, f"{kgm.FOLDER}/{key}.kgm", error)
            continue
        yield found, common.split_of(f"maps/{unit}")


def _item(split: str, where: kgm.Map, name: str, payload: tuple) -> common.Item:
    return common.Item(split, f"{where.key}/{name}", f"{kgm.FOLDER}/{where.key}.kgm", payload)


def _example(
    data_set: str, item: common.Item, image: Image, turns: list[tuple[str, str]], metadata: dict
) -> Example:
    segments = conversation([image], turns)
    return Example(segments, data_set, item.key, "refer_ground", metadata)


# By name.


def plan_maps(source: Path) -> list[common.Item]:
    """One conversation a region to train on; to evaluate, where it is and what is there."""
    items = []
    for found, split in _maps(source, "open_maps"):
        areas = kgm.areas(found.picture)
        regions = [r for r in found.named() if areas.get(kgm.code_of(r.colour), 0) >= SMALLEST_AREA]
        others = list(regions)
        common.seeded("maps", found.key).shuffle(others)
        partner = {r.name: others[i - 1] for i, r in enumerate(others)}
        for region in regions:
            kinds = ("chat",) if split == "train" else ("where", "what")
            items += [
                _item(
                    split,
                    found,
                    f"{region.name}:{kind}",
                    (found.picture.name, region, partner[region.name], kind),
                )
                for kind in kinds
            ]
    return items


def build_map(source: Path, item: common.Item) -> Example:
    """The example of one region of one map."""
    picture_name, region, partner, kind = item.payload
    picture = common.inside(source / kgm.FOLDER, picture_name)
    image = common.read_image(picture)
    size = {"width": image.width, "height": image.height}
    place, other = (kgm.place_of(picture, r.colour) for r in (region, partner))
    where = (f"Where is {region.name}?", format_box(place.box, **size))
    metadata: dict = {"kind": kind, "region": region.name, "box": list(place.box)}
    metadata["point"] = list(place.point)
    if kind == "chat":
        if common.seeded("maps", item.key).random() < 0.25:
            where = (f"Point to {region.name}.", format_point(_centre(place), **size))
        what = (_what(other, size), partner.name)
        return _example("open_maps", item, image, [where, what], metadata)
    if kind == "where":
        metadata |= {"answer": where[1], "metric": "iou"}
        return _example("open_maps", item, image, [where], metadata)
    metadata |= {"answer": region.name, "metric": "exact_match"}
    return _example("open_maps", item, image, [(_what(place, size), region.name)], metadata)


def _centre(place: kgm.Place) -> tuple[float, float]:
    """The middle of the inner pixel."""
    return place.point[0] + 0.5, place.point[1] + 0.5


def _what(place: kgm.Place, size: dict[str, int]) -> str:
    return f"What is at {format_point(_centre(place), **size)}?"


# By colour.


def colour_name(colour: tuple[int, int, int]) -> str | None:
    """A plain colour name, or None where people would disagree."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in colour))
    hue *= 360
    if value < 0.35 or saturation < 0.35:
        if saturation < 0.08 and 0.35 <= value <= 0.75:
            return "gray"
        return None
    if value < 0.72:  # dark orange is brown; other dark colours keep their names
        if 15 <= hue < 40 and saturation > 0.4:
            return "brown"
        if value < 0.45:
            return None
    if saturation < 0.5 and (hue < 12 or hue >= 320) and value > 0.8:
        return "pink"
    for low, high, name in (
        (0, 10, "red"), (22, 42, "orange"), (50, 65, "yellow"), (85, 150, "green"),
        (172, 192, "cyan"), (208, 250, "blue"), (268, 295, "purple"), (302, 332, "pink"),
        (355, 360, "red"),
    ):  # fmt: skip
        if low <= hue <= high:
            if name in ("red", "orange", "yellow") and saturation < 0.55:
                return None
            if name == "orange" and value < 0.85:
                return None
            return name
    return None


def _alone(colour: tuple[int, int, int], others: Iterable[tuple[int, int, int]]) -> bool:
    """Whether no other colour comes near in hue, so that nobody mixes them up."""
    hue = colorsys.rgb_to_hsv(*colour)[0]
    for other in others:
        other_hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in other))
        apart = abs(hue - other_hue)
        if other != colour and value >= 0.2 and saturation >= 0.12 and min(apart, 1 - apart) < 0.11:
            return False
    return True


def plan_regions(source: Path) -> list[common.Item]:
    """Colours at points, and boxes of regions whose colour no other region of the map has."""
    items = []
    for found, split in _maps(source, "open_regions"):
        areas = kgm.areas(found.picture)
        total = sum(areas.values())
        colours = [
            ((code >> 16) & 255, (code >> 8) & 255, code & 255)
            for code, area in areas.items()
            if area >= SMALLEST_AREA // 2
        ]
        for region in found.named():
            name = colour_name(region.colour)
            if name is None or areas.get(kgm.code_of(region.colour), 0) < SMALLEST_SHARE * total:
                continue
            alone = name != "gray" and _alone(region.colour, colours)
            payload = (found.picture.name, region.colour, name)
            kinds = ("where", "colour") if alone else ("colour",)
            items += [
                _item(split, found, f"{region.name}:{kind}", (*payload, kind)) for kind in kinds
            ]
    return items


def build_region(source: Path, item: common.Item) -> Example:
    """A question about the place or the colour of one region."""
    picture_name, colour, name, kind = item.payload
    picture = common.inside(source / kgm.FOLDER, picture_name)
    image = common.read_image(picture)
    size = {"width": image.width, "height": image.height}
    place = kgm.place_of(picture, colour)
    metadata: dict = {"kind": kind, "box": list(place.box), "point": list(place.point)}
    if kind == "where":
        answer = format_box(place.box, **size)
        metadata |= {"answer": answer, "metric": "iou"}
        turn = (f"Where is the {name} region?", answer)
    else:
        metadata |= {"answer": name, "metric": "exact_match"}
        turn = (f"What colour is at {format_point(_centre(place), **size)}?", name)
    return _example("open_regions", item, image, [turn], metadata)


PREPARATIONS = (
    common.preparation(
        "open_maps",
        "refer_ground",
        "Maps without writing: where a region is (box, point), and what is at a point.",
        kgm.LICENCE,
        plan_maps,
        build_map,
    ),
    common.preparation(
        "open_regions",
        "refer_ground",
        "The same maps by colour: where the region of a colour is, which colour is at a point.",
        kgm.LICENCE,
        plan_regions,
        build_region,
    ),
)
