"""Answers on disk: one JSON line each, so that an evaluation that was stopped goes on."""

from __future__ import annotations

import hashlib
import io
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from mm15_jax.data.records import encode_example
from mm15_jax.data.storage import write_atomically
from mm15_jax.evaluation.metrics import JUDGED, references_of, score_answer
from mm15_jax.infer.contact_sheet import contact_sheet
from mm15_jax.inputs.example import Example, Image, Text, Video

_SUFFIXES = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF8": "gif",
    b"RIFF": "webp",
    b"BM": "bmp",
}
# Frames of a clip in the report: of the 24 that a model sees, every third; of nano's eight, all.
_SHEET_FRAMES = 8
_DRAWN = 128  # pixels; smaller clips are drawn ones, which JPEG would smear

# What a row keeps of an example's metadata, where it has it: for aggregates, judges and reports.
_COPIED = ("box", "boxes", "choices", "group", "judge", "kind", "subset")


def digest(example: Example) -> str:
    """16 hex digits of everything in an example: another example's answer must not be kept."""
    return hashlib.sha256(encode_example(example)).hexdigest()[:16]


def question_of(example: Example) -> tuple[str, str]:
    """What was asked, with "[image]" and "[video]" in it, and what was said before.

    Returns:
      The text of the turn whose answer is wanted; and the turns before it, with the answers that
      were given, each "question > answer" in a line of its own: "" where it is the first.
    """
    texts = [segment for segment in example.segments if isinstance(segment, Text)]
    wanted = next((text for text in texts if text.loss), None)
    before: list[str] = []
    parts: list[str] = []
    for segment in example.segments:
        if isinstance(segment, Image):
            parts.append("[image]")
        elif isinstance(segment, Video):
            parts.append("[video]")
        elif segment is wanted or (segment.role == "assistant" and wanted is None):
            break
        elif segment.role == "assistant":
            before.append(f"{_joined(parts)} > {segment.text.strip()}")
            parts = []
        else:
            parts.append(segment.text.strip())
    return _joined(parts), "\n".join(before)


def _joined(parts: Iterable[str]) -> str:
    return " ".join(part for part in parts if part)


def make_row(
    benchmark: str, index: int, example: Example, answer: str, model: str
) -> dict[str, Any]:
    """One line of an answers file, with the score: None of an answer that a judge will read."""
    metric = example.metadata["metric"]
    sizes = [[s.height, s.width] for s in example.segments if isinstance(s, Image)]
    question, before = question_of(example)
    return {
        "benchmark": benchmark,
        "index": index,
        "key": example.key,
        "question": question,
        **({"before": before} if before else {}),
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


def save_pictures(directory: pathlib.Path, question: int, example: Example) -> list[str]:
    """Copies an example's pictures, as encoded, and a sheet of some frames of each clip.

    Args:
      directory: of the benchmark's pictures.
      question: its number among the benchmark's, which names the files.
      example: whose pictures they are.

    Returns:
      The names of the files.
    """
    names = []
    shown = [segment for segment in example.segments if isinstance(segment, Image | Video)]
    for number, segment in enumerate(shown):
        data = _sheet(segment) if isinstance(segment, Video) else segment.data
        suffix = next((s for head, s in _SUFFIXES.items() if data.startswith(head)), "img")
        names.append(f"{question:05d}_{number}.{suffix}")
        write_atomically(directory / names[-1], data)
    return names


def _sheet(clip: Video) -> bytes:
    """Some frames of a clip; PNG where they are drawn, else JPEG."""
    sheet = contact_sheet(clip, _SHEET_FRAMES)
    file = io.BytesIO()
    if max(clip.height, clip.width) < _DRAWN:
        sheet.save(file, "PNG", optimize=True)
    else:
        sheet.save(file, "JPEG", quality=88, subsampling=0)
    return file.getvalue()
