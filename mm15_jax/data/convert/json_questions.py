"""Arrays and lines of JSON with a record a question, and the pictures beside them.

Formats: A-OKVQA, VizWiz and ChartQA as read by big_vision's `datasets/{aokvqa,vizwizvqa,chartqa}`;
DVQA by Molmo's `hf_datasets/dv_qa`; CLEVR by clevr-iep; ScreenQA as its README says; ArXivQA and
GeomVerse as the Cauldron reads them. Splits without public answers are left out. Of ChartQA
lmms-lab's copy of the test split is read too.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.hub import Row, or_hub, picture_of, shards
from mm15_jax.data.convert.questions import Maker, texts_of
from mm15_jax.data.convert.reading import (
    JSON_LINES,
    file_preparation,
    grouped_in_training,
    json_array,
    placed,
)
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.inputs.example import Example

_OPTION = re.compile(r"^\(?[A-Z]\s*[).:]\s*")
_LETTER = re.compile(r"^\W*([A-Z])(?![a-z])")


def _aokvqa(maker: Maker, record: dict) -> Example:
    image_id = int(record["image_id"])
    subset = {"train": "train2017", "validation": "val2017"}[maker.split]
    return maker.choice(
        f"{image_id:012d}/{record['question_id']}",
        maker.picture(f"{subset}/{image_id:012d}.jpg"),
        record["question"],
        record["choices"],
        record["correct_choice_idx"],
    )


def _vizwiz(maker: Maker, record: dict) -> Example:
    subset = {"train": "train", "validation": "val"}[maker.split]
    return maker.short(
        posixpath.splitext(record["image"])[0],
        maker.picture(f"{subset}/{record['image']}"),
        record["question"],
        [given["answer"] for given in record["answers"]],
        "vqa_accuracy",
        prompt=prompts.UNANSWERABLE,
    )


def _chartqa(maker: Maker, placed_record: tuple[str, dict]) -> Example:
    """Questions of people and those made of summaries are also scored apart."""
    place, record = placed_record
    folder = {"validation": "val"}.get(maker.split, maker.split)
    name = record["imgname"]
    return maker.short(
        f"{posixpath.splitext(name)[0]}/{prompts.digest(record['query'] + str(record['label']))}",
        maker.picture(f"{folder}/png/{name}"),
        record["query"],
        record["label"],
        "relaxed_accuracy",
        subset="human" if "_human.json" in place else "augmented",
    )


def _chartqa_row(maker: Maker, place: str, row: Row) -> Example:
    subset = {"human_test": "human", "augmented_test": "augmented"}.get(row["type"])
    if subset is None:
        raise DataError(f"the type is {row['type']!r}, expected human_test or augmented_test")
    picture = picture_of(row["image"])
    return maker.short(
        place, picture, row["question"], row["answer"], "relaxed_accuracy", subset=subset
    )


def _dvqa_pair(record: dict) -> tuple[str, tuple[str, str]]:
    return record["image"], (record["question"], record["answer"])


def _dvqa(maker: Maker, record: Any) -> Example:
    if maker.trains:
        name, turns = record
        return maker.dialogue(posixpath.splitext(name)[0], maker.picture(f"images/{name}"), turns)
    name = record["image"]
    return maker.short(
        f"{posixpath.splitext(name)[0]}/{record['question_id']}",
        maker.picture(f"images/{name}"),
        record["question"],
        record["answer"],
        "exact_match",
    )


def _clevr_pair(record: dict) -> tuple[str, tuple[str, str]]:
    return record["image_filename"], (record["question"], record["answer"])


def _clevr(maker: Maker, record: Any) -> Example:
    name = record[0] if maker.trains else record["image_filename"]
    folder = {"train": "train", "validation": "val"}[maker.split]
    picture, key = maker.picture(f"images/{folder}/{name}"), posixpath.splitext(name)[0]
    if maker.trains:
        return maker.dialogue(key, picture, record[1])
    return maker.short(
        f"{key}/{record['question_index']}",
        picture,
        record["question"],
        record["answer"],
        "exact_match",
    )


def _screenqa(maker: Maker, record: dict) -> Example:
    """Short answers; "<no answer>" where the screen has none, as published."""
    image_id, question = record["image_id"], record["question"]
    return maker.short(
        f"{image_id}/{prompts.digest(question + str(record['ground_truth']))}",
        maker.picture(f"combined/{image_id}.jpg"),
        question,
        record["ground_truth"],
        "anls",
    )


def _arxivqa(maker: Maker, record: dict) -> Example:
    """Options come as "A) text", labels as "A", "A)" or "A) text"."""
    letter = _LETTER.match(str(record["label"]))
    if letter is None:
        raise DataError(f"the label {record['label']!r} names no option")
    options = [_OPTION.sub("", str(option).strip()) for option in record["options"]]
    return maker.choice(
        record["id"],
        maker.picture(record["image"]),
        record["question"],
        options,
        prompts.letter_index(letter.group(1)),
    )


def _geomverse(maker: Maker, record: dict) -> Example:
    image = record["image_path"]
    [answer] = texts_of(record["label"])
    reasoning = f"{record['cot'].strip()}\nAnswer: {answer}"
    return maker.example(
        posixpath.splitext(image)[0],
        # Paths begin with the name of the published archive.
        maker.picture(image, image.removeprefix("GeomVerse/")),
        [(record["question"].strip() + prompts.STEP_BY_STEP, reasoning)],
        answer=answer,
        metric="relaxed_accuracy",
    )


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="aokvqa",
        category="general",
        description="Questions on photos that need common sense, with four choices.",
        licence="Apache 2.0; pictures COCO's, see publisher",
        format="json_questions",
        layout="aokvqa_v1p0_train.json, aokvqa_v1p0_val.json and COCO's train2017/ and val2017/",
        files={"train": ("aokvqa_v1p0_train.json",), "validation": ("aokvqa_v1p0_val.json",)},
        reading=json_array(),
        example=_aokvqa,
    ),
    file_preparation(
        name="vizwiz",
        category="general",
        description="Questions that blind people asked about photos they took.",
        licence="CC BY 4.0",
        format="json_questions",
        layout="annotations/train.json, annotations/val.json, train/ and val/ of pictures",
        files={
            "train": ("annotations/train.json|Annotations/train.json|train.json",),
            "validation": ("annotations/val.json|Annotations/val.json|val.json",),
        },
        reading=json_array(),
        example=_vizwiz,
    ),
    or_hub(
        file_preparation(
            name="chartqa",
            category="text_rich",
            description="Questions on charts, written by people and generated from summaries.",
            licence="GPL-3.0",
            format="json_questions",
            layout="of the folder 'ChartQA Dataset': train/train_human.json,"
            " train/train_augmented.json and train/png/, the same of val/ and test/",
            files={
                split: (f"{folder}/{folder}_human.json", f"{folder}/{folder}_augmented.json")
                for split, folder in (("train", "train"), ("validation", "val"), ("test", "test"))
            },
            reading=placed(json_array()),
            example=_chartqa,
            version=2,
        ),
        repository="lmms-lab/ChartQA",
        files={"test": (shards("test"),)},
        columns=("type", "question", "answer", "image"),
        example=_chartqa_row,
    ),
    file_preparation(
        name="dvqa",
        category="text_rich",
        description="Questions on generated bar charts.",
        licence="CC BY-NC 4.0",
        format="json_questions",
        layout="train_qa.json, val_easy_qa.json, val_hard_qa.json and images/",
        files={
            "train": ("train_qa.json|qa/train_qa.json",),
            "validation_easy": ("val_easy_qa.json|qa/val_easy_qa.json",),
            "validation_hard": ("val_hard_qa.json|qa/val_hard_qa.json",),
        },
        reading=grouped_in_training(json_array(), _dvqa_pair),
        example=_dvqa,
    ),
    file_preparation(
        name="clevr",
        category="knowledge",
        description="Questions that need counting and comparing, on rendered solids.",
        licence="CC BY 4.0",
        format="json_questions",
        layout="of the folder CLEVR_v1.0: questions/CLEVR_train_questions.json,"
        " questions/CLEVR_val_questions.json, images/train/ and images/val/",
        files={
            "train": ("questions/CLEVR_train_questions.json",),
            "validation": ("questions/CLEVR_val_questions.json",),
        },
        reading=grouped_in_training(json_array("questions"), _clevr_pair),
        example=_clevr,
    ),
    file_preparation(
        name="screenqa",
        category="text_rich",
        description="Questions on screenshots of mobile apps, with short answers.",
        licence="CC BY 4.0; pictures Rico's, see publisher",
        format="json_questions",
        layout="short_answers/train.json, short_answers/validation.json, short_answers/test.json"
        " and Rico's folder combined/",
        files={
            split: (f"short_answers/{split}.json",) for split in ("train", "validation", "test")
        },
        reading=json_array(),
        example=_screenqa,
    ),
    file_preparation(
        name="arxivqa",
        category="text_rich",
        description="Multiple choice on figures of scientific papers, written by GPT-4V.",
        licence="CC BY-SA 4.0",
        format="json_questions",
        layout="arxivqa.jsonl and images/",
        files={"train": ("arxivqa.jsonl",)},
        reading=JSON_LINES,
        example=_arxivqa,
    ),
    file_preparation(
        name="geomverse",
        category="knowledge",
        description="Generated geometry problems with their solutions.",
        licence="see publisher (Google Research, GeomVerseV0)",
        format="json_questions",
        layout="of the folder GeomVerse: TRAIN/TRAIN_MIX/data.jsonl and the pictures it names",
        files={"train": ("TRAIN/TRAIN_MIX/data.jsonl|GeomVerse/TRAIN/TRAIN_MIX/data.jsonl",)},
        reading=JSON_LINES,
        example=_geomverse,
    ),
)
