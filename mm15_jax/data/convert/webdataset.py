"""Data sets in webdataset's tars: one tar is one part, read from end to end as a stream.

Format: as webdataset and img2dataset write it (`archives.tar_samples`): the files of a sample share
a name up to its first dot, and follow each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from mm15_jax.data.convert.archives import Sample, tar_samples
from mm15_jax.data.convert.record_files import published_files
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation, examples_of
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

# A sample and its key to its examples; BadRecords among them for parts of it.
Convert = Callable[[str, Sample], Example | Iterable[Example | BadRecord]]


def webdataset_preparation(
    *,
    name: str,
    category: str,
    description: str,
    licence: str,
    layout: str,
    fields: Sequence[str],
    example: Convert,
    files: Sequence[str] = ("**/*.tar", "**/*.tar.gz"),
    check: Callable[[], None] = lambda: None,
) -> Preparation:
    """A data set with one split, "train".

    Args:
      name: as in `Preparation`, and so are those not listed here.
      category: of its examples.
      description: one sentence.
      licence: what the publisher states.
      layout: what --source must hold.
      fields: extensions that are read, in lower case; others are passed over.
      example: makes the examples of a sample. The key it is given is unique over all tars.
      files: patterns of the tars.
      check: raises where a package that the conversion needs is absent.
    """

    def parts(split: str, source: Source | None) -> list[Part]:
        check()
        found = published_files(source, {split: files}, split, layout)
        return [Part(file, None, (file,)) for file in found]

    def convert(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
        assert source is not None, "parts are of a source"
        file = part.files[0]
        for sample in tar_samples(source, file, fields):
            if isinstance(sample, BadRecord):
                yield sample
                continue
            key = f"{file}:{sample.key}"
            yield from examples_of([(key, sample)], lambda sample: example(key, sample))  # noqa: B023

    return Preparation(
        name=name,
        category=category,
        description=description,
        licence=licence,
        splits=("train",),
        parts=parts,
        convert=convert,
        format="webdataset",
        layout=layout,
    )


def field(sample: Sample, *names: str) -> bytes:
    """The first field that a sample has; DataError if it has none of them."""
    for name in names:
        if name in sample.fields:
            return sample.fields[name]
    raise DataError(f"a sample without {' or '.join(names)}; it has {', '.join(sample.fields)}")


def json_field(sample: Sample) -> dict[str, Any]:
    """The object in a sample's `json`; DataError if that is something else."""
    try:
        value = json.loads(field(sample, "json"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"its json is damaged: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"its json is {type(value).__name__}, not an object")
    return value
