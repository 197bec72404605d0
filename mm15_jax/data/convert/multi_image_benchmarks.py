"""Benchmarks of several pictures: Q-Bench2, Mantis-Eval, BLINK and MuirBench.

Formats: those of the Hugging Face hub. Prompts, and where they are from:

* Q-Bench2 (pairs): lmms-eval's task `qbench2_dev`. The paper's "val" is the split "dev".
* Mantis-Eval: mantis/benchmark/eval.py and its template multi-choice.txt (options in brackets,
  where they have no letter); short answers are asked for as InternVL's evaluate_mantis.py does,
  because the template of Mantis asks for an analysis first.
* BLINK: its column `prompt` (question and options), and the request for a letter of lmms-eval's
  task.
* MuirBench: lmms-eval's task `muirbench`.

Pictures stand where `<image>` does, in questions and in options; without it before the question.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.dialogue import PLACEHOLDER
from mm15_jax.data.convert.hub import Row, hub_preparation, picture_of, shards
from mm15_jax.data.convert.questions import Maker, texts_of, unmistakable
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.inputs.example import Example, Image, Segment, Text

_QBENCH_TYPES = ("Yes/No", "How", "What")
_LETTERED = re.compile(r"^\s*\(?([A-Z])[).:]\s*(?=\S)")


def interleaved(
    maker: Maker, key: Any, images: Sequence[Image], question: str, target: str, **metadata: Any
) -> Example:
    """A question whose pictures stand where it has `<image>`.

    Raises:
      DataError: if it has no picture, or places fewer or more than it has, or is empty.
    """
    places = question.count(PLACEHOLDER)
    if not images or places not in (0, len(images)):
        raise DataError(f"{len(images)} pictures, and {places} times {PLACEHOLDER}")
    if not question.replace(PLACEHOLDER, "").strip() or not target.strip():
        raise DataError("an empty question or answer")
    pieces = (question if places else PLACEHOLDER * len(images) + question).split(PLACEHOLDER)
    segments: list[Segment] = []
    for piece, image in zip(pieces, [*images, None], strict=True):
        if piece.strip():
            segments.append(Text(piece, role="user"))
        if image is not None:
            segments.append(image)
    segments.append(Text(target, role="assistant", loss=True))
    return Example(tuple(segments), maker.name, str(key), maker.category, metadata)


def lettered_question(
    maker: Maker,
    key: Any,
    images: Sequence[Image],
    asked: str,
    options: Sequence[str],
    letter: str,
    **metadata: Any,
) -> Example:
    """A question whose text names its options already; the answer is a letter.

    Raises:
      DataError: if the letter names no option, or as `interleaved`.
    """
    letter = letter.strip(" .()\n").upper()
    last = prompts.letter_of(len(options) - 1) if options else ""
    if len(letter) != 1 or not "A" <= letter <= last:
        raise DataError(f"the answer {letter!r} of {len(options)} options")
    metadata |= {"answer": letter, "metric": "multiple_choice", "choices": unmistakable(options)}
    return interleaved(maker, key, images, asked, letter, **metadata)


def _qbench2(maker: Maker, place: str, row: Row) -> Example:
    del place
    options = [row[f"option{number}"] for number in range(4)]
    options = [option.strip() for option in options if option and option != "N/A"]
    kind = row["question_type"]
    if not 0 <= kind < len(_QBENCH_TYPES):
        raise DataError(f"question_type is {kind}, expected 0 to {len(_QBENCH_TYPES) - 1}")
    return lettered_question(
        maker,
        row["id"],
        [picture_of(row["image1"]), picture_of(row["image2"])],
        prompts.lettered(row["question"].strip(), options),
        options,
        row["correct_choice"],
        subset=_QBENCH_TYPES[kind],
    )


def _mantis(maker: Maker, place: str, row: Row) -> Example:
    del place
    images = [picture_of(cell) for cell in row["images"]]
    question, kind = row["question"].strip(), row["question_type"]
    unplaced = max(len(images) - question.count(PLACEHOLDER), 0)
    question = PLACEHOLDER * unplaced + question
    if kind == "short-answer":
        references = texts_of(row["answer"])
        return interleaved(
            maker,
            row["id"],
            images,
            question + prompts.SHORT_ANSWER,
            references[0],
            answer=references,
            metric="exact_match",
            subset=kind,
        )
    if kind != "multi-choice":
        raise DataError(f"question_type is {kind!r}, expected multi-choice or short-answer")
    options = [_LETTERED.sub("", option).strip() for option in row["options"]]
    for number, option in enumerate(options):
        question += f"\n ({prompts.letter_of(number)}) {option}"
    return lettered_question(
        maker,
        row["id"],
        images,
        question + prompts.OPTION_LETTER,
        options,
        row["answer"],
        subset=kind,
    )


def _blink(maker: Maker, place: str, row: Row) -> Example:
    del place
    cells = [row[f"image_{number}"] for number in range(1, 5)]
    return lettered_question(
        maker,
        row["idx"],
        [picture_of(cell) for cell in cells if cell is not None],
        row["prompt"].strip() + prompts.OPTION_LETTER,
        row["choices"],
        row["answer"],
        subset=row["sub_task"],
    )


def _muirbench(maker: Maker, place: str, row: Row) -> Example:
    del place
    options = [str(option).strip() for option in row["options"]]
    number = 0
    # An option that is a picture is named by its place: all of them read "<image>".
    names = []
    for option in options:
        number += option.count(PLACEHOLDER)
        names.append(f"image {number}" if option == PLACEHOLDER else option)
    return lettered_question(
        maker,
        row["idx"],
        [picture_of(cell) for cell in row["image_list"]],
        prompts.lettered(row["question"].strip(), options),
        names,
        row["answer"],
        subset=row["task"],
    )


PREPARATIONS: tuple[Preparation, ...] = (
    hub_preparation(
        name="qbench2",
        category="multi_image",
        description="Q-Bench2: how two pictures compare in quality.",
        licence="see the publisher (q-future/Q-Bench2-HF)",
        repository="q-future/Q-Bench2-HF",
        files={"validation": (shards("dev"),)},
        columns=(
            "id",
            "image1",
            "image2",
            "question",
            "option0",
            "option1",
            "option2",
            "option3",
            "question_type",
            "correct_choice",
        ),
        example=_qbench2,
    ),
    hub_preparation(
        name="mantis_eval",
        category="multi_image",
        description="Mantis-Eval: questions that need several pictures at once.",
        licence="Apache 2.0",
        repository="TIGER-Lab/Mantis-Eval",
        files={"test": (shards("test", "mantis_eval", "data"),)},
        columns=("id", "question_type", "question", "images", "options", "answer"),
        example=_mantis,
    ),
    hub_preparation(
        name="blink",
        category="multi_image",
        description="BLINK: 14 tasks of seeing that people do at a glance.",
        licence="Apache 2.0",
        repository="BLINK-Benchmark/BLINK",
        files={"validation": ("*/val-*.parquet|val-*.parquet",)},
        columns=(
            "idx",
            "sub_task",
            "prompt",
            "image_1",
            "image_2",
            "image_3",
            "image_4",
            "choices",
            "answer",
        ),
        example=_blink,
    ),
    hub_preparation(
        name="muirbench",
        category="multi_image",
        description="MuirBench: 12 tasks on several pictures, some questions without an answer.",
        licence="CC BY 4.0",
        repository="MUIRBENCH/MUIRBENCH",
        files={"test": (shards("test"),)},
        columns=("idx", "task", "question", "options", "answer", "image_list"),
        example=_muirbench,
    ),
)
