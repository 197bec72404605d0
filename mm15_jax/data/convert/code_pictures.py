"""Pictures and the code that draws them, in parquet files: WebSight and DaTikZ.

Formats: HuggingFaceM4/WebSight (columns image, text) and nllg/datikz (image, code) as on the hub.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.parquet_files import picture_bytes
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, parquet, placed
from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.inputs.example import Example


def _code(column: str, prompt: str) -> Callable[[Maker, Any], Example]:
    def example(maker: Maker, record: tuple[str, dict]) -> Example:
        place, row = record
        if not isinstance(row[column], str):
            raise DataError(f"no text in column {column}")
        picture = image_of(picture_bytes(row["image"]), role="user")
        return maker.example(place, picture, [(prompt, row[column])])

    return example


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="websight",
        category="code",
        description="Screenshots of generated web pages and their HTML.",
        licence="CC BY 4.0",
        format="parquet",
        layout="of HuggingFaceM4/WebSight, one version: train-*.parquet, also under data/ or v0.2/",
        files={"train": ("train-*.parquet|data/train-*.parquet|v0.2/train-*.parquet",)},
        reading=placed(parquet("image", "text")),
        example=_code("text", prompts.WEB_PAGE),
    ),
    file_preparation(
        name="datikz",
        category="code",
        description="Scientific figures and the TikZ code that draws them.",
        licence="CC BY 4.0 and others by figure, see publisher",
        format="parquet",
        layout="of nllg/datikz: data/train-*.parquet and data/test-*.parquet",
        files={
            split: (f"data/{split}-*.parquet|{split}-*.parquet",) for split in ("train", "test")
        },
        reading=placed(parquet("image", "code")),
        example=_code("code", prompts.TIKZ),
    ),
)
