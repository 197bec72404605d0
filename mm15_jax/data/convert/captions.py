"""Captions: COCO and NoCaps (images and annotations in one JSON file), Chart-to-Text.

Formats: COCO's captions_*.json as read by pycocotools, NoCaps by big_vision's `datasets/nocaps`;
Chart-to-Text by kasnerz/tabgenie. A picture is one example; it is trained on one of its captions,
chosen by its name, and asked for as in LLaVA-1.5.
"""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.json_stream import array_elements
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import (
    Reading,
    file_preparation,
    grouped,
    json_array,
    lines,
)
from mm15_jax.data.preparation import DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example


@functools.lru_cache(maxsize=1)
def _file_names(source: Source, file: str) -> dict[int, str]:
    images = array_elements(source, file, ("images",))
    return {record["id"]: record["file_name"] for _, record in images}


def _caption_records(source: Source, part: Part) -> Iterator[tuple[str, tuple[str, str]]]:
    names = _file_names(source, part.files[0])
    for place, record in json_array("annotations").records(source, part):
        image_id = record["image_id"]
        yield place, (names.get(image_id, f"image {image_id}"), record["caption"])


_CAPTIONS = Reading(json_array("annotations").parts, _caption_records)


def _caption(folder: str, prompt: str):
    def example(maker: Maker, record: tuple[str, list[str]]) -> Example:
        name, captions = record
        captions = [" ".join(caption.split()) for caption in captions]
        place = folder.format(split={"train": "train2017", "validation": "val2017"}[maker.split])
        return maker.short(
            posixpath.splitext(name)[0],
            maker.picture(f"{place}/{name}"),
            "",
            captions,
            "cider",
            prompt=prompt,
            target=captions[prompts.pick(name, len(captions))],
        )

    return example


_CHART_LINES = lines(2**15)  # bytes of a part: 1,800 names


# Chart-to-Text: a line names a chart, "two_col-12.txt" or "multi_col-12.txt"; the second kind lies
# under multiColumn/.
def _chart_names(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    root = part.files[0].partition("dataset_split/")[0]
    for place, line in _CHART_LINES.records(source, part):
        if isinstance(line, DataError):
            yield place, line
            continue
        kind, dash, name = line.strip().partition("-")
        if dash:  # the first line is a heading
            folder = root if kind == "two_col" else f"{root}multiColumn/"
            yield place, (folder, posixpath.splitext(name)[0])


def _chart(maker: Maker, record: tuple[str, str]) -> Example:
    folder, name = record
    summary = maker.source.read(f"{folder}captions/{name}.txt").decode("utf-8")
    return maker.short(
        f"{folder}{name}",
        maker.picture(f"{folder}imgs/{name}.png"),
        "",
        summary,
        "cider",
        prompt=prompts.CHART_SUMMARY,
    )


_CHART_ROOTS: Sequence[str] = ("statista_dataset/dataset/", "pew_dataset/dataset/")

PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="coco_captions",
        category="general",
        description="Photos of COCO, each captioned by five people.",
        licence="CC BY 4.0; pictures by their authors, see publisher",
        format="captions",
        layout="annotations/captions_train2017.json, annotations/captions_val2017.json,"
        " train2017/ and val2017/",
        files={
            "train": ("annotations/captions_train2017.json",),
            "validation": ("annotations/captions_val2017.json",),
        },
        reading=grouped(_CAPTIONS, lambda pair: pair),
        example=_caption("{split}", prompts.ONE_SENTENCE_CAPTION),
    ),
    file_preparation(
        name="nocaps",
        category="general",
        description="Photos of objects that COCO's captions do not name, ten captions each.",
        licence="CC BY 2.0; pictures OpenImages', see publisher",
        format="captions",
        layout="nocaps_val_4500_captions.json and the folder validation/",
        files={"validation": ("nocaps_val_4500_captions.json",)},
        reading=grouped(_CAPTIONS, lambda pair: pair),
        example=_caption("validation", prompts.ONE_SENTENCE_CAPTION),
    ),
    file_preparation(
        name="chart_to_text",
        category="text_rich",
        description="Charts of Statista and the Pew Research Center with their summaries.",
        licence="GPL-3.0",
        format="captions",
        layout="of vis-nlp/Chart-to-text: statista_dataset/dataset/ and pew_dataset/dataset/ with"
        " dataset_split/train_index_mapping.csv and the like, imgs/, captions/, multiColumn/",
        files={
            split: tuple(f"{root}dataset_split/{part}_index_mapping.csv" for root in _CHART_ROOTS)
            for split, part in (("train", "train"), ("validation", "val"), ("test", "test"))
        },
        reading=Reading(_CHART_LINES.parts, _chart_names),
        example=_chart,
    ),
)
