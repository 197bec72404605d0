"""Plain text, a document a record; documents stay whole, however long: the packer decides.

Format: JSON lines with `text` (plain, gzip or zstd, such as C4, Dolma, SlimPajama), parquet with a
column `text` (FineWeb), or what TFDS prepared as array_record with a feature `text`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mm15_jax.data.convert import tfds_records
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, placed
from mm15_jax.data.convert.record_files import SUFFIXES, TEXT_FILES
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.inputs.example import Example, Text

_FIELD = "text"
_LAYOUT = (
    "*.jsonl, *.json.gz, *.jsonl.zst, *.parquet ... with a field `text`, or TFDS's "
    "NAME-SPLIT.array_record-*, in any folder. `val` or `test` as a word of a file's name, or of "
    "its folder's, is its split; else a folder of such a name further up tells it"
)


def _example(maker: Maker, item: tuple[str, Mapping[str, Any]]) -> Example:
    place, record = item
    text = record.get(_FIELD)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"the field {_FIELD} is {type(text).__name__}, or empty")
    return Example((Text(text, loss=True),), maker.name, place, maker.category, {})


def preparation(name: str, description: str, licence: str) -> Preparation:
    """The preparation of a text of this name."""
    return file_preparation(
        name=name,
        category="text",
        description=description,
        licence=licence,
        format="text",
        layout=_LAYOUT,
        files=(*(f"**/*{suffix}" for suffix in SUFFIXES), f"**/*{tfds_records.FILES}"),
        reading=placed(TEXT_FILES),
        example=_example,
    )


PREPARATIONS = (
    preparation(
        "hq_text",
        "Documents for pre-training, of whatever open corpus you chose (MM1.5's own is private).",
        "see publisher",
    ),
    preparation(
        "old_text",
        "An older crawl, for comparison with hq_text (figure 10; MM1's own is private).",
        "see publisher",
    ),
    preparation("jsonl_text", "Your own documents, a record each.", "yours"),
)
