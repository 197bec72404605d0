"""Pictures with their ground truth as Donut reads it, here the words that stand in a page.

Format: as read by Donut's `DonutDataset`: folders `train/`, `validation/`, `test/`, each with
`metadata.jsonl` of `{file_name, ground_truth}`; or the hub's parquet with `image` and
`ground_truth`. `ground_truth` is JSON in a string, `{"gt_parse": {"text_sequence": ...}}`.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from typing import Any

from mm15_jax.data.convert.parquet_files import picture_bytes
from mm15_jax.data.convert.published import SPLITS
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, placed
from mm15_jax.data.convert.record_files import RECORD_FILES
from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Example

QUESTION = "Read all the text in the image."
_LAYOUT = (
    "data/train-*.parquet and data/validation-*.parquet of naver-clova-ix/synthdog-en; or what "
    "SynthDoG writes: train/metadata.jsonl and its pictures, likewise validation/ and test/"
)


def _example(maker: Maker, item: tuple[str, Mapping[str, Any]]) -> Example:
    place, record = item
    if "file_name" in record:
        key = f"{maker.split}/{record['file_name']}"
        picture = maker.picture(posixpath.join(posixpath.dirname(place), record["file_name"]))
    else:
        key, picture = place, image_of(picture_bytes(record.get("image")))
    text = _text(record.get("ground_truth"))
    facts = {} if maker.trains else {"answer": text, "metric": "anls"}
    return maker.example(key, picture, [(QUESTION, text)], **facts)


def _text(truth: Any) -> str:
    try:
        text = json.loads(truth)["gt_parse"]["text_sequence"]
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"no gt_parse.text_sequence in ground_truth {truth!r}") from error
    if not isinstance(text, str) or not text.strip():
        raise DataError("a page without text")
    return text.strip()


PREPARATIONS = (
    file_preparation(
        name="synthdog_en",
        category="text_rich",
        description="Drawn pages of English Wikipedia text to read, by SynthDoG.",
        licence="see publisher",
        format="donut",
        layout=_LAYOUT,
        files={split: (f"data/{split}-*.parquet", f"{split}/metadata.jsonl") for split in SPLITS},
        reading=placed(RECORD_FILES),
        example=_example,
    ),
)
