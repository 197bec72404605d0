"""DocDownstream-1.0: ten text-rich data sets as one, with the pictures that UReader made.

Format: as read by mPLUG-DocOwl 1.5. train.jsonl and val.jsonl hold all data sets, and
test/NAME_test.jsonl one; a line is {"image": ["./imgs/..."], "messages": [{"role": "user",
"content": "<|image|>..."}, {"role": "assistant", "content": ...}], "task_name": "qa_sft",
"dataset_name": NAME}.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import JSON_LINES, files_of
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation, examples_of
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

_MARK = "<|image|>"


def or_docowl(preparation: Preparation, dataset: str, metric: str) -> Preparation:
    """The same data set, converted from DocDownstream-1.0 where --source is that.

    Args:
      preparation: from the files of its own publisher.
      dataset: the name that DocDownstream has for it.
      metric: of its evaluation splits.
    """
    files = {
        "train": "train.jsonl",
        "validation": "val.jsonl",
        "test": f"test/{dataset}_test.jsonl",
    }

    def parts(split: str, source: Source | None) -> Sequence[Part]:
        assert source is not None
        if source.exists("imgs") and files_of(source, [*files.values()]):
            return JSON_LINES.parts(source, files_of(source, [files[split]]))
        return preparation.parts(split, source) if split in preparation.splits else []

    def convert(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
        assert source is not None
        if part.files != (files[split],):
            return preparation.convert(split, part, source)
        maker = Maker(source, preparation.name, preparation.category, split)

        def records() -> Iterator[tuple[str, tuple[str, dict]]]:
            for place, line in JSON_LINES.records(source, part):
                # The lines of other data sets are not ours to judge.
                if isinstance(line, DataError) or line.get("dataset_name", dataset) == dataset:
                    yield place, (place, line)

        return examples_of(records(), lambda record: _example(maker, *record, metric))

    return dataclasses.replace(
        preparation,
        parts=parts,
        convert=convert,
        splits=tuple(files),
        layout=f"{preparation.layout}; or of DocDownstream-1.0: train.jsonl, val.jsonl,"
        f" test/{dataset}_test.jsonl and imgs/",
    )


def _example(maker: Maker, place: str, line: dict | DataError, metric: str) -> Example:
    if isinstance(line, DataError):
        raise line
    messages = line["messages"]
    roles = [message["role"] for message in messages]
    if roles != ["user", "assistant"] * (len(messages) // 2):
        raise DataError(f"messages of {', '.join(roles)}; expected user and assistant by turns")
    images = [maker.picture(name.removeprefix("./")) for name in line["image"]]
    contents = [message["content"].replace(_MARK, "").strip() for message in messages]
    turns = list(zip(contents[::2], contents[1::2], strict=True))
    return maker.example(place, images, turns, answer=contents[1], metric=metric)
