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
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mm15_jax.data.convert import boxes, prompts
from mm15_jax.data.convert.json_files import table_parts
from mm15_jax.data.convert.record_files import published_files
from mm15_jax.data.convert.rico_views import (
    node_at,
    node_with_pointer,
    root_node,
    screen_picture,
    visible_box,
)
from mm15_jax.data.convert.segments import conversation
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation, examples_of
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
_CATEGORY = "ui"
_SCREENS_PER_PART = 1024
_SPLITS = {"train": "train", "validation": "dev", "test": "test"}

Row = Mapping[str, str]
Screens = list[tuple[str, list[Row]]]  # (screen, its rows)


def _rows(source: Source, file: str, columns: Sequence[str]) -> list[Row]:
    with io.TextIOWrapper(source.open(file), encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        absent = [name for name in columns if name not in (reader.fieldnames or ())]
        if absent:
            raise ValueError(f"{file} in {source.url} has no column {', '.join(absent)}")
        return list(reader)


def _by_screen(rows: Sequence[Row], column: str) -> Screens:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return list(found.items())


def _listed(source: Source, file: str, split: str, suffix: str) -> frozenset[str]:
    """Screens of a split, by the list beside the table; none if that is not there."""
    folder = file[: file.rfind("/") + 1]
    names = {name: f"{folder}split/{name}{suffix}.txt" for name in _SPLITS.values()}
    if not any(map(source.exists, names.values())):
        raise ValueError(f"{source.url} has {file} without {', '.join(names.values())}")
    name = names[_SPLITS[split]]
    return frozenset(source.read(name).decode("utf-8").split() if source.exists(name) else ())


@functools.lru_cache(maxsize=4)
def _summaries(source: Source, file: str, split: str) -> Screens:
    listed = _listed(source, file, split, "_screens")
    rows = _rows(source, file, ("screenId", "summary"))
    return _by_screen([row for row in rows if row["screenId"] in listed], "screenId")


@functools.lru_cache(maxsize=4)
def _widgets(source: Source, file: str, split: str) -> Screens:
    listed = _listed(source, file, split, "")
    rows = _rows(source, file, ("datasetId", "screenId", "nodeId", "captions"))
    public = (row for row in rows if row["datasetId"] != "nr" and row["screenId"] in listed)
    return _by_screen(list(public), "screenId")


@functools.lru_cache(maxsize=4)
def _taps(source: Source, file: str, split: str) -> Screens:
    named = {"train": "train", "validation": "eval", "test": "test"}[split]
    rows = _rows(source, file, ("img_id", "object_id", "label", "raters_marked_tappable", "split"))
    return _by_screen([row for row in rows if row["split"] == named], "img_id")


def _summary_examples(
    source: Source, split: str, screen: str, rows: list[Row]
) -> Iterator[Example | BadRecord]:
    image = screen_picture(source, screen)
    texts = [" ".join(row["summary"].split()) for row in rows]
    texts = [text for text in texts if text]
    if not texts:
        raise DataError("a screen without a summary")
    if split != "train":
        yield _question("screen2words", screen, image, SUMMARY[0], texts, "cider")
        return
    for number, text in enumerate(texts):
        key = f"{screen}:{number}"
        turns = [(boxes.template(SUMMARY, key), text)]
        yield Example(conversation([image], turns), "screen2words", key, _CATEGORY, {})


def _widget_examples(
    source: Source, split: str, screen: str, rows: list[Row]
) -> Iterator[Example | BadRecord]:
    image, root = screen_picture(source, screen), root_node(source, screen)
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
    if split != "train":
        for key, place, captions in found:
            question = WIDGET[0].format(place)
            yield _question("widget_captioning", key, image, question, captions, "cider")
        return
    # The first caption of every widget in one dialogue, the second ones in another ...
    for number in range(max((len(captions) for *_, captions in found), default=0)):
        turns = [
            (boxes.template(WIDGET, f"{key}:{number}").format(place), captions[number])
            for key, place, captions in found
            if number < len(captions)
        ]
        yield from boxes.dialogues(
            image, turns, "widget_captioning", f"{screen}:caption{number}", _CATEGORY
        )


def _tap_examples(
    source: Source, split: str, screen: str, rows: list[Row]
) -> Iterator[Example | BadRecord]:
    image, root = screen_picture(source, screen), root_node(source, screen)
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
        if split == "train":
            question = boxes.template(TAPPABLE, key).format(place)
            turns.append((question + prompts.YES_OR_NO, answer))
        else:
            question = TAPPABLE[0].format(place) + prompts.YES_OR_NO
            raters = {"raters_marked_tappable": row["raters_marked_tappable"]}
            yield _question("taperception", key, image, question, answer, "f1_yes_no", **raters)
    yield from boxes.dialogues(image, turns, "taperception", screen, _CATEGORY)


def _question(
    name: str,
    key: str,
    image: Image,
    question: str,
    answer: str | list[str],
    metric: str,
    **facts: Any,
) -> Example:
    target = answer if isinstance(answer, str) else answer[0]
    metadata = {"answer": answer, "metric": metric, **facts}
    return Example(conversation([image], [(question, target)]), name, key, _CATEGORY, metadata)


def _preparation(
    name: str,
    description: str,
    licence: str,
    file: str,
    folder: str,
    beside: str,
    screens: Callable[[Source, str, str], Screens],
    examples: Callable[[Source, str, str, list[Row]], Iterator[Example | BadRecord]],
    version: int = 1,
) -> Preparation:
    layout = f"{file}{beside} (also in {folder}/), and RICO's combined/ID.jpg and ID.json"

    def parts(split: str, source: Source | None) -> list[Part]:
        found = published_files(source, {split: [file, f"{folder}/{file}"]}, split, layout)
        assert source is not None, "published_files() refuses to go without"
        count = len(screens(source, found[0], split))
        return table_parts(split, count, found[:1], _SCREENS_PER_PART)

    def convert(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
        assert source is not None, "parts are of a source"
        chosen = screens(source, part.files[0], split)[part.start : part.stop]
        records = ((screen, (screen, rows)) for screen, rows in chosen)
        yield from examples_of(records, lambda item: examples(source, split, *item))

    return Preparation(
        name=name,
        category=_CATEGORY,
        description=description,
        licence=licence,
        splits=tuple(_SPLITS),
        parts=parts,
        convert=convert,
        format="rico",
        layout=layout,
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
