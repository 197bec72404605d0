"""VQAv2 and OK-VQA: a file of questions and a file of annotations, joined by question_id.

Format: as read by big_vision's `datasets/{vqa,okvqa}` and LAVIS. Pictures are COCO's of 2014. All
questions on a picture are one example of training, as in LLaVA-1.5's mixture.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mm15_jax.data.convert.json_files import array_parts, array_records
from mm15_jax.data.convert.json_stream import array_elements
from mm15_jax.data.convert.questions import Maker, most_common
from mm15_jax.data.convert.reading import RECORDS, Reading, file_preparation, grouped_in_training
from mm15_jax.data.preparation import DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example


class _Annotation(NamedTuple):
    target: str  # what is trained on
    answers: tuple[str, ...]  # of ten people


def _annotation(record: dict) -> _Annotation:
    answers = tuple(str(given["answer"]) for given in record["answers"])
    target = record.get("multiple_choice_answer")
    if not target:  # OK-VQA: "answer" is stemmed, "raw_answer" is what a person wrote
        stem = most_common(answers)
        raw = [a.get("raw_answer") or stem for a in record["answers"] if a["answer"] == stem]
        target = most_common(raw)
    return _Annotation(target, answers)


@functools.lru_cache(maxsize=1)
def _annotations(source: Source, file: str) -> dict[int, _Annotation]:
    """By question_id; a tenth of what the file's objects would take."""
    strings: dict[str, str] = {}
    found = {}
    for _, record in array_elements(source, file, ("annotations",)):
        target, answers = _annotation(record)
        shared = tuple(strings.setdefault(answer, answer) for answer in answers)
        found[record["question_id"]] = _Annotation(strings.setdefault(target, target), shared)
    return found


def _parts(source: Source, files: Sequence[str]) -> list[Part]:
    parts = array_parts(source, files[0], key="questions", per_part=RECORDS)
    return [Part(part.name, part.records, tuple(files), part.start, part.stop) for part in parts]


def _records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    annotations = _annotations(source, part.files[1])
    for place, question in array_records(source, part):
        annotation = annotations.get(question.get("question_id"))
        if annotation is None:
            identity = question.get("question_id")
            yield place, DataError(f"question {identity!r} has no annotation")
        else:
            yield place, (question, annotation)


_JOINED = Reading(_parts, _records)


def _pair(record: Any) -> tuple[str, Any]:
    question, annotation = record
    return str(question["image_id"]), (question["question"], annotation.target)


def _example(maker: Maker, record: tuple) -> Example:
    subset = {"train": "train2014", "validation": "val2014"}[maker.split]
    if maker.trains:
        image_id, turns = record
        key = int(image_id)
    else:
        question, annotation = record
        key = int(question["image_id"])
    name = f"{subset}/COCO_{subset}_{key:012d}.jpg"
    picture = maker.picture(name, f"images/{name}")
    if maker.trains:
        return maker.dialogue(f"COCO_{subset}_{key:012d}", picture, turns)
    return maker.short(
        f"COCO_{subset}_{key:012d}/{question['question_id']}",
        picture,
        question["question"],
        annotation.answers,
        "vqa_v2_accuracy",
        target=annotation.target,
    )


def _preparation(name: str, description: str, prefix: str) -> Preparation:
    files = {
        split: (
            f"{prefix}OpenEnded_mscoco_{subset}_questions.json",
            f"{prefix}mscoco_{subset}_annotations.json",
        )
        for split, subset in (("train", "train2014"), ("validation", "val2014"))
    }
    return file_preparation(
        name=name,
        category="general",
        description=description,
        licence="questions and answers CC BY 4.0; pictures COCO's, see publisher",
        format="vqa",
        layout=f"{files['train'][0]}, {files['train'][1]}, the same of val2014, and COCO's folders"
        " train2014/ and val2014/ of pictures",
        files=files,
        reading=grouped_in_training(_JOINED, _pair),
        together=True,
        example=_example,
    )


PREPARATIONS: tuple[Preparation, ...] = (
    _preparation("vqav2", "Questions on photos of COCO, each answered by ten people.", "v2_"),
    _preparation("okvqa", "Questions on photos of COCO that need knowledge of the world.", ""),
)
