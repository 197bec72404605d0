"""AI2D: questions on diagrams, a file a picture, some of them about letters drawn on it.

Format: as read by Molmo's `hf_datasets/ai2d` and big_vision's `datasets/ai2d`: questions/N.png.json
{"imageName", "questions": {text: {"abcLabel", "answerTexts", "correctAnswer", "questionId"}}} and
annotations/N.png.json {"text": {id: {"rectangle": [[x1, y1], [x2, y2]], "replacementText"}}}. Where
abcLabel is true, the texts of the diagram are covered by their letters. Pictures whose number is in
ai2d_test_ids.csv are of the test split. Its questions are all lettered, as evaluators ask them;
training lists options that are letters of the diagram as they are. lmms-lab's copy of the test
split is read too.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterable
from typing import Any

import PIL.Image
import PIL.ImageDraw

from mm15_jax.data.convert.hub import Row, or_hub, picture_of, shards
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import FILE_NAMES, file_preparation
from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.convert.table_picture import label_font
from mm15_jax.data.preparation import BadRecord, DataError, Preparation, examples_of
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image

_FILL, _INK = (255, 255, 255), (0, 0, 0)
_PRINT = (8, 22)  # smallest and largest print of a letter, in pixels
_NO_OPTION = "{}"  # stands for nothing in a list of answers


@functools.lru_cache(maxsize=1)
def _test_ids(source: Source) -> frozenset[str]:
    lines = source.read("ai2d_test_ids.csv").decode().split()
    return frozenset(line.strip(",") for line in lines)


def _folder(name: str) -> str:
    """Of the published tree: "ai2d/" or nothing."""
    return name[: name.index("questions/")]


def with_letters(image: Image, texts: dict[str, Any]) -> Image:
    """The diagram with each of its texts covered by a letter.

    Raises:
      DataError: if it cannot be decoded.
    """
    try:
        with PIL.Image.open(io.BytesIO(image.data)) as picture:
            sheet = picture.convert("RGB")
    except OSError as error:
        raise DataError(f"not a readable picture ({error})") from error
    draw = PIL.ImageDraw.Draw(sheet)
    for text in texts.values():
        (x1, y1), (x2, y2) = text["rectangle"]
        if x1 >= x2 or y1 >= y2:
            continue  # a few have no area; no right answer is among them
        draw.rectangle((x1, y1, x2, y2), _FILL, _INK)
        size = min(max(y2 - y1, _PRINT[0]), _PRINT[1])
        place = ((x1 + x2) / 2, (y1 + y2) / 2)
        draw.text(place, text["replacementText"], _INK, label_font(size), anchor="mm")
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return image_of(buffer.getvalue())


def _ai2d(maker: Maker, name: str) -> Iterable[Example | BadRecord]:
    record = json.loads(maker.source.read(name))
    image, questions = record["imageName"], record["questions"]
    is_test = image.removesuffix(".png") in _test_ids(maker.source)
    if is_test != (maker.split == "test") or not questions:
        return ()
    folder = _folder(name)
    plain = maker.picture(f"{folder}images/{image}")
    lettered = plain
    if any(facts["abcLabel"] for facts in questions.values()):
        annotation = json.loads(maker.source.read(f"{folder}annotations/{image}.json"))
        lettered = with_letters(plain, annotation["text"])

    def example(question: tuple[str, dict]) -> Example:
        text, facts = question
        texts = facts["answerTexts"]
        choices = [text for text in dict.fromkeys(texts) if text != _NO_OPTION]
        picture = lettered if facts["abcLabel"] else plain
        correct = choices.index(texts[facts["correctAnswer"]])
        return maker.choice(
            facts["questionId"], picture, text, choices, correct, always_lettered=is_test
        )

    return examples_of(
        ((facts["questionId"], (text, facts)) for text, facts in questions.items()), example
    )


def _ai2d_row(maker: Maker, place: str, row: Row) -> Example:
    picture, options = picture_of(row["image"]), row["options"]
    correct = int(row["answer"])
    return maker.choice(place, picture, row["question"], options, correct, always_lettered=True)


PREPARATIONS: tuple[Preparation, ...] = (
    or_hub(
        file_preparation(
            name="ai2d",
            category="knowledge",
            description="Multiple choice on diagrams of school science.",
            licence="see publisher (allenai.org/data/diagrams)",
            format="ai2d",
            layout="the folder ai2d/ with questions/, annotations/ and images/, and"
            " ai2d_test_ids.csv",
            files=dict.fromkeys(("train", "test"), ("ai2d/questions/*.json|questions/*.json",)),
            reading=FILE_NAMES,
            example=_ai2d,
            beside=("ai2d_test_ids.csv",),
            version=2,
        ),
        repository="lmms-lab/ai2d",
        files={"test": (shards("test"),)},
        columns=("question", "options", "answer", "image"),
        example=_ai2d_row,
    ),
)
