"""Ferret-UI's elementary tasks: referring to and grounding elements of iPhone and Android screens.

Format: as read by ferretui/eval/model_UI.py of github.com/apple/ml-ferret (examples of it lie in
playground/sample_data/): a JSON list of {id, image, image_w, image_h, conversations, box_x1y1x2y2}
a task, the task a part of the file's name. `<bbox_location0>` of a turn stands for a box of
`box_x1y1x2y2`, in pixels; the truth is `label`, or the second turn. The evaluation data itself is
not published: these files are one's own, of which the platform's name is part.

Referring (OCR, icons, kinds of widget) is right by exact match, grounding (text, icons, widgets) at
IoU above 0.5; each set is the mean over its three tasks (You et al. 2024, section 4 and table 2).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

from mm15_jax.data.convert import boxes
from mm15_jax.data.convert.dialogue import PLACEHOLDER
from mm15_jax.data.convert.ferret_boxes import check_shape, with_places
from mm15_jax.data.convert.json_files import array_parts, array_records
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import RECORDS, Reading, file_preparation
from mm15_jax.data.preparation import DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.coordinates import format_box
from mm15_jax.inputs.example import Example, Image

REFERRING = ("ocr", "icon_recognition", "widget_classification")
GROUNDING = ("find_text", "find_icons", "find_widget")
_PLATFORMS = {"ios": ("ios", "iphone"), "android": ("android",)}
_PLACE = "<bbox_location0>"


def _task(file: str) -> str:
    name = posixpath.basename(file)
    return next(task for task in (*REFERRING, *GROUNDING) if task in name)


def _parts(source: Source, files: Sequence[str]) -> list[Part]:
    return [part for file in files for part in array_parts(source, file, per_part=RECORDS)]


def _records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    for place, record in array_records(source, part):
        yield place, (part.files[0], record)


def _picture(maker: Maker, file: str, record: dict) -> Image:
    folder = posixpath.dirname(file)
    name = posixpath.basename(record["image"])
    places = [posixpath.join(folder, "images", name), posixpath.join(folder, name)]
    return maker.picture(*dict.fromkeys((*places, f"images/{name}", name)))


def _question(record: dict) -> str:
    turns = record["conversations"]
    if not turns or turns[0].get("from") != "human":
        raise DataError("a record that does not begin with a question")
    return turns[0]["value"].replace(PLACEHOLDER, "").strip()


def _answer(record: dict) -> Any:
    if record.get("label") is not None:
        return record["label"]
    turns = record["conversations"]
    if len(turns) < 2 or turns[1].get("from") != "gpt":
        raise DataError("a record without a label or an answer")
    return turns[1]["value"]


def _refer(maker: Maker, item: tuple[str, dict]) -> Example:
    file, record = item
    task, answer = _task(file), str(_answer(record)).strip()
    key = f"{task}/{record['id']}"
    found = {**record, "box_x1y1x2y2": record["box_x1y1x2y2"][:1]}
    ((_, question),) = with_places([("user", _question(record))], found, key, points=False)
    image = _picture(maker, file, record)
    check_shape(image, found)
    return maker.example(
        key,
        image,
        [(question, answer)],
        answer=answer,
        metric="exact_match",
        subset=task,
    )


def _true_box(record: dict, image: Image) -> boxes.Box:
    """In pixels of the picture, whatever size the record is of.

    Raises:
      DataError: if there is not one box, or it is not in the picture.
    """
    found = _answer(record)
    if isinstance(found, str):
        turns = record.get("box_x1y1x2y2") or []
        if _PLACE not in found or len(turns) < 2 or len(turns[1]) != 1:
            raise DataError(f"the answer {found!r} has not one box, expected {_PLACE}")
        found = turns[1][0]
    if not isinstance(found, Sequence) or len(found) != 4:
        raise DataError(f"a box {found!r}, expected four numbers")
    across, down = image.width / record["image_w"], image.height / record["image_h"]
    x1, y1, x2, y2 = found
    return boxes.checked((x1 * across, y1 * down, x2 * across, y2 * down), image)


def _ground(maker: Maker, item: tuple[str, dict]) -> Example:
    file, record = item
    task, image = _task(file), _picture(maker, file, record)
    box = _true_box(record, image)
    answer = format_box(box, width=image.width, height=image.height)
    return maker.example(
        f"{task}/{record['id']}",
        image,
        [(_question(record), answer)],
        answer=answer,
        metric="iou",
        box=list(box),
        subset=task,
    )


def _preparation(kind: str, platform: str, tasks: Sequence[str]) -> Preparation:
    names = _PLATFORMS[platform]
    patterns = tuple(
        "|".join(
            pattern
            for name in names
            for pattern in (
                f"{name}/*{task}*.json",
                f"*{name}*{task}*.json",
                f"*{name}*/{task}.json",
            )
        )
        for task in tasks
    )
    does = "Naming what is in a box of" if kind == "ref" else "Finding elements of"
    return file_preparation(
        name=f"ferret_ui_{kind}_{platform}",
        category="ui",
        description=f"{does} {'iPhone' if platform == 'ios' else 'Android'} screens: Ferret-UI's"
        " elementary tasks.",
        licence="yours; as Ferret-UI's, CC BY-NC 4.0",
        format="ferret_ui",
        layout=f"{', '.join(f'{platform}/{task}.json' for task in tasks)} as"
        " playground/sample_data/ of ml-ferret has them, with `label` or an answer, and images/",
        files={"test": patterns},
        reading=Reading(_parts, _records),
        example=_refer if kind == "ref" else _ground,
    )


PREPARATIONS: tuple[Preparation, ...] = tuple(
    _preparation(kind, platform, tasks)
    for kind, tasks in (("ref", REFERRING), ("grd", GROUNDING))
    for platform in _PLATFORMS
)
