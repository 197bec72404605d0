"""Screens of Android apps: Screen2Words, Widget captioning and Taperception, on RICO's pictures.

Formats, of google-research-datasets on GitHub (screens and their elements: `rico_views`):
screen2words (screen_summaries.csv: screenId, summary; split/SPLIT_screens.txt), widget-caption
(widget_captions.csv: datasetId, screenId, nodeId, captions divided by "|"; split/SPLIT.txt; as read
by big_vision's `datasets/widgetcap`), taperception (rico_tap_annotations_idsonly.csv: img_id,
object_id, label, raters_marked_tappable, split; object_id is an element's `pointer`).

Taperception's label 0 means tappable. Widgets of datasetId "nr" are on screens that nobody has, and
are passed over.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mm15_jax.data.convert import boxes, prompts
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, in_memory
from mm15_jax.data.convert.rico_views import (
    node_at,
    node_with_pointer,
    root_node,
    screen_picture,
    visible_box,
)
from mm15_jax.data.preparation import BadRecord, DataError, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image

SUMMARY = (
    "Summarize this screen in one sentence.",
    "What is this screen for? Answer in one sentence.",
    "Describe the screen briefly.",
)
WIDGET = (
    "What does the widget in {} do? Answer with a short phrase.",
    "Give a short caption of the widget in {}.",
    "Describe the element in {} with a few words.",
)
TAPPABLE = ("Can the element in {} be tapped?", "Is the element in {} tappable?")
_SCREENS_PER_PART = 1024
_SPLITS = {"train": "train", "validation": "dev", "test": "test"}

Row = Mapping[str, str]
Screen = tuple[str, list[Row]]  # and its rows


def _rows(source: Source, file: str, columns: Sequence[str]) -> list[Row]:
    with io.TextIOWrapper(source.open(file), encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        absent = [name for name in columns if name not in (reader.fieldnames or ())]
        if absent:
            raise ValueError(f"{file} in {source.url} has no column {', '.join(absent)}")
        return list(reader)


def _by_screen(rows: Iterable[Row], column: str) -> list[tuple[str, Screen]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return [(name, (name, rows)) for name, rows in found.items()]


def _listed(source: Source, file: str, split: str, suffix: str) -> frozenset[str]:
    """Screens of a split, by the list beside the table; none if that is not there."""
    folder = file[: file.rfind("/") + 1]
    names = {name: f"{folder}split/{name}{suffix}.txt" for name in _SPLITS.values()}
    if not any(map(source.exists, names.values())):
        raise ValueError(f"{source.url} has {file} without {', '.join(names.values())}")
    name = names[_SPLITS[split]]
    return frozenset(source.read(name).decode("utf-8").split() if source.exists(name) else ())


@functools.lru_cache(maxsize=4)
def _summaries(split: str, source: Source, files: tuple[str, ...]) -> list[tuple[str, Screen]]:
    listed = _listed(source, files[0], split, "_screens")
    rows = _rows(source, files[0], ("screenId", "summary"))
    return _by_screen((row for row in rows if row["screenId"] in listed), "screenId")


@functools.lru_cache(maxsize=4)
def _widgets(split: str, source: Source, files: tuple[str, ...]) -> list[tuple[str, Screen]]:
    listed = _listed(source, files[0], split, "")
    rows = _rows(source, files[0], ("datasetId", "screenId", "nodeId", "captions"))
    public = (row for row in rows if row["datasetId"] != "nr" and row["screenId"] in listed)
    return _by_screen(public, "screenId")


@functools.lru_cache(maxsize=4)
def _taps(split: str, source: Source, files: tuple[str, ...]) -> list[tuple[str, Screen]]:
    named = {"train": "train", "validation": "eval", "test": "test"}[split]
    columns = ("img_id", "object_id", "label", "raters_marked_tappable", "split")
    rows = _rows(source, files[0], columns)
    return _by_screen((row for row in rows if row["split"] == named), "img_id")


def _summary_examples(maker: Maker, record: Screen) -> Iterator[Example | BadRecord]:
    screen, rows = record
    image = screen_picture(maker.source, screen)
    texts = [" ".join(row["summary"].split()) for row in rows]
    texts = [text for text in texts if text]
    if not texts:
        raise DataError("a screen without a summary")
    if not maker.trains:
        yield _question(maker, screen, image, SUMMARY[0], texts, "cider")
        return
    for number, text in enumerate(texts):
        key = f"{screen}:{number}"
        yield maker.example(key, image, [(boxes.template(SUMMARY, key), text)])


def _widget_examples(maker: Maker, record: Screen) -> Iterator[Example | BadRecord]:
    screen, rows = record
    image, root = _screen(maker, screen)
    found: list[tuple[str, str, list[str]]] = []
    for row in rows:
        key = f"{screen}:{row['nodeId']}"
        try:
            place = boxes.written([visible_box(node_at(root, row["nodeId"]), image)], image)
            captions = [text.strip() for text in row["captions"].split("|") if text.strip()]
            if not captions:
                raise DataError("a widget without a caption")
            found.append((key, place, captions))
        except DataError as error:
            yield BadRecord(key, str(error))
    if not maker.trains:
        for key, place, captions in found:
            question = WIDGET[0].format(place)
            yield _question(maker, key, image, question, captions, "cider")
        return
    # The first caption of every widget in one dialogue, the second ones in another ...
    for number in range(max((len(captions) for *_, captions in found), default=0)):
        turns = [
            (boxes.template(WIDGET, f"{key}:{number}").format(place), captions[number])
            for key, place, captions in found
            if number < len(captions)
        ]
        yield from boxes.dialogues(
            image, turns, maker.name, f"{screen}:caption{number}", maker.category
        )


def _tap_examples(maker: Maker, record: Screen) -> Iterator[Example | BadRecord]:
    screen, rows = record
    image, root = _screen(maker, screen)
    turns: list[boxes.Turn] = []
    for row in rows:
        key = f"{screen}:{row['object_id']}"
        try:
            node = node_with_pointer(root, row["object_id"])
            place = boxes.written([visible_box(node, image)], image)
            if row["label"] not in ("0", "1"):
                raise DataError(f"a label {row['label']!r}; expected 0 or 1")
        except DataError as error:
            yield BadRecord(key, str(error))
            continue
        answer = "yes" if row["label"] == "0" else "no"  # 0 is tappable
        if maker.trains:
            question = boxes.template(TAPPABLE, key).format(place)
            turns.append((question + prompts.YES_OR_NO, answer))
        else:
            question = TAPPABLE[0].format(place) + prompts.YES_OR_NO
            raters = {"raters_marked_tappable": row["raters_marked_tappable"]}
            yield _question(maker, key, image, question, answer, "f1_yes_no", **raters)
    yield from boxes.dialogues(image, turns, maker.name, screen, maker.category)


def _screen(maker: Maker, screen: str) -> tuple[Image, Any]:
    """A screen's picture, and the root of its elements."""
    return screen_picture(maker.source, screen), root_node(maker.source, screen)


def _question(
    maker: Maker,
    key: str,
    image: Image,
    question: str,
    answer: str | list[str],
    metric: str,
    **facts: Any,
) -> Example:
    target = answer if isinstance(answer, str) else answer[0]
    return maker.example(key, image, [(question, target)], answer=answer, metric=metric, **facts)


def _preparation(
    name: str,
    description: str,
    licence: str,
    file: str,
    folder: str,
    beside: str,
    screens: Callable[[str, Source, tuple[str, ...]], list[tuple[str, Screen]]],
    examples: Callable[[Maker, Screen], Iterator[Example | BadRecord]],
    version: int = 1,
) -> Preparation:
    return file_preparation(
        name=name,
        category="ui",
        description=description,
        licence=licence,
        format="rico",
        layout=f"{file}{beside} (also in {folder}/), and RICO's combined/ID.jpg and ID.json",
        files=dict.fromkeys(_SPLITS, (f"{file}|{folder}/{file}",)),
        reading=lambda split: in_memory(functools.partial(screens, split), _SCREENS_PER_PART),
        example=examples,
        beside=("split/*.txt", f"{folder}/split/*.txt"),
        version=version,
    )


PREPARATIONS: tuple[Preparation, ...] = (
    _preparation(
        "screen2words",
        "Summaries of screens of Android apps, five each.",
        "see the publisher (google-research-datasets/screen2words)",
        "screen_summaries.csv",
        "screen2words",
        " and split/train_screens.txt ...",
        _summaries,
        _summary_examples,
    ),
    _preparation(
        "widget_captioning",
        "What elements of screens do, in three phrases each.",
        "CC BY 4.0",
        "widget_captions.csv",
        "widget-caption",
        " and split/train.txt ...",
        _widgets,
        _widget_examples,
    ),
    _preparation(
        "taperception",
        "Whether people take elements of screens to be tappable.",
        "see the publisher (google-research-datasets/taperception)",
        "rico_tap_annotations_idsonly.csv",
        "taperception",
        "",
        _taps,
        _tap_examples,
        version=2,
    ),
)
