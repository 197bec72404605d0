"""Answers on disk: one JSON line each, so that an evaluation that was stopped goes on."""

from __future__ import annotations

import hashlib
import json
import math
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import simplejpeg

from mm15_jax.data.records import encode_example
from mm15_jax.data.storage import write_atomically
from mm15_jax.evaluation.metrics import JUDGED, references_of, score_answer
from mm15_jax.inputs.example import Example, Image, Text, Video
from mm15_jax.inputs.video import load_frames, plan_frames

_SUFFIXES = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF8": "gif",
    b"RIFF": "webp",
    b"BM": "bmp",
}
_SHEET_FRAMES, _SHEET_SIDE = 9, 256  # of a clip in the report: frames, pixels of each


# What a row keeps of an example's metadata, where it has it: for aggregates, judges and reports.
_COPIED = ("box", "boxes", "choices", "group", "judge", "kind", "subset")


def digest(example: Example) -> str:
    """16 hex digits of everything in an example: another example's answer must not be kept."""
    return hashlib.sha256(encode_example(example)).hexdigest()[:16]


def question_of(example: Example) -> str:
    """What was asked: the text before the first assistant's, with "[image]" and "[video]" in it."""
    parts = []
    for segment in example.segments:
        if isinstance(segment, Image):
            parts.append("[image]")
        elif isinstance(segment, Video):
            parts.append("[video]")
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
    """Copies an example's pictures, as encoded, and a sheet of some frames of each clip.

    Returns:
      The names of the files.
    """
    names = []
    shown = [segment for segment in example.segments if isinstance(segment, Image | Video)]
    for number, segment in enumerate(shown):
        data = _sheet(segment) if isinstance(segment, Video) else segment.data
        suffix = next((s for head, s in _SUFFIXES.items() if data.startswith(head)), "img")
        names.append(f"{index:05d}_{number}.{suffix}")
        write_atomically(directory / names[-1], data)
    return names


def _sheet(clip: Video) -> bytes:
    """Frames of a clip side by side in rows, row by row in the order of time; JPEG."""
    side = min(max(clip.height, clip.width), _SHEET_SIDE)
    scale = side / max(clip.height, clip.width)
    height, width = max(1, round(clip.height * scale)), max(1, round(clip.width * scale))
    frames = load_frames(clip, plan_frames(clip, wanted=_SHEET_FRAMES, resolution=side))
    columns = math.ceil(math.sqrt(len(frames)))
    rows = -(-len(frames) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for number, (frame,) in enumerate(frames):
        top, left = number // columns * height, number % columns * width
        sheet[top : top + height, left : left + width] = frame[:height, :width]
    return simplejpeg.encode_jpeg(sheet, quality=88, colorsubsampling="444")
