"""DocStruct4M: documents, web pages, tables, charts and natural pictures, parsed into text.

Format: as mPLUG-DocOwl 1.5 publishes it (`docowl`): struct_aware_parse.jsonl and val.jsonl, lines
of {"image": ["./imgs/..."], "messages": [{"role", "content"}], "task_name", "dataset_name"}.

As in MM1.5 (section 3.3) its multi-grained text localisation tasks are not used: the file
multi_grained_text_localization.jsonl is not read, and lines of val.jsonl that have a box in their
text, or are named after such a task, are passed over.
"""

from __future__ import annotations

import re
from typing import Any

from mm15_jax.data.convert.docowl import pictures_and_turns
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, placed
from mm15_jax.data.convert.record_files import RECORD_FILES
from mm15_jax.data.preparation import Preparation
from mm15_jax.inputs.example import Example

_LOCALISATION = re.compile("locali|ground|bbox")


def localises(line: dict[str, Any]) -> bool:
    """Whether a line is of a multi-grained localisation task."""
    if _LOCALISATION.search(str(line.get("task_name", ""))):
        return True
    return any("<bbox>" in str(message.get("content")) for message in line.get("messages", ()))


def _example(maker: Maker, item: tuple[str, dict[str, Any]]) -> list[Example]:
    place, line = item
    if localises(line):
        return []
    images, turns = pictures_and_turns(maker, line)
    facts = {} if maker.trains else {"answer": turns[0][1], "metric": "anls"}
    return [maker.example(place, images, turns, **facts)]


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="docstruct4m",
        category="text_rich",
        description="Pictures with text and what they say, tables and charts as Markdown.",
        licence="Apache 2.0, as mPLUG/DocStruct4M states; pictures are of many data sets",
        format="docowl",
        layout="struct_aware_parse.jsonl with imgs/, and val.jsonl with val_imgs/, of"
        " mPLUG/DocStruct4M",
        files={"train": ("struct_aware_parse.jsonl",), "validation": ("val.jsonl",)},
        reading=placed(RECORD_FILES),
        example=_example,
    ),
)
