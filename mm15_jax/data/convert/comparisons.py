"""Data sets that compare two or three pictures, each with an annotation format of its own.

Formats: NLVR2's README (lil-lab/nlvr), NIGHTS as read by DreamSim's dataset.py, Birds-to-Words'
README, Spot-the-diff's README. Birds-to-Words has only links to its pictures: they are expected as
Mantis's data/birds-to-words/prepare.py saves them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mm15_jax.data.convert.csv_files import load_table
from mm15_jax.data.convert.json_files import load_json
from mm15_jax.data.convert.prompts import letter_of, lettered
from mm15_jax.data.convert.published import SPLITS
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import Reading, file_preparation, in_memory
from mm15_jax.data.convert.record_files import RECORD_FILES
from mm15_jax.data.preparation import DataError, Preparation
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
_PUBLISHED = {"train": "train", "validation": "val", "test": "test"}

Record = Mapping[str, Any]
Rows = Sequence[tuple[str, Record]]  # (place, record)


def _example(
    maker: Maker, key: str, images: Sequence[Image], question: str, answer: str, **facts: Any
) -> Example:
    """One question about pictures; held-out ones carry the facts that score them."""
    metadata = {} if maker.trains else {"answer": answer} | facts
    return maker.example(key, images, [(question, answer)], **metadata)


def _nlvr2(maker: Maker, record: Record) -> Example:
    key, label = record["identifier"], str(record["label"])
    if label not in ("True", "False"):
        raise DataError(f"the label {label!r}, expected True or False")
    pair = key.rpartition("-")[0]
    folders = {
        "train": [f"images/train/{record.get('directory')}", "images/train", "train_images"],
        "validation": ["dev", "images/dev", "dev_images"],
        "test": ["test1", "images/test1", "test_images"],
    }[maker.split]
    images = [
        maker.picture(*(f"{folder}/{pair}-img{side}.png" for folder in folders)) for side in (0, 1)
    ]
    question = f"{record['sentence']}\n{TRUE_OR_FALSE}"
    return _example(maker, key, images, question, label, metric="exact_match")


def _table_rows(
    split: str, source: Source, file: str, delimiter: str, columns: tuple[str, ...]
) -> list[tuple[str, Record]]:
    """(place, row) of the rows that a table's column `split` gives to a split."""
    rows = enumerate(load_table(source, file, delimiter, columns))
    return [(f"{file}#{n}", row) for n, row in rows if row["split"] == _PUBLISHED[split]]


def _nights_rows(split: str, source: Source, files: tuple[str, ...]) -> Rows:
    rows = _table_rows(split, source, files[0], ",", _NIGHTS)
    return [
        (place, row) for place, row in rows if float(row.get("votes") or UNANIMOUS) >= UNANIMOUS
    ]


def _nights(maker: Maker, row: Record) -> Example:
    left, right = float(row["left_vote"]), float(row["right_vote"])
    if left == right:
        raise DataError(f"as many votes for one as for the other: {left:g}")
    names = [row["ref_path"], row["left_path"], row["right_path"]]
    images = [maker.picture(name, f"nights/{name}") for name in names]
    question, answer = lettered(MORE_SIMILAR, _AFTER), letter_of(int(right > left))
    facts = {"metric": "multiple_choice", "choices": list(_AFTER)}
    return _example(maker, row["id"], images, question, answer, **facts)


def _by_pair(split: str, rows: Iterable[tuple[str, tuple[str, ...], str, str]]) -> Rows:
    """(place, pair, number, description) of annotators as records.

    For training each description is an example; for scoring those of a pair are its references.
    """
    found: dict[str, tuple[str, Record]] = {}
    for place, pair, number, description in rows:
        key = "-".join((split, *pair, *([number] if split == "train" else [])))
        record = {"pair": pair, "key": key, "descriptions": []}
        found.setdefault(key, (place, record))[1]["descriptions"].append(description)
    return list(found.values())


def _described(maker: Maker, record: Record, images: Sequence[Image], question: str) -> Example:
    """The example of a record of `_by_pair`."""
    answers = record["descriptions"]
    metadata = {} if maker.trains else {"answer": answers, "metric": "cider"}
    return maker.example(record["key"], images, [(question, answers[0])], **metadata)


def _birds_rows(split: str, source: Source, files: tuple[str, ...]) -> Rows:
    sides = ("img1ObservationURL", "img2ObservationURL")
    return _by_pair(
        split,
        (
            (
                place,
                tuple(row[side].rpartition("/")[2] for side in sides),
                row["annN"],
                row["description"].strip(),
            )
            for place, row in _table_rows(split, source, files[0], "\t", _BIRDS)
        ),
    )


def _birds(maker: Maker, record: Record) -> Example:
    kinds = ("jpg", "jpeg", "png")
    images = [
        maker.picture(*(f"images/{number}.{kind}" for kind in kinds)) for number in record["pair"]
    ]
    return _described(maker, record, images, BIRDS)


def _spot_rows(split: str, source: Source, files: tuple[str, ...]) -> Rows:
    """Several people saw most pairs; those who wrote nothing, one in two hundred, are left out."""
    entries = []
    for number, entry in enumerate(load_json(source, files[0])):
        sentences = (sentence.strip() for sentence in entry["sentences"])
        text = "\n".join(filter(None, sentences))
        if text:
            place = f"{files[0]}#{number}"
            entries.append((place, (str(entry["img_id"]),), str(number), text))
    return _by_pair(split, entries)


def _spot_the_diff(maker: Maker, record: Record) -> Example:
    (number,) = record["pair"]
    folders = ("resized_images", "data/resized_images")
    images = [
        maker.picture(
            *(f"{at}/{number}{end}.{kind}" for at in folders for kind in ("png", "jpg")),
        )
        for end in ("", "_2")
    ]
    return _described(maker, record, images, DIFFERENCE)


def _tables(rows: Callable[[str, Source, tuple[str, ...]], Rows]) -> Callable[[str], Reading]:
    """By split: a file that is read whole; what it gives depends on the split."""
    return lambda split: in_memory(functools.partial(rows, split))


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="nlvr2",
        category="multi_image",
        description="Whether a statement about two photographs is true.",
        licence="annotations CC BY 4.0; pictures: not licensed by the publisher",
        format="comparisons",
        layout="data/train.json, data/dev.json, data/test1.json (or without data/), and the"
        " pictures: images/train/0/ ... 99/, dev/, test1/",
        files={
            split: (f"data/{name}.json|{name}.json",)
            for split, name in (("train", "train"), ("validation", "dev"), ("test", "test1"))
        },
        reading=RECORD_FILES,
        example=_nlvr2,
    ),
    file_preparation(
        name="dreamsim",
        category="multi_image",
        description="Which of two pictures people find more similar to a third: NIGHTS.",
        licence="MIT (of its repository)",
        format="comparisons",
        layout="data.csv, ref/, distort/ (nights.zip unpacked; or beside its folder nights/)",
        files=dict.fromkeys(SPLITS, ("data.csv|nights/data.csv",)),
        reading=_tables(_nights_rows),
        example=_nights,
    ),
    file_preparation(
        name="birds_to_words",
        category="multi_image",
        description="How the birds in two photographs differ.",
        licence="CC BY-SA 4.0; photographs: of their authors on iNaturalist",
        format="comparisons",
        layout="birds-to-words-v1.0.tsv, and images/NUMBER.jpg, NUMBER being the end of"
        " ObservationURL",
        files=dict.fromkeys(SPLITS, ("birds-to-words-v1.0.tsv",)),
        reading=_tables(_birds_rows),
        example=_birds,
    ),
    file_preparation(
        name="spot_the_diff",
        category="multi_image",
        description="What changed between two frames of a surveillance camera.",
        licence="see publisher",
        format="comparisons",
        layout="data/annotations/{train,val,test}.json (or without folders), and resized_images/"
        " (or data/resized_images/)",
        files={
            split: (f"data/annotations/{name}.json|{name}.json",)
            for split, name in _PUBLISHED.items()
        },
        reading=_tables(_spot_rows),
        example=_spot_the_diff,
    ),
)
