"""Data sets that TFDS prepared as array_record, pictures left encoded, without TensorFlow.

Format: a folder `NAME/VERSION` with `dataset_info.json` and `features.json`, as
`tfds.builder(NAME, file_format="array_record").download_and_prepare()` leaves it. Read by
`as_data_source` with `SkipDecoding` for every picture.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mm15_jax.data.preparation import BadRecord, Part, Preparation, examples_of, range_parts
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

# (features of a record, the data set's name, the record's key) -> its Example. A picture is its
# encoded bytes, in a sequence its pixels; a text is bytes, a number or an array is NumPy's.
Convert = Callable[[Mapping[str, Any], str, str], Example]


def tfds_preparation(
    name: str,
    category: str,
    convert: Convert,
    *,
    splits: Sequence[str] = ("train", "validation", "test"),
    description: str = "",
    licence: str = "see publisher",
    version: int = 1,
) -> Preparation:
    """A data set that `prepare` converts from the folder of a TFDS builder.

    Args:
      name: of the data set that is made.
      category: of its examples, such as "general".
      convert: features of a record to an Example.
      splits: of TFDS; those that the folder does not have are left out.
      description: one sentence.
      licence: what the publisher states.
      version: raise it when `convert` gives other examples.
    """

    def parts(split: str, source: Source | None) -> list[Part]:
        info = _builder(_folder(source)).info
        if source is None or split not in info.splits:
            return []
        # Which file holds which record only TFDS knows: a part depends on all of the split's.
        files = ("dataset_info.json", *source.glob(f"*-{split}.array_record-*"))
        ranges = range_parts(split, info.splits[split].num_examples)
        return [dataclasses.replace(part, files=files) for part in ranges]

    def examples(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
        records = _records(_folder(source), split)
        items = ((f"{split}#{i}", (i, f"{split}#{i}")) for i in range(part.start, part.stop))
        return examples_of(items, lambda item: convert(records[item[0]], name, item[1]))

    return Preparation(
        name=name,
        category=category,
        description=description or f"{name} as TFDS prepared it.",
        licence=licence,
        splits=tuple(splits),
        parts=parts,
        convert=examples,
        format="TFDS",
        layout="dataset_info.json, features.json and *.array_record-* (a TFDS builder's folder)",
        version=version,
    )


def _folder(source: Source | None) -> str:
    assert source is not None, "prepare gives a source where a layout is named"
    if not source.is_local or not source.exists("dataset_info.json"):
        raise ValueError(
            f"{source.url} is no TFDS builder's folder on a local disk; expected NAME/VERSION with "
            "dataset_info.json"
        )
    return source.root


@functools.lru_cache(maxsize=8)
def _builder(folder: str) -> Any:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(folder)
    file_format = builder.info.file_format
    if file_format is None or file_format.value != "array_record":
        raise ValueError(
            f"{folder} is of TFDS's file format {file_format and file_format.value!r}; expected "
            "'array_record', which can be read at random: "
            'tfds.builder(NAME, file_format="array_record").download_and_prepare()'
        )
    return builder


@functools.lru_cache(maxsize=8)
def _records(folder: str, split: str) -> Sequence[Mapping[str, Any]]:
    import tensorflow_datasets as tfds

    builder = _builder(folder)
    decoders = _undecoded(builder.info.features, tfds)
    return builder.as_data_source(split=split, decoders=decoders)


def _undecoded(features: Any, tfds: Any) -> dict[str, Any]:
    """A decoder that leaves the bytes as they are, for each picture in a tree of features.

    Not for pictures in sequences, which TFDS cannot leave encoded without TensorFlow.
    """
    decoders: dict[str, Any] = {}
    for name, feature in features.items():
        if isinstance(feature, tfds.features.Image):
            decoders[name] = tfds.decode.SkipDecoding()
        elif isinstance(feature, tfds.features.FeaturesDict):
            decoders[name] = _undecoded(feature, tfds)
    return {name: decoder for name, decoder in decoders.items() if decoder}
