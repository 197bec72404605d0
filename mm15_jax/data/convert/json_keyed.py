"""Objects of JSON with a record by its identity: GQA, OCR-VQA, ScienceQA, TabMWP.

Formats: GQA as read by big_vision's `datasets/gqa`, OCR-VQA by its own loadDataset.py (splits 1, 2
and 3 in one file), ScienceQA by big_vision's `datasets/science_qa` and LLaVA, and in lmms-lab's
copy; TabMWP by Molmo's `hf_datasets/tabmwp`. ScienceQA's questions with a picture are a test split
of their own: evaluators of multimodal models ask these alone.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import Any

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.hub import Row, or_hub, picture_of, shards
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import (
    file_preparation,
    grouped_in_training,
    json_object,
    uncounted,
)
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.inputs.example import Example, Image

_PUBLISHED = {"train": "train", "validation": "val", "test": "test"}
_SCIENCEQA_SPLITS = {
    "train": "train",
    "validation": "val",
    "test_image": "test",
    "test_text": "test",
}
_OCRVQA_SPLITS = {"train": 1, "validation": 2, "test": 3}


def _gqa_pair(record: tuple[str, dict]) -> tuple[str, tuple[str, str]]:
    _, question = record
    return question["imageId"], (question["question"], question["answer"])


def _gqa(maker: Maker, record: tuple[str, Any]) -> Example:
    if maker.trains:
        image_id, turns = record
        return maker.dialogue(image_id, maker.picture(f"images/{image_id}.jpg"), turns)
    identity, question = record
    return maker.short(
        f"{question['imageId']}/{identity}",
        maker.picture(f"images/{question['imageId']}.jpg"),
        question["question"],
        question["answer"],
        "exact_match",
    )


def _ocrvqa(maker: Maker, record: tuple[str, dict]) -> Iterable[Example]:
    identity, book = record
    if book["split"] != _OCRVQA_SPLITS[maker.split]:
        return
    questions, answers = book["questions"], book["answers"]
    if len(questions) != len(answers):
        raise DataError(f"{len(questions)} questions and {len(answers)} answers")
    suffix = posixpath.splitext(book["imageURL"])[1]
    picture = maker.picture(f"images/{identity}{suffix}", f"images/{identity}.jpg")
    if maker.trains:
        yield maker.dialogue(identity, picture, list(zip(questions, answers, strict=True)))
        return
    for number, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        yield maker.short(f"{identity}/{number}", picture, question, answer, "exact_match")


def _scienceqa(maker: Maker, record: tuple[str, dict]) -> Iterable[Example]:
    identity, problem = record
    folder = _SCIENCEQA_SPLITS[maker.split]
    if problem["split"] != folder or not _of_split(maker, bool(problem.get("image"))):
        return
    images = []
    if problem.get("image"):
        name = f"{folder}/{identity}/{problem['image']}"
        images.append(maker.picture(name, f"images/{name}"))
    yield _science_question(maker, identity, images, problem)


def _scienceqa_row(maker: Maker, place: str, row: Row) -> Iterable[Example]:
    if _of_split(maker, row["image"] is not None):
        images = [picture_of(row["image"])] if row["image"] is not None else []
        yield _science_question(maker, place, images, row)


def _of_split(maker: Maker, has_picture: bool) -> bool:
    return {"test_image": has_picture, "test_text": not has_picture}.get(maker.split, True)


def _science_question(
    maker: Maker, key: str, images: Sequence[Image], problem: dict[str, Any]
) -> Example:
    context = f"Context: {problem['hint'].strip()}\n" if problem.get("hint") else ""
    return maker.choice(
        key,
        images,
        context + problem["question"],
        problem["choices"],
        problem["answer"],
        always_lettered=not maker.trains,
    )


def _tabmwp(maker: Maker, record: tuple[str, dict]) -> Example:
    """Training on the published solutions, evaluation with short answers."""
    identity, problem = record
    picture = maker.picture(f"tables/{identity}.png")
    question, answer = problem["question"], str(problem["answer"])
    choices = problem.get("choices") or []
    if not maker.trains and choices:
        if answer not in choices:
            raise DataError(f"the answer {answer!r} is none of the choices")
        return maker.choice(identity, picture, question, choices, choices.index(answer))
    if problem.get("unit"):
        question += f" (Unit: {problem['unit']})"
    if not maker.trains:
        return maker.short(identity, picture, question, answer, "exact_match")
    if choices:
        question += f"\nChoices: {', '.join(choices)}."
    solution = problem["solution"].replace("\n\n", "\n").strip()
    return maker.example(
        identity,
        picture,
        [(question + prompts.STEP_BY_STEP, f"{solution}\nAnswer: {answer}")],
        answer=answer,
        metric="exact_match",
    )


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="gqa",
        category="general",
        description="Questions made from the scene graphs of photos, the balanced set.",
        licence="CC BY 4.0",
        format="json_keyed",
        layout="train_balanced_questions.json, val_balanced_questions.json,"
        " testdev_balanced_questions.json and images/",
        files={
            split: (f"{name}_balanced_questions.json|questions/{name}_balanced_questions.json",)
            for split, name in (("train", "train"), ("validation", "val"), ("testdev", "testdev"))
        },
        reading=grouped_in_training(json_object(), _gqa_pair),
        example=_gqa,
    ),
    file_preparation(
        name="ocrvqa",
        category="text_rich",
        description="Questions on the covers of books: author, title, genre.",
        licence="see publisher (ocr-vqa.github.io)",
        format="json_keyed",
        layout="dataset.json and images/",
        files=dict.fromkeys(_OCRVQA_SPLITS, ("dataset.json",)),
        reading=uncounted(json_object()),
        example=_ocrvqa,
    ),
    or_hub(
        file_preparation(
            name="scienceqa",
            category="knowledge",
            description="School questions with choices, with and without a picture.",
            licence="CC BY-NC-SA 4.0",
            format="json_keyed",
            layout="problems.json and the folders train/, val/, test/ of pictures",
            files=dict.fromkeys(_SCIENCEQA_SPLITS, ("problems.json",)),
            reading=uncounted(json_object()),
            example=_scienceqa,
            version=2,
        ),
        repository="lmms-lab/ScienceQA",
        files={
            "validation": (shards("validation", "ScienceQA-FULL", "ScienceQA-IMG"),),
            "test_image": (shards("test", "ScienceQA-IMG", "ScienceQA-FULL"),),
            "test_text": (shards("test", "ScienceQA-FULL"),),
        },
        columns=("image", "question", "choices", "answer", "hint"),
        example=_scienceqa_row,
        filters=True,
    ),
    file_preparation(
        name="tabmwp",
        category="knowledge",
        description="Mathematical word problems on pictures of tables, with solutions.",
        licence="CC BY-NC-SA 4.0",
        format="json_keyed",
        layout="of the folder tabmwp: problems_train.json, problems_dev.json, problems_test.json"
        " and tables/",
        files={
            "train": ("problems_train.json",),
            "validation": ("problems_dev.json",),
            "test": ("problems_test.json",),
        },
        reading=json_object(),
        example=_tabmwp,
    ),
)
