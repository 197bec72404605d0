"""MVBench: 20 tasks on short videos, as pictures: the paper asks them of a model without video.

Format: OpenGVLab/MVBench on the Hugging Face hub. json/TASK.json is a list of {video, question,
candidates, answer}, for some tasks with the `start` and `end` of what is asked about, in seconds. A
video is read as a folder of its frames, in the order of their names: frames/TASK/VIDEO/ without the
video's suffix, or, as published for the task from TVQA, video/tvqa/frames_fps3_hq/VIDEO/ (or
tvqa/frames_fps3_hq/), three frames a second counted from 1, of which `start` and `end` choose.
Other folders hold the frames of the segment alone.

`FRAMES` frames are taken evenly, each the middle of its interval. The prompt is that of lmms-eval's
task `mvbench`.
"""

from __future__ import annotations

import functools
import glob
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

from mm15_jax.data.convert.json_files import load_json, table_parts
from mm15_jax.data.convert.multi_image_benchmarks import lettered_question
from mm15_jax.data.convert.prompts import LETTERS
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import Reading, file_preparation
from mm15_jax.data.preparation import DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

FRAMES = 8  # the paper does not say; MVBench's own baselines take 8 or 16
_TVQA = ("video/tvqa/frames_fps3_hq", "tvqa/frames_fps3_hq")
_TVQA_RATE = 3.0  # frames a second
_PICTURES = (".jpg", ".jpeg", ".png")
_BEST = "Only give the best option."


def evenly(count: int, wanted: int) -> list[int]:
    """Places of `wanted` of `count` frames, the middles of equal intervals; all if they are few."""
    if count <= wanted:
        return list(range(count))
    return [(2 * i + 1) * count // (2 * wanted) for i in range(wanted)]


def _parts(source: Source, files: Sequence[str]) -> list[Part]:
    return [
        part
        for file in files
        for part in table_parts(file, len(_records_of(source, file)), (file,), 64)
    ]


@functools.lru_cache(maxsize=32)
def _records_of(source: Source, file: str) -> list[Any]:
    records = load_json(source, file)
    if not isinstance(records, list):
        raise ValueError(f"{file} in {source.url} is no list of questions")
    return records


def _records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    (file,) = part.files
    task = posixpath.splitext(posixpath.basename(file))[0]
    chosen = _records_of(source, file)[part.start : part.stop]
    for number, record in enumerate(chosen, part.start):
        yield f"{file}#{number}", (task, number, record)


def _frames(source: Source, task: str, record: dict) -> list[str]:
    """Names of the frames of what is asked about."""
    stem = posixpath.splitext(record["video"])[0]
    for folder in (f"frames/{task}/{stem}", *(f"{root}/{record['video']}" for root in _TVQA)):
        names = [
            n for n in source.glob(f"{glob.escape(folder)}/*") if n.lower().endswith(_PICTURES)
        ]
        if not names:
            continue
        names.sort()
        start, end = record.get("start"), record.get("end")
        if folder.startswith(_TVQA) and start is not None and end is not None:
            first = max(int(start * _TVQA_RATE), 0)
            names = names[first : max(int(end * _TVQA_RATE), first + 1)]
            if not names:
                raise DataError(f"no frames from second {start} to {end} of {folder}")
        return names
    raise DataError(
        f"no frames of the video {record['video']!r}: expected pictures in frames/{task}/{stem}/"
    )


def _example(maker: Maker, item: tuple[str, int, dict]) -> Example:
    task, number, record = item
    options = [str(option) for option in record["candidates"]]
    if options.count(str(record["answer"])) != 1:
        raise DataError(f"the answer {record['answer']!r} is not one of {options}")
    names = _frames(maker.source, task, record)
    listed = "".join(f"({LETTERS[i]}) {option}\n" for i, option in enumerate(options))
    return lettered_question(
        maker,
        f"{task}/{number}",
        [maker.picture(names[place]) for place in evenly(len(names), FRAMES)],
        f"Question:{record['question']}\nOption:\n{listed}{_BEST}\n",
        options,
        LETTERS[options.index(str(record["answer"]))],
        subset=task,
    )


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="mvbench",
        category="multi_image",
        description="MVBench: 20 tasks on short videos, given as frames.",
        licence="MIT; videos: see the publishers of its sources",
        format="mvbench",
        layout="json/*.json of OpenGVLab/MVBench, and the frames of each video in"
        " frames/TASK/VIDEO/ (TVQA's as published, in video/tvqa/frames_fps3_hq/)",
        files={"test": ("json/*.json|*.json",)},
        reading=Reading(_parts, _records),
        example=_example,
    ),
)
