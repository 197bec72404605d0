"""Questions on pictures with text: {"data": [...]}, a record a question or a caption.

Format: TextVQA and TextCaps as read by MMF and big_vision's `datasets/{textvqa,textcaps}`; the
Robust Reading Competition's DocVQA, InfographicVQA and ST-VQA as read by `datasets/{docvqa,infovqa,
stvqa}` there. Their test splits have no public answers. Of the validation splits of TextVQA, DocVQA
and InfographicVQA lmms-lab's copies are read too.

The pictures of TextVQA are OpenImages'; a fortieth of them lie on a side, and the bytes do not say
so: only OpenImages' table does ("Rotation": degrees counter-clockwise to the upright picture). With
the table in the source, such pictures are written upright; without it the EXIF orientation decides.
"""

from __future__ import annotations

import csv
import functools
import io
import posixpath
from collections.abc import Callable
from typing import Any

import PIL.Image

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.hub import Row, or_hub, picture_of, shards
from mm15_jax.data.convert.published import files_of
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, grouped, json_array
from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image

_TABLES = (
    "train-images-boxable-with-rotation.csv",
    "image_ids_and_rotation.csv",
    "train_images/rotation.csv",
)
_UPRIGHT = {
    90: PIL.Image.Transpose.ROTATE_90,
    180: PIL.Image.Transpose.ROTATE_180,
    270: PIL.Image.Transpose.ROTATE_270,
}
_QUALITY = 95  # of pictures that are turned and so written anew


@functools.lru_cache(maxsize=1)
def _rotations(source: Source) -> dict[str, int]:
    """Degrees by ImageID, of those that lie; empty without a table."""
    found: dict[str, int] = {}
    for name in files_of(source, _TABLES):
        with io.TextIOWrapper(source.open(name), encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                degrees = int(float(row.get("Rotation") or 0)) % 360
                if degrees in _UPRIGHT:
                    found[row["ImageID"]] = degrees
    return found


def upright(data: bytes, degrees: int) -> bytes:
    """A JPEG turned counter-clockwise by 90, 180 or 270 degrees; its EXIF orientation is void."""
    image_of(data)  # its claims are checked before it is decoded
    with PIL.Image.open(io.BytesIO(data)) as picture:
        turned = picture.convert("RGB").transpose(_UPRIGHT[degrees])
    buffer = io.BytesIO()
    turned.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _open_images(maker: Maker, image_id: str) -> Image:
    name = f"train_images/{image_id}.jpg"
    degrees = _rotations(maker.source).get(image_id)
    if degrees is None:
        return maker.picture(name)
    try:
        return image_of(upright(maker.source.read(name), degrees))
    except OSError as error:
        raise DataError(f"not a readable picture ({error})") from error


def _textvqa(maker: Maker, record: dict) -> Example:
    image_id = record["image_id"]
    return maker.short(
        f"{image_id}/{record['question_id']}",
        _open_images(maker, image_id),
        record["question"],
        record["answers"],
        "vqa_accuracy",
    )


def _textcaps(maker: Maker, record: tuple[str, list]) -> Example:
    image_id, captions = record
    return maker.short(
        image_id,
        _open_images(maker, image_id),
        "",
        captions,
        "cider",
        prompt=prompts.ONE_SENTENCE_CAPTION,
        target=captions[prompts.pick(image_id, len(captions))],
    )


def _document(maker: Maker, record: dict) -> Example:
    image = record["image"]  # "documents/xnbl0037_1.png"
    name = posixpath.basename(image)
    folder = {"train": "train", "validation": "val"}[maker.split]
    return maker.short(
        f"{posixpath.splitext(name)[0]}/{record['questionId']}",
        maker.picture(f"{folder}/{image}", f"spdocvqa_images/{name}", image),
        record["question"],
        record["answers"],
        "anls",
    )


def _infographic(maker: Maker, record: dict) -> Example:
    name = record["image_local_name"]
    return maker.short(
        f"{posixpath.splitext(name)[0]}/{record['questionId']}",
        maker.picture(f"infographicsvqa_images/{name}", f"images/{name}"),
        record["question"],
        # A few answers of several parts are lists in the list.
        [", ".join(a) if isinstance(a, list) else a for a in record["answers"]],
        "anls",
    )


def _scene_text(maker: Maker, record: dict) -> Example:
    path = record["file_path"]
    return maker.short(
        f"{posixpath.splitext(path)[0]}/{record['question_id']}",
        maker.picture(path, f"train_imgs/{path}"),
        record["question"],
        record["answers"],
        "anls",
    )


def _hub_row(maker: Maker, place: str, row: Row, *, number: str, metric: str) -> Example:
    del place
    picture = picture_of(row["image"])
    return maker.short(row[number], picture, row["question"], row["answers"], metric)


def _with_hub(preparation: Preparation, repository: str, folder: str, number: str, metric: str):
    return or_hub(
        preparation,
        repository=repository,
        files={"validation": (shards("validation", folder),)},
        columns=(number, "question", "answers", "image"),
        example=functools.partial(_hub_row, number=number, metric=metric),
    )


def _caption(record: dict) -> tuple[str, str]:
    return record["image_id"], record["caption_str"]


def _preparation(
    name: str,
    description: str,
    licence: str,
    files: dict[str, tuple[str, ...]],
    pictures: str,
    example: Callable[[Maker, Any], Example],
    reading=json_array("data"),
    beside: tuple[str, ...] = (),
) -> Preparation:
    names = ", ".join(pattern.replace("|", " or ") for p in files.values() for pattern in p)
    return file_preparation(
        name=name,
        category="text_rich",
        description=description,
        licence=licence,
        format="text_vqa",
        layout=f"{names} and pictures in {pictures}",
        files=files,
        reading=reading,
        example=example,
        beside=beside,
    )


_ROTATION = (
    "train_images/; to set pictures upright also OpenImages' train-images-boxable-with-rotation.csv"
)
PREPARATIONS: tuple[Preparation, ...] = (
    _with_hub(
        _preparation(
            "textvqa",
            "Questions that are answered by reading text in photos, by ten people each.",
            "CC BY 4.0; pictures OpenImages', see publisher",
            {
                "train": ("TextVQA_0.5.1_train.json",),
                "validation": ("TextVQA_0.5.1_val.json",),
            },
            _ROTATION,
            _textvqa,
            beside=_TABLES,
        ),
        "lmms-lab/textvqa",
        "data",
        "question_id",
        "vqa_accuracy",
    ),
    _preparation(
        "textcaps",
        "Captions of photos that say what is written in them.",
        "CC BY 4.0; pictures OpenImages', see publisher",
        {
            "train": ("TextCaps_0.1_train.json",),
            "validation": ("TextCaps_0.1_val.json",),
        },
        _ROTATION,
        _textcaps,
        grouped(json_array("data"), _caption),
        beside=_TABLES,
    ),
    _preparation(
        "stvqa",
        "Questions that are answered by reading text in scenes.",
        "see publisher (rrc.cvc.uab.es, challenge 11)",
        {"train": ("train_task_3.json",)},
        "the folders that file_path names (coco-text/, VizWiz/, ...)",
        _scene_text,
    ),
    _with_hub(
        _preparation(
            "docvqa",
            "Questions on scanned pages of letters, forms and reports.",
            "see publisher (rrc.cvc.uab.es, challenge 17)",
            {
                split: (
                    f"spdocvqa_qas/{part}_v1.0_withQT.json|{part}_v1.0_withQT.json|{part}_v1.0.json"
                    f"|{part}/{part}_v1.0.json",
                )
                for split, part in (("train", "train"), ("validation", "val"))
            },
            "spdocvqa_images/, or documents/, or train/documents/ and val/documents/",
            _document,
        ),
        "lmms-lab/DocVQA",
        "DocVQA",
        "questionId",
        "anls",
    ),
    _with_hub(
        _preparation(
            "infovqa",
            "Questions on infographics.",
            "see publisher (rrc.cvc.uab.es, challenge 17)",
            {
                split: (f"infographicsvqa_qas/{name}|{name}",)
                for split, name in (
                    ("train", "infographicsVQA_train_v1.0.json"),
                    ("validation", "infographicsVQA_val_v1.0_withQT.json"),
                )
            },
            "infographicsvqa_images/ or images/",
            _infographic,
        ),
        "lmms-lab/DocVQA",
        "InfographicVQA",
        "questionId",
        "anls",
    ),
)
