"""Pictures from the web with their captions, at any scale.

Format: what img2dataset writes with `--output_format webdataset`: 00000.tar ... with KEY.jpg (or
.png, .webp), KEY.txt, and KEY.json with `caption`, `url`, `sha256` ...; the .parquet and
_stats.json beside a tar are not read. DataComp, COYO, LAION and CC12M are had so.
"""

from __future__ import annotations

from mm15_jax.data.convert.archives import Sample
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation
from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.convert.webdataset import TARS, field, json_field, webdataset
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.inputs.example import Example, Text

_PICTURES = ("jpg", "jpeg", "png", "webp")


def _caption(sample: Sample) -> str:
    if "txt" in sample.fields:
        try:
            text = sample.fields["txt"].decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"a caption that is not UTF-8: {error}") from error
    else:
        text = json_field(sample).get("caption") or ""
    if not isinstance(text, str) or not text.strip():
        raise DataError("a picture without a caption")
    return " ".join(text.split())


def _example(maker: Maker, item: tuple[str, Sample]) -> Example:
    key, sample = item
    image = image_of(field(sample, *_PICTURES), role="document")
    segments = (image, Text(_caption(sample), loss=True))
    return Example(segments, maker.name, key, maker.category, {})


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="image_text_pairs",
        category="captions",
        description="Pictures with captions, of whatever collection img2dataset fetched.",
        licence="that of the collection; see its publisher",
        format="webdataset",
        layout="img2dataset's 00000.tar, 00001.tar ... in any folders, of jpg with txt or json",
        files={"train": TARS},
        reading=webdataset(*_PICTURES, "txt", "json"),
        example=_example,
    ),
)
