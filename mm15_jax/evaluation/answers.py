"""Answers on disk: one JSON line each, so that an evaluation that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from mm15_jax.data.records import encode_example
from mm15_jax.data.storage import write_atomically
from mm15_jax.evaluation.metrics import JUDGED, references_of, score_answer
from mm15_jax.inputs.example import Example, Image, Text

_SUFFIXES = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF8": "gif",
    b"RIFF": "webp",
    b"BM": "bmp",
}


# What a row keeps of an example's metadata, where it has it: for aggregates, judges and reports.
_COPIED = ("box", "boxes", "choices", "group", "judge", "kind", "subset")


def digest(example: Example) -> str:
    """16 hex digits of everything in an example: another example's answer must not be kept."""
    return hashlib.sha256(encode_example(example)).hexdigest()[:16]


def question_of(example: Example) -> str:
    """What was asked: the text before the first assistant's, pictures as "[image]"."""
    parts = []
    for segment in example.segments:
        if isinstance(segment, Image):
            parts.append("[image]")
        elif isinstance(segment, Text):
            if segment.role == "assistant" or segment.loss:
                break
            parts.append(segment.text.strip())
    return " ".join(part for part in parts if part)


def make_row(
    benchmark: str, index: int, example: Example, answer: str, model: str
) -> dict[str, Any]:
    """One line of an answers file, with the score: None of an answer that a judge will read."""
    metric = example.metadata["metric"]
    sizes = [[s.height, s.width] for s in example.segments if isinstance(s, Image)]
    return {
        "benchmark": benchmark,
        "index": index,
        "key": example.key,
        "question": question_of(example),
        "answer": answer,
        "truth": references_of(example.metadata),
        "score": None if metric == JUDGED else score_answer(answer, example),
        "metric": metric,
        "sizes": sizes,
        **{key: example.metadata[key] for key in _COPIED if key in example.metadata},
        "image": int(example.metadata.get("image", 0)),
        "model": model,
        "example": digest(example),
    }


def write_rows(path: pathlib.Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a whole answers file, in one step."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(path, text.encode())


def save_pictures(directory: pathlib.Path, index: int, example: Example) -> list[str]:
    """Copies an example's pictures, as encoded; returns the names of the files."""
    names = []
    images = [segment for segment in example.segments if isinstance(segment, Image)]
    for number, image in enumerate(images):
        suffix = next((s for head, s in _SUFFIXES.items() if image.data.startswith(head)), "img")
        names.append(f"{index:05d}_{number}.{suffix}")
        write_atomically(directory / names[-1], image.data)
    return names
