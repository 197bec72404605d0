"""Data sets in LLaVA's format: dialogues about pictures, `{id, image, conversations}`.

Format: as read by train.py of LLaVA, LLaVA-NeXT (pictures in a list: M4-Instruct), ShareGPT4V,
Ferret (boxes beside the turns) and by Mantis's data.py (parquet, pictures as `{bytes, path}`). The
annotation is an array, lines or parquet; where its pictures are is a row of `SETS`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mm15_jax.data.convert.dialogue import picture_segments, turns_of
from mm15_jax.data.convert.ferret_boxes import check_shape, with_places
from mm15_jax.data.convert.picture_files import read_picture
from mm15_jax.data.convert.published import Patterns
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, placed
from mm15_jax.data.convert.record_files import RECORD_FILES
from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image, Segment, Text


@dataclass(frozen=True)
class LlavaSet:
    """A data set in LLaVA's format."""

    name: str
    category: str
    description: str
    licence: str  # as the publisher states it
    layout: str
    files: Patterns  # of annotation files
    # Where a picture may be: {image} is its name in the annotation, {folder} the annotation's.
    pictures: Sequence[str] = ("{image}",)
    captions: bool = False  # the answers are captions of the only picture, not a dialogue
    in_place: bool = False  # a turn's only picture stays where it stands, see `picture_segments`
    version: int = 1  # as in `Preparation`


def preparation(row: LlavaSet) -> Preparation:
    """The preparation of a row."""

    def example(maker: Maker, record: tuple[str, Mapping[str, Any]]) -> Example:
        return example_of(row, maker.source, *record)

    return file_preparation(
        name=row.name,
        category=row.category,
        description=row.description,
        licence=row.licence,
        format="llava",
        layout=row.layout,
        files=row.files,
        reading=placed(RECORD_FILES),
        example=example,
        version=row.version,
    )


def example_of(row: LlavaSet, source: Source, place: str, record: Mapping[str, Any]) -> Example:
    """The example of a record.

    Args:
      row: whose record it is.
      source: where the pictures are.
      place: of the record; it begins with the name of its file.
      record: the record.

    Raises:
      DataError: if it is damaged, or a picture of it is missing.
    """
    if record.get("video"):
        raise DataError("a record about a video, expected pictures or text")
    identity = record.get("id", record.get("sample_id"))
    key = place if identity is None else f"{identity}:{place}"  # ids alone repeat in a file
    turns = turns_of(record, lambda turns: with_places(turns, record, key))
    images = [_image(row, source, posixpath.dirname(place), value) for value in _listed(record)]
    if len(images) == 1:
        check_shape(images[0], record)
    segments: tuple[Segment, ...]
    if row.captions:
        segments = _caption(images, [text for role, text in turns if role == "assistant"])
    else:
        segments = picture_segments(turns, images, in_place=row.in_place)
    return Example(segments, row.name, key, row.category, {})


def _listed(record: Mapping[str, Any]) -> list[Any]:
    """The record's pictures, however it names them: one or several, or none."""
    value = record.get("images")
    if value is None:
        value = record.get("image")
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def _image(row: LlavaSet, source: Source, folder: str, value: Any) -> Image:
    """A picture by its name, or by `{bytes, path}` as the Hugging Face hub's parquet has it."""
    if isinstance(value, Mapping):
        if value.get("bytes"):
            return image_of(value["bytes"])
        value = value.get("path")
    if not isinstance(value, str) or not value:
        raise DataError(f"a picture is {value!r}, expected its name")
    return read_picture(
        source, [place.format(image=value, folder=folder) for place in row.pictures]
    )


def _caption(images: Sequence[Image], answers: Sequence[str]) -> tuple[Segment, ...]:
    if len(images) != 1 or len(answers) != 1:
        raise DataError(f"{len(answers)} captions of {len(images)} pictures, expected one of one")
    image = Image(images[0].data, images[0].height, images[0].width, role="document")
    return image, Text(answers[0].strip(), role="document", loss=True)


_COCO = (
    "train2017/{image}",
    "coco/train2017/{image}",
    "train2014/{image}",
    "train2014/COCO_train2014_{image}",
    "coco/train2014/COCO_train2014_{image}",
    "{image}",
)
_GRIT = (
    "dataset/coco2014/train2014/{image}",
    "dataset/coco2014/train2014/COCO_train2014_{image}",
    "dataset/vg/images/{image}",
    "data/refcoco/train2014/{image}",
    "data/flickr30k/flickr30k_images_split/train/{image}",
    "data/objects365_v1/train/{image}",
)
_ANY = ("*.json", "*.jsonl", "*.jsonl.gz", "*.jsonl.zst", "*.parquet")
_BESIDE = ("{image}", "images/{image}")
_INSTRUCT = "CC BY 4.0, and OpenAI's terms of use; pictures: COCO's terms"
_SHAREGPT4V = "CC BY-NC 4.0; pictures: see publishers"
_SEE = "see publisher"
_INTERLEAVED = (
    "{0}.json (or .jsonl): LLaVA JSON whose `images` (or `image`) are lists of names relative to"
    " the source; `<image>` in the turns. The publisher's own layout is not known"
)


def _instruct(name: str, file: str, description: str) -> LlavaSet:
    return LlavaSet(
        name,
        "general",
        description,
        _INSTRUCT,
        f"{file} of LLaVA-Instruct-150K, train2017/ (or train2014/) of COCO",
        {"train": (file,)},
        _COCO,
    )


def _interleaved(name: str, description: str) -> LlavaSet:
    return LlavaSet(
        name,
        "multi_image",
        f"{description}; read as LLaVA JSON, for its published layout is not known.",
        _SEE,
        _INTERLEAVED.format(name),
        {"train": (f"{name}.json", f"{name}.jsonl")},
        _BESIDE,
        in_place=True,
    )


# For data of one's own; `dataclasses.replace` gives it another name and category.
OWN = LlavaSet(
    "llava_json",
    "general",
    "Your own dialogues about pictures, in LLaVA's format.",
    "yours",
    "*.json, *.jsonl (.gz, .zst) or *.parquet with {id, image or images, conversations}; names "
    "of pictures relative to the source or to images/. A file with `val` or `test` as a word "
    "of its name is of that split",
    _ANY,
    _BESIDE,
    in_place=True,
)
SETS = (
    _instruct(
        "llava_conversation",
        "conversation_58k.json",
        "Dialogues about COCO pictures, written by GPT-4 from captions and boxes.",
    ),
    _instruct(
        "llava_complex_reasoning",
        "complex_reasoning_77k.json",
        "Questions about COCO pictures that need reasoning, written by GPT-4.",
    ),
    _instruct(
        "llava_detail",
        "detail_23k.json",
        "Detailed descriptions of COCO pictures, written by GPT-4.",
    ),
    LlavaSet(
        "llava_v1_5_mix665k",
        "general",
        "The instruction mixture of LLaVA-1.5: dialogues, VQA, grounding and text.",
        "CC BY 4.0, and OpenAI's terms of use; pictures: see publishers",
        "llava_v1_5_mix665k.json, coco/train2017/, gqa/images/, ocr_vqa/images/ (all as .jpg), "
        "textvqa/train_images/, vg/VG_100K/, vg/VG_100K_2/",
        {"train": ("llava_v1_5_mix665k.json",)},
    ),
    LlavaSet(
        "llava_pretrain",
        "captions",
        "Captions of 558k pictures of LAION, CC and SBU, by BLIP or alt text.",
        _SEE,
        "blip_laion_cc_sbu_558k.json, and the folders 00000/ ... of images.zip or images/",
        {"train": ("blip_laion_cc_sbu_558k.json",)},
        _BESIDE,
        captions=True,
    ),
    LlavaSet(
        "sharegpt4v",
        "general",
        "Detailed descriptions of 100k pictures by GPT-4V.",
        _SHAREGPT4V,
        "sharegpt4v_instruct_gpt4-vision_cap100k.json (or sharegpt4v/...), coco/train2017/, "
        "llava/llava_pretrain/images/, sam/images/, share_textvqa/images/, web-celebrity/images/, "
        "web-landmark/images/, wikiart/images/",
        {
            "train": (
                "sharegpt4v_instruct_gpt4-vision_cap100k.json",
                "sharegpt4v/sharegpt4v_instruct_gpt4-vision_cap100k.json",
            )
        },
    ),
    LlavaSet(
        "sharegpt4v_pretrain",
        "captions",
        "Captions of 1.2M pictures of COCO, LCS and SAM by ShareCaptioner.",
        _SHAREGPT4V,
        "share-captioner_coco_lcs_sam_1246k_1107.json (or sharegpt4v/...), coco/train2017/, "
        "llava/llava_pretrain/images/, sam/images/",
        {
            "train": (
                "share-captioner_coco_lcs_sam_1246k_1107.json",
                "sharegpt4v/share-captioner_coco_lcs_sam_1246k_1107.json",
            )
        },
        captions=True,
    ),
    LlavaSet(
        "llava_recap",
        "captions",
        "Captions by LLaVA-NeXT-34B of pictures of LCS, COCO or CC3M.",
        _SEE,
        "data/train-*.parquet of LLaVA-ReCap-558K, -118K or -CC3M",
        {"train": ("data/train-*.parquet",)},
        captions=True,
    ),
    LlavaSet(
        "ferret_grit",
        "refer_ground",
        "Ferret's GRIT: dialogues that refer to places and answer with boxes.",
        "CC BY-NC 4.0; pictures: see publishers",
        "dataset/*.json, dataset/coco2014/train2014/, dataset/vg/images/, data/refcoco/train2014/, "
        "data/flickr30k/flickr30k_images_split/train/, data/objects365_v1/train/, as "
        "experiments/ferret_7b_train.sh of ml-ferret has them",
        {"train": ("dataset/*.json",)},
        _GRIT,
    ),
    LlavaSet(
        "ferret_ui",
        "ui",
        "Ferret-UI: questions about phone screens, with boxes of widgets.",
        "CC BY-NC 4.0",
        "*.json as playground/sample_data/train_data_example.json of ml-ferret, images/",
        {"train": ("*.json",)},
        _BESIDE,
    ),
    LlavaSet(
        "mantis",
        "multi_image",
        "Mantis-Instruct: interleaved instructions about several pictures.",
        "Apache 2.0; pictures: see the publishers of its subsets",
        "SUBSET/train-*.parquet of TIGER-Lab/Mantis-Instruct, train_images.zip of each unpacked "
        "into SUBSET/train_images/ (or SUBSET/)",
        {"train": ("*/train-*.parquet",), "validation": ("*/val-*.parquet",)},
        ("{folder}/train_images/{image}", "{folder}/val_images/{image}", "{folder}/{image}"),
        in_place=True,
    ),
    LlavaSet(
        "m4_instruct",
        "multi_image",
        "M4-Instruct of LLaVA-NeXT-Interleave: multi-image and multi-view instructions.",
        _SEE,
        "m4_instruct_annotations.json, and its zips unpacked beside it",
        {"train": ("m4_instruct_annotations.json",)},
        in_place=True,
    ),
    _interleaved("coco_instruct_interleaved", "Interleaved instructions about COCO pictures"),
    _interleaved("icl_instruct", "Instructions with examples in context, over several pictures"),
    OWN,
)
PREPARATIONS = tuple(preparation(row) for row in SETS)
