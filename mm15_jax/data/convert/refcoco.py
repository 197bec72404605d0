"""RefCOCO, RefCOCO+ and RefCOCOg: phrases that single out a thing in a picture of COCO.

Format: as read by the authors' `refer.py` (github.com/lichengunc/refer): `refs(SPLITTER).p`, a
pickle of Python 2 with a list of {ref_id, ann_id, image_id, category_id, split, file_name,
sentences: [{sent_id, sent, raw, tokens}]}, and `instances.json` in COCO's format. The `file_name`
of a ref ends in its annotation's number; the picture's own name is in instances.json.

Held-out splits are also read from the hub's copies that lmms-eval uses (lmms-lab/RefCOCO and the
like): a row a ref, with its picture, its sentences as `answer` and its box (x, y, width, height) as
`bbox`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mm15_jax.data.convert import boxes
from mm15_jax.data.convert.coco_tables import coco_table, picture_names
from mm15_jax.data.convert.hub import Row, or_hub, picture_of, shards
from mm15_jax.data.convert.pickles import restricted_unpickle
from mm15_jax.data.convert.prompts import pick
from mm15_jax.data.convert.questions import Maker, texts_of
from mm15_jax.data.convert.reading import file_preparation, in_memory
from mm15_jax.data.preparation import BadRecord, DataError, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image

# Our split -> the publisher's.
_SPLITS = {
    "train": "train",
    "validation": "val",
    "testA": "testA",  # people
    "testB": "testB",  # all other things
    "test": "test",
}
_PICTURES = ("train2014", "images/train2014", "coco/train2014", "images/mscoco/images/train2014")


@dataclass(frozen=True)
class _Variant:
    """One of the three data sets."""

    name: str
    title: str
    folder: str  # as its zip file unpacks
    splitters: tuple[str, ...]  # the first whose file is there is read
    splits: tuple[str, ...]
    words: str
    repository: str  # of the copy on the hub

    def layout(self) -> str:
        files = " or ".join(f"refs({splitter}).p" for splitter in self.splitters)
        return (
            f"{self.folder}/{files} and {self.folder}/instances.json as published, and COCO's"
            " pictures in train2014/"
        )

    def files(self) -> tuple[str, str]:
        """Patterns of the pickle and of instances.json beside it."""
        folders = (f"{self.folder}/", "")
        pickles = [f"{at}refs({splitter}).p" for splitter in self.splitters for at in folders]
        return "|".join(pickles), "|".join(f"{at}instances.json" for at in folders)


@functools.lru_cache(maxsize=2)
def _refs(split: str, source: Source, files: tuple[str, ...]) -> list[tuple[str, Any]]:
    """(place, (instances.json, image_id, its refs)) of a split, by image_id."""
    file, instances = files
    refs = restricted_unpickle(source, file)
    if not isinstance(refs, list) or not all(isinstance(ref, dict) for ref in refs):
        raise ValueError(f"{file} in {source.url} is no list of refs")
    by_image: dict[int, list[dict[str, Any]]] = {}
    for ref in refs:
        if ref.get("split") == _SPLITS[split]:
            by_image.setdefault(ref.get("image_id", -1), []).append(ref)
    return [(f"image {i}", (instances, i, refs)) for i, refs in sorted(by_image.items())]


@functools.lru_cache(maxsize=2)
def _rows(source: Source, instances: str) -> dict[int, int]:
    """Which row of instances.json a picture is."""
    return {int(number): row for row, number in enumerate(coco_table(source, instances).image_ids)}


def _examples(
    maker: Maker, record: tuple[str, int, list[dict[str, Any]]]
) -> Iterator[Example | BadRecord]:
    instances, number, refs = record
    table, rows = coco_table(maker.source, instances), _rows(maker.source, instances)
    if number not in rows:
        raise DataError(f"no image {number} in {instances}")
    picture = table.picture(rows[number])
    image = maker.picture(*picture_names(picture.name, _PICTURES))
    boxes.check_size(image, picture.width, picture.height)
    known = {annotation.id: annotation.box for annotation in table.annotations(number)}
    name = picture.name.rpartition("/")[2]
    good: list[tuple[str, str, boxes.Box]] = []
    for ref in refs:
        key = f"{name}:{ref.get('ref_id')}"
        try:
            good += _sentences(ref, known, image, key)
        except DataError as error:
            yield BadRecord(key, str(error))
    if maker.trains:
        turns = [_turn(phrase, box, image, key) for key, phrase, box in good]
        yield from boxes.dialogues(image, turns, maker.name, name)
        return
    for key, phrase, box in good:
        yield boxes.grounding_question(image, phrase, box, maker.name, key)


def _sentences(
    ref: dict[str, Any], known: dict[int, boxes.Box], image: Image, key: str
) -> list[tuple[str, str, boxes.Box]]:
    """(key, phrase, box) of each sentence of a ref."""
    if ref.get("ann_id") not in known:
        raise DataError(f"no annotation {ref.get('ann_id')} of its picture")
    box = boxes.checked(known[ref["ann_id"]], image)
    found = []
    for sentence in ref.get("sentences", ()):
        phrase = " ".join(str(sentence.get("sent", "")).split())
        if not phrase:
            raise DataError(f"an empty sentence {sentence.get('sent_id')}")
        found.append((f"{key}:{sentence['sent_id']}", phrase, box))
    if not found:
        raise DataError("a ref without sentences")
    return found


def _turn(phrase: str, box: boxes.Box, image: Image, key: str) -> boxes.Turn:
    if pick(f"task {key}", 2):
        return boxes.refer(phrase, box, image, key)
    return boxes.ground(phrase, [box], image, key)


def _hub_ref(maker: Maker, place: str, row: Row) -> Iterator[Example]:
    """A question for each sentence of a row."""
    del place
    image = picture_of(row["image"])
    box = boxes.checked(boxes.from_xywh(row["bbox"]), image)
    for number, phrase in enumerate(texts_of(row["answer"], "sentence")):
        key = f"{row['file_name']}:{row['question_id']}:{number}"
        yield boxes.grounding_question(image, " ".join(phrase.split()), box, maker.name, key)


def _preparation(variant: _Variant) -> Preparation:
    published = file_preparation(
        name=variant.name,
        category="refer_ground",
        description=f"{variant.title}: boxes of phrases in COCO's pictures{variant.words}.",
        licence="see the publisher; COCO's pictures are under Flickr's terms of use",
        format="refcoco",
        layout=variant.layout(),
        files=dict.fromkeys(variant.splits, variant.files()),
        reading=lambda split: in_memory(functools.partial(_refs, split)),
        example=_examples,
        together=True,
    )
    return or_hub(
        published,
        repository=variant.repository,
        files={s: (shards(_SPLITS[s]),) for s in variant.splits if s != "train"},
        columns=("question_id", "image", "answer", "bbox", "file_name"),
        example=_hub_ref,
    )


_UNC: Sequence[str] = ("train", "validation", "testA", "testB")
PREPARATIONS: tuple[Preparation, ...] = tuple(
    _preparation(variant)
    for variant in (
        _Variant("refcoco", "RefCOCO", "refcoco", ("unc",), tuple(_UNC), "", "lmms-lab/RefCOCO"),
        _Variant(
            "refcoco_plus",
            "RefCOCO+",
            "refcoco+",
            ("unc",),
            tuple(_UNC),
            ", no places",
            "lmms-lab/RefCOCOplus",
        ),
        # Google's splits share pictures between train and val; UMD's do not, and are the field's.
        _Variant(
            "refcocog",
            "RefCOCOg",
            "refcocog",
            ("umd", "google"),
            ("train", "validation", "test"),
            ", long phrases",
            "lmms-lab/RefCOCOg",
        ),
    )
)
