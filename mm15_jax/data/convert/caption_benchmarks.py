"""Captions by which MM1 judges pre-training: COCO in Karpathy's splits, and NoCaps with shots.

Formats: dataset_coco.json of Karpathy's caption_datasets.zip, {images: [{filepath, filename,
cocoid, split, sentences: [{raw}]}]}, whose "restval" is trained on; NoCaps as in `captions`.
NoCaps has no training split to take shots from: about one picture in `HELD_FOR_SHOTS` of its
validation split is kept for them, and is not scored (some 35 of 4,500).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from mm15_jax.data.convert import captions, prompts
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, json_array, uncounted
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

HELD_FOR_SHOTS = 128
_KARPATHY = {"train": ("train", "restval"), "validation": ("val",), "test": ("test",)}
_FILE = "dataset_coco.json|karpathy/dataset_coco.json"


def _karpathy(maker: Maker, record: dict) -> Iterator[Example]:
    """The example of a record of this split; none of one of another."""
    if record["split"] not in _KARPATHY[maker.split]:
        return
    references = [" ".join(sentence["raw"].split()) for sentence in record["sentences"]]
    references = [text for text in references if text]
    if not references:
        raise DataError("a picture without captions")
    name = f"{record['filepath']}/{record['filename']}"
    key = record["filename"].rpartition(".")[0]
    yield maker.short(
        key,
        maker.picture(name, f"images/{name}", f"coco/{name}"),
        "",
        references,
        "cider",
        prompt=prompts.ONE_SENTENCE_CAPTION,
        target=references[prompts.pick(key, len(references))],
    )


def is_shot(key: str) -> bool:
    """Whether a picture of NoCaps is kept for shots."""
    return prompts.pick(f"shots {key}", HELD_FOR_SHOTS) == 0


def _with_shots(name: str, base: Preparation) -> Preparation:
    """The validation split of a data set, of which some examples are split "train"."""

    def parts(split: str, source: Source | None) -> Sequence[Part]:
        found = base.parts("validation", source)
        return [dataclasses.replace(part, records=None) for part in found]

    def convert(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
        for item in base.convert("validation", part, source):
            if isinstance(item, BadRecord):
                if split == "validation":  # told once
                    yield item
            elif is_shot(item.key) == (split == "train"):
                yield dataclasses.replace(item, source=name)

    return dataclasses.replace(
        base,
        name=name,
        description=f"{base.description.removesuffix('.')}; some kept for shots.",
        splits=("train", "validation"),
        parts=parts,
        convert=convert,
    )


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="coco_karpathy",
        category="general",
        description="Photos of COCO in Karpathy's splits, each captioned by five people.",
        licence="CC BY 4.0; pictures by their authors, see publisher",
        format="karpathy",
        layout="dataset_coco.json of Karpathy's caption_datasets.zip, train2014/ and val2014/",
        files=dict.fromkeys(_KARPATHY, (_FILE,)),
        reading=uncounted(json_array("images")),
        example=_karpathy,
    ),
    _with_shots("nocaps_few_shot", next(p for p in captions.PREPARATIONS if p.name == "nocaps")),
)
