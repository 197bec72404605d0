"""Visual Genome: described regions and named objects of 108,077 pictures.

Format: as the visual_genome_python_driver reads it, version 1.2. `region_descriptions.json` is an
array of {id, regions: [{region_id, image_id, x, y, width, height, phrase}]}, `objects.json` one of
{image_id, image_url, objects: [{object_id, names, synsets, x, y, w, h}]}, `image_data.json` one of
{image_id, width, height, url}, whose url ends in the picture's folder and name.

A picture has about 50 regions and 35 objects: a dialogue asks about `boxes.MAX_TURNS` of each.
Objects are annotated again and again, so that "every" is never asked.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mm15_jax.data.convert import boxes
from mm15_jax.data.convert.json_files import load_json
from mm15_jax.data.convert.prompts import pick
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, json_array
from mm15_jax.data.preparation import BadRecord, DataError, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image

REGIONS, OBJECTS, PICTURES = "region_descriptions.json", "objects.json", "image_data.json"


@functools.lru_cache(maxsize=1)
def _pictures(source: Source) -> dict[int, tuple[str, int, int]]:
    """(url, width, height) of each picture."""
    return {
        row["image_id"]: (row["url"], row["width"], row["height"])
        for row in load_json(source, PICTURES)
    }


def _examples(maker: Maker, row: Mapping[str, Any]) -> Iterator[Example | BadRecord]:
    kind = "regions" if "regions" in row else "objects"
    turn, id_of = (_region, "region_id") if kind == "regions" else (_object, "object_id")
    number = row["id"] if kind == "regions" else row["image_id"]
    if number not in _pictures(maker.source):
        raise DataError(f"no picture {number} in {PICTURES}")
    url, width, height = _pictures(maker.source)[number]
    image = _picture(maker, url)
    boxes.check_size(image, width, height)
    key = f"{number}.jpg:{kind}"
    counts = Counter(name for thing in row[kind] for name in thing.get("names", ())[:1])
    by_id = {str(thing[id_of]): thing for thing in row[kind]}
    turns = []
    for name in boxes.shuffled(by_id, key)[: boxes.MAX_TURNS]:
        try:
            turns.append(turn(by_id[name], image, f"{key}:{name}", counts))
        except DataError as error:
            yield BadRecord(f"{key}:{name}", str(error))
    if not row[kind]:
        raise DataError(f"a picture without {kind}")
    if turns:
        yield from boxes.dialogues(image, turns, maker.name, key)


def _picture(maker: Maker, url: str) -> Image:
    folder, _, name = url.rpartition("/")
    likely = folder.rpartition("/")[2]
    folders = dict.fromkeys((likely, "VG_100K", "VG_100K_2"))
    return maker.picture(*(f"{folder}/{name}" for folder in folders))


Turn = Callable[[Mapping[str, Any], Image, str, Mapping[str, int]], boxes.Turn]


def _region(
    region: Mapping[str, Any], image: Image, key: str, counts: Mapping[str, int]
) -> boxes.Turn:
    """A region's phrase, grounded or referred to."""
    del counts  # of names; phrases are long enough
    phrase = " ".join(str(region["phrase"]).split()).rstrip(".")
    if not phrase:
        raise DataError("a region without a phrase")
    rows = (region[name] for name in ("x", "y", "width", "height"))
    box = boxes.checked(boxes.from_xywh(tuple(rows)), image)
    if pick(f"task {key}", 2):
        return boxes.refer(phrase, box, image, key)
    return boxes.ground(phrase, [box], image, key)


def _object(
    thing: Mapping[str, Any], image: Image, key: str, counts: Mapping[str, int]
) -> boxes.Turn:
    """An object's name; its box is asked for where no other object has the name."""
    if not thing.get("names") or not thing["names"][0].strip():
        raise DataError("an object without a name")
    name = " ".join(thing["names"][0].split())
    rows = (thing[side] for side in ("x", "y", "w", "h"))
    box = boxes.checked(boxes.from_xywh(tuple(rows)), image)
    if counts[thing["names"][0]] == 1 and pick(f"task {key}", 2):
        return boxes.ground(f"the {name}", [box], image, key)
    return boxes.refer(name, box, image, key, boxes.REFER_NAME)


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="visual_genome",
        category="refer_ground",
        description="Regions with a phrase and objects with a name, in pictures of COCO and YFCC.",
        licence="CC BY 4.0",
        format="visual_genome",
        layout=f"{REGIONS} and {OBJECTS} (either or both), {PICTURES}, and pictures in VG_100K/,"
        " VG_100K_2/",
        files={"train": (REGIONS, OBJECTS)},
        reading=json_array(),
        example=_examples,
        beside=(PICTURES,),
    ),
)
