"""Data sets that compare two or three pictures, each with an annotation format of its own.

Formats: NLVR2's README (lil-lab/nlvr), NIGHTS as read by DreamSim's dataset.py, Birds-to-Words'
README, Spot-the-diff's README. Birds-to-Words has only links to its pictures: they are expected as
Mantis's data/birds-to-words/prepare.py saves them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mm15_jax.data.convert import csv_files, json_files, record_files
from mm15_jax.data.convert.picture_files import read_picture
from mm15_jax.data.convert.prompts import letter_of, lettered
from mm15_jax.data.convert.segments import conversation
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation, examples_of
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image

TRUE_OR_FALSE = "Is the statement about the two images true or false?"
DIFFERENCE = "What is different in the second image?"
BIRDS = "Animal 1 is in the first image, animal 2 in the second. How do they differ?"
MORE_SIMILAR = "The first image is the reference. Which image is more similar to it?"
_AFTER = ("The second image", "The third image")
_NIGHTS = ("id", "left_vote", "right_vote", "ref_path", "left_path", "right_path", "split")
_BIRDS = ("img1ObservationURL", "img2ObservationURL", "split", "annN", "description")
UNANIMOUS = 6  # votes; DreamSim's dataset.py leaves out triplets with fewer

Record = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class ComparisonSet:
    """A data set of comparisons."""

    name: str
    description: str
    licence: str  # as the publisher states it
    layout: str
    files: Mapping[str, Sequence[str]]  # annotation files by split, the first that is there
    # example(source, split, place, record)
    example: Callable[[Source, str, str, Record], Example]
    # rows(source, file, split) of a table that is kept whole; None: records of JSON
    rows: Callable[[Source, str, str], Sequence[Record]] | None = None


def _example(
    name: str,
    key: str,
    split: str,
    images: Sequence[Image],
    question: str,
    answer: str,
    **facts: Any,
) -> Example:
    """One question about pictures; held-out ones carry the facts that score them."""
    if not answer.strip():
        raise DataError("an empty answer")
    metadata = {} if split == "train" else {"answer": answer, **facts}
    segments = conversation(images, [(question, answer)])
    return Example(segments, name, key, "multi_image", metadata)


def _nlvr2(source: Source, split: str, place: str, record: Record) -> Example:
    key, label = record["identifier"], str(record["label"])
    if label not in ("True", "False"):
        raise DataError(f"the label {label!r}, expected True or False")
    pair = key.rpartition("-")[0]
    folders = {
        "train": [f"images/train/{record.get('directory')}", "images/train", "train_images"],
        "validation": ["dev", "images/dev", "dev_images"],
        "test": ["test1", "images/test1", "test_images"],
    }[split]
    images = [
        read_picture(source, [f"{folder}/{pair}-img{side}.png" for folder in folders])
        for side in (0, 1)
    ]
    question = f"{record['sentence']}\n{TRUE_OR_FALSE}"
    return _example("nlvr2", key, split, images, question, label, metric="exact_match")


def _nights(source: Source, split: str, place: str, row: Record) -> Example:
    left, right = float(row["left_vote"]), float(row["right_vote"])
    if left == right:
        raise DataError(f"as many votes for one as for the other: {left:g}")
    names = [row["ref_path"], row["left_path"], row["right_path"]]
    images = [read_picture(source, [name, f"nights/{name}"]) for name in names]
    question, answer = lettered(MORE_SIMILAR, _AFTER), letter_of(int(right > left))
    facts = {"metric": "multiple_choice", "choices": list(_AFTER)}
    return _example("dreamsim", row["id"], split, images, question, answer, **facts)


def _nights_rows(source: Source, file: str, split: str) -> list[Record]:
    named = {"validation": "val"}.get(split, split)
    rows = csv_files.load_table(source, file, ",", _NIGHTS)
    return [
        row
        for row in rows
        if row["split"] == named and float(row.get("votes") or UNANIMOUS) >= UNANIMOUS
    ]


def _by_pair(rows: Iterable[tuple[tuple[str, ...], str, str]], split: str) -> list[Record]:
    """(pair, number, description) of annotators as records.

    For training each description is an example; for scoring those of a pair are its references.
    """
    if split == "train":
        return [
            {"pair": pair, "key": "-".join((*pair, number)), "descriptions": [description]}
            for pair, number, description in rows
        ]
    pairs: dict[tuple[str, ...], list[str]] = {}
    for pair, _, description in rows:
        pairs.setdefault(pair, []).append(description)
    return [
        {"pair": pair, "key": "-".join(pair), "descriptions": descriptions}
        for pair, descriptions in pairs.items()
    ]


def _described(
    name: str, split: str, images: Sequence[Image], question: str, record: Record
) -> Example:
    """The example of a record of `_by_pair`."""
    descriptions = record["descriptions"]
    key = f"{split}-{record['key']}"
    example = _example(name, key, split, images, question, descriptions[0], metric="cider")
    if split == "train":
        return example
    metadata = {**example.metadata, "answer": descriptions}
    return dataclasses.replace(example, metadata=metadata)


def _birds(source: Source, split: str, place: str, record: Record) -> Example:
    images = [
        read_picture(source, [f"images/{number}.{kind}" for kind in ("jpg", "jpeg", "png")])
        for number in record["pair"]
    ]
    return _described("birds_to_words", split, images, BIRDS, record)


def _birds_rows(source: Source, file: str, split: str) -> list[Record]:
    named = {"validation": "val"}.get(split, split)
    sides = ("img1ObservationURL", "img2ObservationURL")
    return _by_pair(
        (
            (
                tuple(row[side].rpartition("/")[2] for side in sides),
                row["annN"],
                row["description"].strip(),
            )
            for row in csv_files.load_table(source, file, "\t", _BIRDS)
            if row["split"] == named
        ),
        split,
    )


def _spot_the_diff(source: Source, split: str, place: str, record: Record) -> Example:
    (number,) = record["pair"]
    folders = ("resized_images", "data/resized_images")
    images = [
        read_picture(
            source,
            [f"{at}/{number}{end}.{kind}" for at in folders for kind in ("png", "jpg")],
        )
        for end in ("", "_2")
    ]
    return _described("spot_the_diff", split, images, DIFFERENCE, record)


def _spot_rows(source: Source, file: str, split: str) -> list[Record]:
    """Several people saw most pairs; those who wrote nothing, one in two hundred, are left out."""
    entries = []
    for number, entry in enumerate(json_files.load_json(source, file)):
        sentences = (sentence.strip() for sentence in entry["sentences"])
        text = "\n".join(filter(None, sentences))
        if text:
            entries.append(((str(entry["img_id"]),), str(number), text))
    return _by_pair(entries, split)


def preparation(row: ComparisonSet) -> Preparation:
    """The preparation of a row."""

    def parts(split: str, source: Source | None) -> list[Part]:
        files = record_files.published_files(source, row.files, split, row.layout)[:1]
        assert source is not None
        if row.rows is None:
            return record_files.record_parts(source, files)
        return [
            part
            for file in files
            for part in json_files.table_parts(file, len(row.rows(source, file, split)), [file])
        ]

    def convert(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
        assert source is not None

        def example(place: str, record: Record) -> Example:
            return row.example(source, split, place, record)

        if row.rows is None:
            return record_files.converted(source, part, example)
        records = row.rows(source, part.files[0], split)
        places: Iterable[tuple[str, tuple[str, Record]]] = (
            (f"{part.files[0]}#{number}", (f"{part.files[0]}#{number}", records[number]))
            for number in range(part.start, part.stop)
        )
        return examples_of(places, lambda item: example(*item))

    return Preparation(
        name=row.name,
        category="multi_image",
        description=row.description,
        licence=row.licence,
        splits=tuple(row.files),
        parts=parts,
        convert=convert,
        format="comparisons",
        layout=row.layout,
    )


def _everywhere(*files: str) -> dict[str, Sequence[str]]:
    """One table that has all splits."""
    return dict.fromkeys(record_files.SPLITS, files)


SETS = (
    ComparisonSet(
        "nlvr2",
        "Whether a statement about two photographs is true.",
        "annotations CC BY 4.0; pictures: not licensed by the publisher",
        "data/train.json, data/dev.json, data/test1.json (or without data/), and the pictures: "
        "images/train/0/ ... 99/, dev/, test1/",
        {
            "train": ("data/train.json", "train.json"),
            "validation": ("data/dev.json", "dev.json"),
            "test": ("data/test1.json", "test1.json"),
        },
        _nlvr2,
    ),
    ComparisonSet(
        "dreamsim",
        "Which of two pictures people find more similar to a third: NIGHTS.",
        "MIT (of its repository)",
        "data.csv, ref/, distort/ (nights.zip unpacked; or beside its folder nights/)",
        _everywhere("data.csv", "nights/data.csv"),
        _nights,
        _nights_rows,
    ),
    ComparisonSet(
        "birds_to_words",
        "How the birds in two photographs differ.",
        "CC BY-SA 4.0; photographs: of their authors on iNaturalist",
        "birds-to-words-v1.0.tsv, and images/NUMBER.jpg, NUMBER being the end of ObservationURL",
        _everywhere("birds-to-words-v1.0.tsv"),
        _birds,
        _birds_rows,
    ),
    ComparisonSet(
        "spot_the_diff",
        "What changed between two frames of a surveillance camera.",
        "see publisher",
        "data/annotations/{train,val,test}.json (or without folders), and resized_images/ (or "
        "data/resized_images/)",
        {
            "train": ("data/annotations/train.json", "train.json"),
            "validation": ("data/annotations/val.json", "val.json"),
            "test": ("data/annotations/test.json", "test.json"),
        },
        _spot_the_diff,
        _spot_rows,
    ),
)
PREPARATIONS = tuple(preparation(row) for row in SETS)
