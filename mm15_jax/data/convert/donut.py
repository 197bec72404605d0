"""Pictures with their ground truth as Donut reads it, here the words that stand in a page.

Format: as read by Donut's `DonutDataset`: folders `train/`, `validation/`, `test/`, each with
`metadata.jsonl` of `{file_name, ground_truth}`; or the hub's parquet with `image` and
`ground_truth`. `ground_truth` is JSON in a string, `{"gt_parse": {"text_sequence": ...}}`.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from mm15_jax.data.convert import record_files
from mm15_jax.data.convert.parquet_files import picture_bytes
from mm15_jax.data.convert.segments import conversation, image_of
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

QUESTION = "Read all the text in the image."
_NAME, _CATEGORY = "synthdog_en", "text_rich"
_LAYOUT = (
    "data/train-*.parquet and data/validation-*.parquet of naver-clova-ix/synthdog-en; or what "
    "SynthDoG writes: train/metadata.jsonl and its pictures, likewise validation/ and test/"
)
_FILES = {
    split: (f"data/{split}-*.parquet", f"{split}/metadata.jsonl") for split in record_files.SPLITS
}


def _parts(split: str, source: Source | None) -> list[Part]:
    files = record_files.published_files(source, _FILES, split, _LAYOUT)
    assert source is not None
    return record_files.record_parts(source, files)


def _convert(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
    assert source is not None
    folder = posixpath.dirname(part.files[0])

    def example(place: str, record: Mapping[str, Any]) -> Example:
        if "file_name" in record:
            key = f"{split}/{record['file_name']}"
            data = source.read(posixpath.join(folder, record["file_name"]))
        else:
            key, data = place, picture_bytes(record.get("image"))
        text = _text(record.get("ground_truth"))
        metadata = {} if split == "train" else {"answer": text, "metric": "anls"}
        segments = conversation([image_of(data)], [(QUESTION, text)])
        return Example(segments, _NAME, key, _CATEGORY, metadata)

    return record_files.converted(source, part, example)


def _text(truth: Any) -> str:
    try:
        text = json.loads(truth)["gt_parse"]["text_sequence"]
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"no gt_parse.text_sequence in ground_truth {truth!r}") from error
    if not isinstance(text, str) or not text.strip():
        raise DataError("a page without text")
    return text.strip()


PREPARATIONS = (
    Preparation(
        name=_NAME,
        category=_CATEGORY,
        description="Drawn pages of English Wikipedia text to read, by SynthDoG.",
        licence="see publisher",
        splits=record_files.SPLITS,
        parts=_parts,
        convert=_convert,
        format="donut",
        layout=_LAYOUT,
    ),
)
