"""MMMU and MathVista: questions of college subjects and of mathematics, with choices or open.

Formats: MMMU/MMMU (a folder of files a subject) or lmms-lab's copy (one folder), and
AI4Math/MathVista, as lmms-eval reads them. Prompts are lmms-eval's: `mmmu_val`, and of MathVista
the variant `mathvista_testmini_format`, which asks for the answer alone, so that a rule can read
it. The answers of MMMU's and MathVista's test splits are not public.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.hub import Row, hub_preparation, picture_of, shards
from mm15_jax.data.convert.questions import Maker, texts_of, unmistakable
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.inputs.example import Example, Image, Segment, Text

_IMAGES = 7  # columns of pictures in a row of MMMU
_MARK = re.compile(r"<image (\d+)>")
_NAME = re.compile(r"(?:dev|validation)_(.+)_\d+")


def _listed(text: str, what: str) -> list[str]:
    """A list that MMMU publishes as Python's text of it."""
    try:
        found = ast.literal_eval(text)
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{what} {text!r} are no list") from error
    if not isinstance(found, list):
        raise DataError(f"{what} {text!r} are no list")
    return [str(item).strip() for item in found]


def interleaved(text: str, images: dict[int, Image]) -> list[Segment]:
    """Text of the user with the picture of each "<image n>" where it stands.

    Raises:
      DataError: if there is no such picture.
    """
    segments: list[Segment] = []
    # A pattern with a group: texts and numbers alternate.
    for place, piece in enumerate(_MARK.split(text)):
        if place % 2 == 0:
            if piece.strip():
                segments.append(Text(piece, role="user"))
        elif int(piece) not in images:
            raise DataError(f"<image {piece}> is named, there are pictures {sorted(images)}")
        else:
            segments.append(images[int(piece)])
    return segments


def _mmmu(maker: Maker, place: str, row: Row) -> Example:
    del place
    key, question, answer = row["id"], row["question"].strip(), row["answer"].strip()
    subject = _NAME.fullmatch(key)
    if subject is None:
        raise DataError(f"the id is {key!r}, expected such as validation_Art_Theory_3")
    metadata: dict[str, Any] = {"subset": subject.group(1)}
    if row["question_type"] == "multiple-choice":
        options = _listed(row["options"], "options")
        if len(answer) != 1 or answer not in prompts.LETTERS[: len(options)]:
            raise DataError(f"the answer is {answer!r} of {len(options)} options")
        # lmms-eval has an empty line before the request.
        lines = prompts.lettered(question, options).removesuffix(prompts.OPTION_LETTER)
        asked, target = f"{lines}\n{prompts.OPTION_LETTER}", answer
        metadata |= {
            "answer": answer,
            "metric": "mmmu_choice",
            "choices": unmistakable(options),
        }
    else:
        # A few have several accepted answers: "['1.06', '1.1']".
        accepted = _listed(answer, "answers") if answer.startswith("[") else [answer]
        accepted = texts_of(accepted)
        asked, target = f"{question}\n{prompts.SHORT_ANSWER}", accepted[0]
        metadata |= {
            "answer": accepted if len(accepted) > 1 else accepted[0],
            "metric": "mmmu_open",
        }
    named = sorted({int(number) for number in _MARK.findall(asked)})
    cells = {n: row[f"image_{n}"] for n in named if n <= _IMAGES and row[f"image_{n}"] is not None}
    segments = interleaved(asked, {n: picture_of(cell) for n, cell in cells.items()})
    segments.append(Text(target, role="assistant", loss=True))
    return Example(tuple(segments), maker.name, key, maker.category, metadata)


def _request(row: Row) -> str:
    """How MathVista's answer is asked for, by its type."""
    kind, precision = row["answer_type"], row["precision"]
    if kind == "integer":
        return prompts.INTEGER
    if kind == "float" and precision in (1, 2):
        return prompts.ONE_DECIMAL if precision == 1 else prompts.TWO_DECIMALS
    if kind == "list":
        return prompts.PYTHON_LIST
    raise DataError(f"an answer of type {kind!r} with precision {precision!r}")


def _mathvista(maker: Maker, place: str, row: Row) -> Example:
    """The reference of a multiple choice is the text of the choice, as published."""
    del place
    question = row["question"].strip() + (f" (Unit: {row['unit']})" if row["unit"] else "")
    choices: Sequence[str] = row["choices"] or []
    [answer] = texts_of(row["answer"])
    facts = {
        "question_type": row["question_type"],
        "answer_type": row["answer_type"],
        "precision": int(row["precision"] or 0),
        "subset": row["metadata"]["task"],
    }
    picture = picture_of(row["decoded_image"])
    if row["question_type"] == "multi_choice":
        if answer not in choices:
            raise DataError(f"the answer {answer!r} is none of the choices")
        # MathVista's evaluation takes an answer that is a choice as that choice: of letters too.
        named = any(len(choice) == 1 and choice.isalpha() for choice in choices)
        letter = prompts.letter_of(list(choices).index(answer))
        return maker.short(
            row["pid"],
            picture,
            prompts.lettered(question, choices),
            answer,
            "mathvista",
            prompt="",
            target=answer if named else letter,
            choices=list(choices),
            **facts,
        )
    prompt = _request(row)
    return maker.short(row["pid"], picture, question, answer, "mathvista", prompt=prompt, **facts)


PREPARATIONS: tuple[Preparation, ...] = (
    hub_preparation(
        name="mmmu",
        category="knowledge",
        description="College questions of thirty subjects, with pictures within the text.",
        licence="Apache 2.0; pictures, see publisher",
        repository="MMMU/MMMU or lmms-lab/MMMU",
        # A folder a subject, or all in data/.
        files={split: (shards(split, "data", "*"),) for split in ("dev", "validation")},
        columns=(
            "id",
            "question",
            "options",
            "answer",
            "question_type",
            *(f"image_{number}" for number in range(1, _IMAGES + 1)),
        ),
        example=_mmmu,
    ),
    hub_preparation(
        name="mathvista",
        category="knowledge",
        description="Mathematics in figures, charts, plots and puzzles, gathered from 31 sets.",
        licence="CC BY-SA 4.0; pictures, see publisher",
        repository="AI4Math/MathVista",
        files={"testmini": (shards("testmini"),)},
        columns=(
            "pid",
            "question",
            "decoded_image",
            "choices",
            "unit",
            "precision",
            "answer",
            "question_type",
            "answer_type",
            "metadata",
        ),
        example=_mathvista,
    ),
)
