"""DocStruct4M: documents, web pages, tables, charts and natural pictures, parsed into text.

Format: as mPLUG-DocOwl 1.5 publishes it (`docowl`): struct_aware_parse.jsonl and val.jsonl, lines
of {"image": ["./imgs/..."], "messages": [{"role", "content"}], "task_name", "dataset_name"}.

As in MM1.5 (section 3.3) its multi-grained text localisation tasks are not used: the file
multi_grained_text_localization.jsonl is not read, and lines of val.jsonl that have a box in their
text, or are named after such a task, are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mm15_jax.data.convert.docowl import pictures_and_turns
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import JSON_LINES
from mm15_jax.data.convert.record_files import published_files
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation, examples_of
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

NAME = "docstruct4m"
LAYOUT = "struct_aware_parse.jsonl with imgs/, and val.jsonl with val_imgs/, of mPLUG/DocStruct4M"
_FILES = {"train": ["struct_aware_parse.jsonl"], "validation": ["val.jsonl"]}
_LOCALISATION = re.compile("locali|ground|bbox")


def localises(line: dict[str, Any]) -> bool:
    """Whether a line is of a multi-grained localisation task."""
    if _LOCALISATION.search(str(line.get("task_name", ""))):
        return True
    return any("<bbox>" in str(message.get("content")) for message in line.get("messages", ()))


def _parts(split: str, source: Source | None) -> list[Part]:
    files = published_files(source, _FILES, split, LAYOUT)
    assert source is not None, "published_files() refuses to go without"
    return list(JSON_LINES.parts(source, files))


def _convert(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
    assert source is not None, "parts are of a source"
    maker = Maker(source, NAME, "text_rich", split)

    def example(record: tuple[str, Any]) -> list[Example]:
        place, line = record
        if isinstance(line, DataError):
            raise line
        if not isinstance(line, dict):
            raise DataError("a line that is no object")
        if localises(line):
            return []
        images, turns = pictures_and_turns(maker, line)
        facts = {} if maker.trains else {"answer": turns[0][1], "metric": "anls"}
        return [maker.example(place, images, turns, **facts)]

    records = ((place, (place, line)) for place, line in JSON_LINES.records(source, part))
    yield from examples_of(records, example)


PREPARATIONS: tuple[Preparation, ...] = (
    Preparation(
        name=NAME,
        category="text_rich",
        description="Pictures with text and what they say, tables and charts as Markdown.",
        licence="Apache 2.0, as mPLUG/DocStruct4M states; pictures are of many data sets",
        splits=tuple(_FILES),
        parts=_parts,
        convert=_convert,
        format="docowl",
        layout=LAYOUT,
    ),
)
