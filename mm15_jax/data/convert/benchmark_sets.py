"""Benchmarks of general questions and of reading: MME, SEED-Bench, POPE, LLaVA-W, MM-Vet and more.

Formats: the hub's copies that lmms-eval reads, and the publishers' own as LLaVA's evaluation reads
them: MME's folders of pictures with two lines of questions each, SEED-Bench.json, POPE's lines a
category, LLaVA-Bench's questions, contexts and answers of GPT-4, mm-vet.json and OCRBench.json.
"""

from __future__ import annotations

import functools
import json
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from mm15_jax.data.convert import benchmark_questions as questions
from mm15_jax.data.convert.hub import Row, RowExample, hub_preparation, or_hub, picture_of, shards
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import (
    FILE_NAMES,
    JSON_LINES,
    Reading,
    file_preparation,
    json_array,
    json_object,
    placed,
    uncounted,
)
from mm15_jax.data.preparation import BadRecord, DataError, Preparation, examples_of
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example


def _cell(maker: Maker, *names: str) -> dict[str, bytes]:
    """A picture beside its questions, as the hub has it within the row."""
    return {"bytes": maker.picture(*names).data}


def _mme_file(maker: Maker, name: str) -> Iterable[Example | BadRecord]:
    """A question and its answer a line, of SUBTASK/NAME.txt or SUBTASK/questions_answers_YN/."""
    folder = posixpath.dirname(name)
    subtask = posixpath.basename(folder.removesuffix("/questions_answers_YN"))
    if folder.endswith("/questions_answers_YN"):
        folder = f"{posixpath.dirname(folder)}/images"
    stem = posixpath.basename(name).removesuffix(".txt")
    cell = _cell(maker, f"{folder}/{stem}.jpg", f"{folder}/{stem}.png")
    lines = maker.source.read(name).decode("utf-8").splitlines()

    def example(line: str) -> Example:
        question, tab, answer = line.partition("\t")
        if not tab:
            raise DataError("a line without a tab between question and answer")
        row = {"question": question, "answer": answer, "category": subtask, "image": cell}
        return questions.mme(maker, name, {**row, "question_id": stem})

    pairs = ((f"{name}:{n}", line) for n, line in enumerate(lines, 1) if line.strip())
    return examples_of(pairs, example)


def _seed_row(maker: Maker, place: str, row: Row) -> Iterator[Example]:
    del place
    if row["data_type"] != "image":
        return
    pictures = row["image"]
    if len(pictures) != 1:
        raise DataError(f"{len(pictures)} pictures, expected 1")
    yield questions.seed(maker, row, picture_of(pictures[0]))


def _seed_record(maker: Maker, record: Row) -> Iterator[Example]:
    if record["data_type"] == "image":
        yield questions.seed(maker, record, maker.picture(f"SEED-Bench-image/{record['data_id']}"))


def _pope_record(maker: Maker, record: tuple[str, Row]) -> Example:
    place, line = record
    name = line["image"]
    row = {
        "question_id": line["question_id"],
        "question": line["text"],
        "answer": line["label"],
        "category": place.partition(".json")[0].rpartition("_")[2],
        "image": _cell(maker, f"val2014/{name}", name),
    }
    return questions.pope(maker, place, row)


@functools.lru_cache(maxsize=4)
def _lines_by(source: Source, file: str, key: str) -> dict[Any, Row]:
    lines = source.read(file).decode("utf-8").split("\n")
    return {record[key]: record for record in map(json.loads, filter(None, lines))}


def _llava_w_record(maker: Maker, record: tuple[str, Row]) -> Example:
    place, line = record
    answers = _lines_by(maker.source, "answers_gpt4.jsonl", "question_id")
    context = _lines_by(maker.source, "context.jsonl", "image")
    if line["question_id"] not in answers or line["image"] not in context:
        raise DataError(f"question {line['question_id']} has no answer of GPT-4's or no context")
    row = {
        "question_id": line["question_id"],
        "question": line["text"],
        "category": line["category"],
        "caption": context[line["image"]]["caption"],
        "gpt_answer": answers[line["question_id"]]["text"],
        "image": _cell(maker, f"images/{line['image']}"),
    }
    return questions.llava_w(maker, place, row)


def _mm_vet_record(maker: Maker, record: tuple[str, Row]) -> Example:
    key, facts = record
    image = _cell(maker, f"images/{facts['imagename']}")
    return questions.mm_vet(maker, key, {**facts, "question_id": key, "image": image})


def _ocrbench_record(maker: Maker, record: tuple[str, Row]) -> Example:
    place, facts = record
    name = facts["image_path"]
    row = {
        "dataset": facts["dataset_name"],
        "question": facts["question"],
        "question_type": facts["type"],
        "answer": facts["answers"],
        "image": _cell(maker, f"OCRBench_Images/{name}", name),
    }
    return questions.ocrbench(maker, place, row)


def _benchmark(
    name: str,
    category: str,
    description: str,
    licence: str,
    *,
    layout: str,
    files: Sequence[str],
    reading: Reading,
    record: Callable[[Maker, Any], Example | Iterable[Example | BadRecord]],
    repository: str,
    columns: Sequence[str],
    row: RowExample,
    shard: str = "test",
    filters: bool = False,
    beside: Sequence[str] = (),
) -> Preparation:
    """A split "test", from the publisher's files or the hub's copy."""
    own = file_preparation(
        name=name,
        category=category,
        description=description,
        licence=licence,
        format="benchmark",
        layout=layout,
        files={"test": files},
        reading=reading,
        example=record,
        beside=beside,
    )
    return or_hub(
        own,
        repository=repository,
        files={"test": (shards(shard),)},
        columns=columns,
        example=row,
        filters=filters,
    )


_QUESTION = ("question", "answer", "image")
_SEED_ROW = (
    "question_id", "question", "choice_a", "choice_b", "choice_c", "choice_d", "answer",
    "data_type", "question_type_id", "image",
)  # fmt: skip

PREPARATIONS: tuple[Preparation, ...] = (
    _benchmark(
        "mme",
        "general",
        "Yes or no, two questions a picture, of perception and cognition.",
        "see publisher (BradyFU/Awesome-Multimodal-Large-Language-Models)",
        layout="of MME_Benchmark_release_version: a folder a subtask, of pictures and .txt files",
        files=("*/*.txt", "*/questions_answers_YN/*.txt"),
        reading=uncounted(FILE_NAMES),
        record=_mme_file,
        repository="lmms-lab/MME",
        columns=("question_id", "category", *_QUESTION),
        row=questions.mme,
    ),
    _benchmark(
        "seed_img",
        "general",
        "Multiple choice on pictures, nine ways to understand them (SEED-Bench).",
        "CC BY-NC 4.0; pictures CC3M's, see publisher",
        layout="of SEED-Bench: SEED-Bench.json and SEED-Bench-image/",
        files=("SEED-Bench.json",),
        reading=uncounted(json_array("questions")),
        record=_seed_record,
        repository="lmms-lab/SEED-Bench",
        columns=_SEED_ROW,
        row=_seed_row,
        filters=True,
    ),
    _benchmark(
        "pope",
        "general",
        "Is an object in the photo? Absent ones are drawn in three ways.",
        "MIT; pictures COCO's, see publisher",
        layout="of POPE: coco_pope_random.json, coco_pope_popular.json,"
        " coco_pope_adversarial.json, also in coco/ or output/coco/, and COCO's val2014/",
        files=tuple(
            "|".join(f"{folder}coco_pope_{name}.json" for folder in ("", "coco/", "output/coco/"))
            for name in questions.POPE
        ),
        reading=placed(JSON_LINES),
        record=_pope_record,
        repository="lmms-lab/POPE",
        columns=("question_id", "category", *_QUESTION),
        row=questions.pope,
    ),
    _benchmark(
        "llava_w",
        "general",
        "Sixty open questions on 24 pictures of many kinds (LLaVA-Bench in the wild).",
        "see publisher (liuhaotian/llava-bench-in-the-wild)",
        layout="of llava-bench-in-the-wild: questions.jsonl, context.jsonl, answers_gpt4.jsonl and"
        " images/",
        files=("questions.jsonl",),
        reading=placed(JSON_LINES),
        record=_llava_w_record,
        beside=("answers_gpt4.jsonl", "context.jsonl"),
        repository="lmms-lab/llava-bench-in-the-wild",
        columns=("question_id", "question", "image", "caption", "gpt_answer", "category"),
        row=questions.llava_w,
        shard="train",  # the copy calls its only split so
    ),
    _benchmark(
        "mm_vet",
        "general",
        "Open questions that need several capabilities at once.",
        "CC BY-NC 4.0; pictures, see publisher (yuweihao/MM-Vet)",
        layout="of MM-Vet: mm-vet.json and images/",
        files=("mm-vet.json",),
        reading=json_object(),
        record=_mm_vet_record,
        repository="lmms-lab/MMVet",
        columns=("question_id", "capability", *_QUESTION),
        row=questions.mm_vet,
    ),
    hub_preparation(
        name="realworldqa",
        category="general",
        description="Questions on photos of the world, many of them taken from vehicles.",
        licence="CC BY-ND 4.0",
        repository="xai-org/RealworldQA or lmms-lab/RealWorldQA",
        files={"test": (shards("test"),)},
        columns=_QUESTION,
        example=questions.realworldqa,
    ),
    _benchmark(
        "ocrbench",
        "text_rich",
        "A thousand questions of reading: words, scenes, documents, formulas.",
        "see publisher (Yuliang-Liu/MultimodalOCR)",
        layout="of OCRBench: OCRBench.json, also in OCRBench/, and OCRBench_Images/",
        files=("OCRBench.json|OCRBench/OCRBench.json",),
        reading=placed(json_array()),
        record=_ocrbench_record,
        repository="echo840/OCRBench",
        columns=("dataset", "question_type", *_QUESTION),
        row=questions.ocrbench,
    ),
)
