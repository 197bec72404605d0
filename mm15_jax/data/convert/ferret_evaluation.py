"""Ferret's own evaluations: names of things in boxes and at points (LVIS-Ref), and Ferret-Bench.

Formats, of github.com/apple/ml-ferret:

* LVIS-Ref, as read by ferret/eval/model_lvis.py: lines of {id, image_path, width, height,
  sample_point (pixels), bbox_norm (x1, y1, x2, y2 from 0 to 1), name, synonyms, neg_class}. The
  question is its own: which of two names, the true one first in every other question. Names are
  written with spaces, as eval_lvis.py compares them.
* Ferret-Bench, as read by model_gpt4eval_3newclass.py and eval_gpt_review_3newclass.py: a folder a
  category with lines of {question_id, image, category, text} in question.jsonl, context.jsonl (what
  a judge reads instead of the picture) and answer.jsonl (GPT-4's answer, the measure). Also the
  copy on the Hugging Face hub, as lmms-eval's task `ferret` reads it. Boxes in questions are
  fractions.

Pictures are COCO's val2017. Places are written as in all our data (`inputs/coordinates.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from mm15_jax.data.convert import boxes
from mm15_jax.data.convert.hub import Row, or_hub, picture_of, shards
from mm15_jax.data.convert.json_files import lines_parts
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import JSON_LINES, Reading, file_preparation
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.coordinates import format_box, format_point
from mm15_jax.inputs.example import Example, Image

LVIS_QUESTION = "Is the object {place} of the image a {first} or a {second}?"
CATEGORIES = ("refer_desc", "refer_reason", "ground_conv")
_FOLDERS = ("val2017", "cocoval2017", "coco/val2017", "images/val2017")
_BENCH = "ferret/eval/ferret_gpt4_data/"
_BOX = re.compile(r"\[\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*,\s*([\d.]+)\s*\]")


def _coco(maker: Maker, name: str) -> Image:
    base = name.rpartition("/")[2]
    return maker.picture(*(f"{folder}/{base}" for folder in _FOLDERS))


# ---- LVIS-Ref


def _one_part(source: Source, files: Sequence[str]) -> list[Part]:
    return lines_parts(source, files, 2**62)


def _numbered(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    """Records beside their number: every other question names the true thing first."""
    for number, (place, record) in enumerate(JSON_LINES.records(source, part)):
        yield place, record if isinstance(record, DataError) else (number, record)


def clean_names(name: str, synonyms: Sequence[str]) -> list[str]:
    """The names that are right, as eval_lvis.py reads them: synonym "bow_(weapon)" is two.

    Raises:
      DataError: if there is none.
    """
    found = [name.replace("_", " ").strip()]
    for synonym in synonyms:
        found += [part.replace("_", " ").strip(" )") for part in synonym.split("(")]
    names = list(dict.fromkeys(text for text in found if text))
    if not names:
        raise DataError("a thing without a name")
    return names


def _lvis(maker: Maker, item: tuple[int, dict]) -> Iterator[Example | BadRecord]:
    number, record = item
    names = clean_names(record["name"], record["synonyms"])
    wrong = record["neg_class"].replace("_", " ").strip()
    image = _coco(maker, record["image_path"])
    boxes.check_size(image, record["width"], record["height"])
    x1, y1, x2, y2 = record["bbox_norm"]
    size = {"width": image.width, "height": image.height}
    box = boxes.checked(
        (x1 * image.width, y1 * image.height, x2 * image.width, y2 * image.height), image
    )
    x, y = record["sample_point"]
    if not (0 <= x <= image.width and 0 <= y <= image.height):
        raise DataError(f"the point ({x:g}, {y:g}) is outside of its picture")
    places = {"box": format_box(box, **size), "point": format_point((x, y), **size)}
    first, second = (names[0], wrong) if number % 2 == 0 else (wrong, names[0])
    for kind, place in places.items():
        yield maker.example(
            f"{record['id']}:{kind}",
            image,
            [(LVIS_QUESTION.format(place=place, first=first, second=second), names[0])],
            answer=names,
            metric="lvis_name",
            subset=kind,
            kind=kind,
            box=list(box),
        )


# ---- Ferret-Bench


def _with_our_boxes(text: str, image: Image) -> str:
    def place(match: re.Match[str]) -> str:
        x1, y1, x2, y2 = map(float, match.groups())
        box = (x1 * image.width, y1 * image.height, x2 * image.width, y2 * image.height)
        return format_box(box, width=image.width, height=image.height)

    return _BOX.sub(place, text)


def _bench_question(
    maker: Maker, number: Any, category: str, image: Image, question: str, context: str, answer: str
) -> Example:
    if category not in CATEGORIES:
        raise DataError(f"the category {category!r}, expected one of {', '.join(CATEGORIES)}")
    if not context.strip():
        raise DataError("a question without its context")
    return maker.example(
        f"{category}/{number}",
        image,
        [(_with_our_boxes(question, image), _with_our_boxes(answer, image))],
        answer=answer,
        metric="judge",
        subset=category,
        judge={
            "category": category,
            "context": context,
            "question": question,
            "reference": answer,
        },
    )


def _bench_parts(source: Source, files: Sequence[str]) -> list[Part]:
    parts = []
    for file in files:
        beside = [f"{file.removesuffix('question.jsonl')}{kind}.jsonl" for kind in _BESIDE]
        absent = [name for name in beside if not source.exists(name)]
        if absent:
            raise ValueError(f"{source.url} has {file} without {', '.join(absent)}")
        parts.append(Part(file, None, (file, *beside), 0, source.size(file)))
    return parts


_BESIDE = ("context", "answer")


def _bench_records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    """Questions with their context and their answer, joined by number."""
    tables = []
    for file in part.files[1:]:
        (whole,) = lines_parts(source, [file], 2**62)
        records = (record for _, record in JSON_LINES.records(source, whole))
        tables.append({r["question_id"]: r for r in records if not isinstance(r, DataError)})
    for place, question in JSON_LINES.records(source, part):
        if isinstance(question, DataError):
            yield place, question
            continue
        found = [table.get(question.get("question_id")) for table in tables]
        if None in found:
            missing = _BESIDE[found.index(None)]
            number = question.get("question_id")
            yield place, DataError(f"question {number!r} has no line in {missing}.jsonl")
        else:
            yield place, (question, *found)


def _bench(maker: Maker, record: tuple[dict, dict, dict]) -> Example:
    question, context, answer = record
    return _bench_question(
        maker,
        question["question_id"],
        question["category"],
        _coco(maker, question["image"]),
        question["text"],
        context["text"],
        answer["text"],
    )


def _hub_bench(maker: Maker, place: str, row: Row) -> Example:
    del place
    context = row["context"]
    return _bench_question(
        maker,
        row["question_id"],
        row["category"],
        picture_of(row["image"]),
        row["question"],
        "\n".join(context) if isinstance(context, list) else context,
        row["gpt_answer"],
    )


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="lvis_ref",
        category="refer_ground",
        description="LVIS-Ref: which of two names is that of what is in a box, or at a point.",
        licence="CC BY-NC 4.0 (ml-ferret); pictures COCO's, see publisher",
        format="ferret_evaluation",
        layout="lvis_eval.jsonl of ml-ferret's evaluation, and COCO's val2017/",
        files={"test": ("lvis_eval.jsonl|dataset/lvis/lvis_eval.jsonl",)},
        reading=Reading(_one_part, _numbered),
        example=_lvis,
    ),
    or_hub(
        file_preparation(
            name="ferret_bench",
            category="refer_ground",
            description="Ferret-Bench: questions on regions and grounded answers, that GPT judges.",
            licence="CC BY-NC 4.0 (ml-ferret); pictures COCO's, see publisher",
            format="ferret_evaluation",
            layout=f"{_BENCH} of ml-ferret (refer_caption/, refer_reason/ and ground_conv/, each"
            " with question.jsonl, context.jsonl and answer.jsonl), and COCO's val2017/",
            files={
                "test": tuple(
                    "|".join(
                        f"{root}{folder}/question.jsonl"
                        for folder in folders
                        for root in (_BENCH, "", "ferret_gpt4_data/")
                    )
                    for folders in (
                        ("refer_desc", "refer_caption"),
                        ("refer_reason",),
                        ("ground_conv",),
                    )
                )
            },
            reading=Reading(_bench_parts, _bench_records),
            example=_bench,
        ),
        repository="lmms-lab/Ferret-Bench",
        files={"test": (shards("test"),)},
        columns=("question_id", "image", "question", "gpt_answer", "context", "category"),
        example=_hub_bench,
    ),
)
