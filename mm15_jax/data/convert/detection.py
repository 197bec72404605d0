"""Objects365 and LVIS: named boxes of hundreds of categories, asked about in words.

Format: COCO's (`coco_tables`). Objects365's `file_name` is `images/v1/patch8/NAME.jpg`, unpacked as
`train/patch8/NAME.jpg`; LVIS has `coco_url`, whose last two parts are COCO's folder and name.
LVIS's names are such as `bow_(weapon)`; Objects365's such as `Cabinet/shelf`.

A dialogue asks about up to `boxes.MAX_TURNS` names of a picture: where every such thing is, if all
of them have boxes and they are few; else what is in one of the boxes, or at a point in one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mm15_jax.data.convert import boxes
from mm15_jax.data.convert.coco_tables import Annotation, CocoTable, Picture, coco_table
from mm15_jax.data.convert.prompts import pick
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, in_memory
from mm15_jax.data.preparation import BadRecord, DataError, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image

MOST_BOXES = 10  # of one name that are asked for


@dataclass(frozen=True)
class _Set:
    """A row of the table of such data sets."""

    name: str
    description: str
    licence: str
    files: dict[str, tuple[str, ...]]  # the annotation file, by split
    folders: tuple[str, ...]  # "{split}", "{path}" and "{name}" of a picture are filled in
    layout: str
    points: bool  # whether outlines say where a thing is at a point


_SETS = (
    _Set(
        "objects365",
        "Boxes of 365 categories in two million pictures.",
        "CC BY 4.0 for annotations; pictures for academic purposes, see the publisher",
        {
            "train": ("zhiyuan_objv2_train.json|*/zhiyuan_objv2_train.json",),
            "validation": ("zhiyuan_objv2_val.json|*/zhiyuan_objv2_val.json",),
        },
        ("{split}/{path}", "{split}/images/{version}/{path}", "images/{version}/{path}"),
        "zhiyuan_objv2_train.json and zhiyuan_objv2_val.json (also in annotations/), and pictures"
        " in train/patch0/ ... and val/images/v1/patch0/ ...",
        points=False,
    ),
    _Set(
        "lvis",
        "Boxes and outlines of 1,203 categories in COCO's pictures.",
        "CC BY 4.0 for annotations; COCO's pictures are under Flickr's terms of use",
        {
            "train": ("lvis_v1_train.json|*/lvis_v1_train.json",),
            "validation": ("lvis_v1_val.json|*/lvis_v1_val.json",),
        },
        ("{path}", "coco/{path}", "images/{path}"),
        "lvis_v1_train.json and lvis_v1_val.json (also in annotations/), and COCO's pictures in"
        " train2017/ and val2017/",
        points=True,
    ),
)


def clean_name(name: str) -> str:
    """A category as people write it: `bow_(weapon)` is "bow", `Cabinet/shelf` "cabinet or shelf".

    Words in capitals stay: "SUV". What stands in parentheses tells categories apart, and is left
    out, for a person would not say it.
    """
    words = re.sub(r"\([^)]*\)", " ", name.replace("_", " ")).replace("/", " or ").split()
    return " ".join(word if word.isupper() and len(word) > 1 else word.lower() for word in words)


class _Rows(Sequence):
    """(name, number) of each picture of a table."""

    def __init__(self, table: CocoTable):
        self._table = table

    def __len__(self) -> int:
        return len(self._table)

    def __getitem__(self, number):
        return self._table.picture(number).name, (self._table, number)


def _rows(points: bool, source: Source, files: tuple[str, ...]) -> _Rows:
    return _Rows(coco_table(source, files[0], points))


def _examples(
    spec: _Set, maker: Maker, record: tuple[CocoTable, int]
) -> Iterator[Example | BadRecord]:
    table, number = record
    picture = table.picture(number)
    found = table.annotations(picture.id)
    if not found:
        raise DataError("a picture without a box")
    image = maker.picture(*_picture_names(spec, maker.split, picture.name))
    boxes.check_size(image, picture.width, picture.height)
    key = picture.name.rpartition("/")[2]
    things: dict[str, list[Annotation]] = {}
    for annotation in found:
        try:
            name = clean_name(table.names[annotation.category])
            boxes.checked(annotation.box, image)
        except KeyError:
            yield BadRecord(f"{key}:{annotation.id}", f"no category {annotation.category}")
        except DataError as error:
            yield BadRecord(f"{key}:{annotation.id}", str(error))
        else:
            things.setdefault(name, []).append(annotation)
    if maker.trains and things:
        order = boxes.shuffled(things, key)[: boxes.MAX_TURNS]
        turns = [_turn(name, things[name], picture, image, f"{key} {name}") for name in order]
        yield from boxes.dialogues(image, turns, spec.name, key)
    elif things:
        yield from _questions(spec.name, key, things, table, picture, image)


def _picture_names(spec: _Set, split: str, published: str) -> list[str]:
    parts = published.split("/")
    fields = {
        "split": "train" if split == "train" else "val",
        "path": "/".join(parts[-2:]),
        "version": parts[-3] if len(parts) > 2 else "v1",
    }
    return [folder.format(**fields) for folder in spec.folders]


def _turn(
    name: str, things: list[Annotation], picture: Picture, image: Image, key: str
) -> boxes.Turn:
    complete = not any(thing.category in picture.partial for thing in things)
    if complete and len(things) <= MOST_BOXES and pick(f"task {key}", 2):
        found = [boxes.checked(thing.box, image) for thing in things]
        return boxes.ground(name, found, image, key, every=True)
    thing = things[pick(f"thing {key}", len(things))]
    if thing.point and pick(f"point {key}", 2):
        return boxes.refer_point(name, thing.point, image, key)
    return boxes.refer(name, boxes.checked(thing.box, image), image, key, boxes.REFER_NAME)


def _questions(
    source: str,
    key: str,
    things: dict[str, list[Annotation]],
    table: CocoTable,
    picture: Picture,
    image: Image,
) -> Iterator[Example]:
    """Up to three questions a picture: where a thing is, what is in a box, what is at a point."""
    order = boxes.shuffled(things, key)
    for name in order:
        (thing, *more) = things[name]
        if not more and thing.category not in picture.partial:
            box = boxes.checked(thing.box, image)
            yield boxes.grounding_question(image, f"the {name}", box, source, f"{key}:ground")
            break
    for kind in ("box", "point"):
        name = order[pick(f"{kind} {key}", len(order))]
        thing = things[name][pick(f"{kind} thing {key}", len(things[name]))]
        if kind == "point" and thing.point is None:
            continue
        synonyms = map(clean_name, table.synonyms[thing.category])
        names = list(dict.fromkeys((name, *synonyms)))
        box = boxes.checked(thing.box, image)
        point = thing.point if kind == "point" else None
        yield boxes.referring_question(image, names, box, source, f"{key}:{kind}", point)


def _preparation(spec: _Set) -> Preparation:
    return file_preparation(
        name=spec.name,
        category="refer_ground",
        description=spec.description,
        licence=spec.licence,
        format="coco_boxes",
        layout=spec.layout,
        files=spec.files,
        reading=in_memory(functools.partial(_rows, spec.points)),
        example=functools.partial(_examples, spec),
    )


PREPARATIONS: tuple[Preparation, ...] = tuple(map(_preparation, _SETS))
