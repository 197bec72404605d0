"""Plain text, a document a record; documents stay whole, however long: the packer decides.

Format: JSON lines with `text` (plain, gzip or zstd, such as C4, Dolma, SlimPajama), parquet with a
column `text` (FineWeb), or what TFDS prepared as array_record with a feature `text`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mm15_jax.data.convert import record_files, tfds_records
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Text

_FIELD = "text"
_LAYOUT = (
    "*.jsonl, *.json.gz, *.jsonl.zst, *.parquet ... with a field `text`, or TFDS's "
    "NAME-SPLIT.array_record-*, in any folder. `val` or `test` as a word of a file's name, or of "
    "its folder's, is its split"
)
_FILES = (*(f"**/*{suffix}" for suffix in record_files.SUFFIXES), f"**/*{tfds_records.FILES}")
# What stands beside data, and is none.
_OTHER = ("dataset_info.json", "features.json")


def _parts(split: str, source: Source | None) -> list[Part]:
    files = [
        file
        for file in record_files.published_files(source, _FILES, split, _LAYOUT)
        if not file.endswith(_OTHER)
    ]
    assert source is not None
    prepared = [file for file in files if tfds_records.is_one(file)]
    others = [file for file in files if not tfds_records.is_one(file)]
    return [
        *record_files.record_parts(source, others),
        *(Part(file, None, (file,)) for file in prepared),
    ]


def preparation(name: str, description: str, licence: str) -> Preparation:
    """The preparation of a text of this name."""

    def example(place: str, record: Mapping[str, Any]) -> Example:
        text = record.get(_FIELD)
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"the field {_FIELD} is {type(text).__name__}, or empty")
        return Example((Text(text, loss=True),), name, place, "text", {})

    def convert(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
        assert source is not None
        if tfds_records.is_one(part.files[0]):
            return tfds_records.converted(source, part, example)
        return record_files.converted(source, part, example)

    return Preparation(
        name=name,
        category="text",
        description=description,
        licence=licence,
        splits=record_files.SPLITS,
        parts=_parts,
        convert=convert,
        format="text",
        layout=_LAYOUT,
    )


PREPARATIONS = (
    preparation(
        "hq_text",
        "Documents for pre-training, of whatever open corpus you chose (MM1.5's own is private).",
        "see publisher",
    ),
    preparation("jsonl_text", "Your own documents, a record each.", "yours"),
)
