"""DocDownstream-1.0: ten text-rich data sets as one, with the pictures that UReader made.

Format: as read by mPLUG-DocOwl 1.5. train.jsonl and val.jsonl hold all data sets, and
test/NAME_test.jsonl one; a line is {"image": ["./imgs/..."], "messages": [{"role": "user",
"content": "<|image|>..."}, {"role": "assistant", "content": ...}], "task_name": "qa_sft",
"dataset_name": NAME}.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mm15_jax.data.convert.published import files_of
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import Reading, either, file_preparation, placed, uncounted
from mm15_jax.data.convert.record_files import RECORD_FILES
from mm15_jax.data.preparation import DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image

_LINES = placed(RECORD_FILES)
_MARK = "<|image|>"


def or_docowl(preparation: Preparation, dataset: str, metric: str) -> Preparation:
    """The same data set; splits that --source has as DocDownstream-1.0 are converted from that.

    Args:
      preparation: from the files of its own publisher.
      dataset: the name that DocDownstream has for it.
      metric: of its evaluation splits.
    """
    files = {
        "train": ("train.jsonl",),
        "validation": ("val.jsonl",),
        "test": (f"test/{dataset}_test.jsonl",),
    }

    def lines(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
        for place, line in _LINES.records(source, part):
            # The lines of other data sets are not ours to judge.
            if isinstance(line, DataError) or line[1].get("dataset_name", dataset) == dataset:
                yield place, line

    def example(maker: Maker, item: tuple[str, dict]) -> Example:
        place, line = item
        images, turns = pictures_and_turns(maker, line)
        return maker.example(place, images, turns, answer=turns[0][1], metric=metric)

    return either(
        preparation,
        file_preparation(
            name=preparation.name,
            category=preparation.category,
            description=preparation.description,
            licence=preparation.licence,
            format="docowl",
            layout=f"of DocDownstream-1.0: train.jsonl, val.jsonl, {files['test'][0]} and imgs/",
            files=files,
            reading=uncounted(Reading(_LINES.parts, lines)),
            example=example,
        ),
        lambda source, split: (
            source.exists("imgs") and bool(files_of(source, files.get(split, ())))
        ),
    )


def pictures_and_turns(maker: Maker, line: dict) -> tuple[list[Image], list[tuple[str, str]]]:
    """The pictures of a line of mPLUG's format, and its questions and answers.

    Raises:
      DataError: if speakers do not alternate, or a picture is not there.
    """
    messages = line["messages"]
    roles = [message["role"] for message in messages]
    if not roles or roles != ["user", "assistant"] * (len(messages) // 2):
        raise DataError(f"messages of {', '.join(roles)}; expected user and assistant by turns")
    contents = [message["content"].replace(_MARK, "").strip() for message in messages]
    turns = list(zip(contents[::2], contents[1::2], strict=True))
    return [maker.picture(name.removeprefix("./")) for name in line["image"]], turns
