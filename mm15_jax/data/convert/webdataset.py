"""Data sets in webdataset's tars: one tar is one part, read from end to end as a stream.

Format: as webdataset and img2dataset write it (`archives.tar_samples`): the files of a sample share
a name up to its first dot, and follow each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mm15_jax.data.convert.archives import Sample, tar_samples
from mm15_jax.data.convert.reading import Reading, whole_files
from mm15_jax.data.preparation import BadRecord, DataError
from mm15_jax.data.source import Source

TARS = ("**/*.tar", "**/*.tar.gz")


def webdataset(*fields: str) -> Reading:
    """Samples of tars; a record is (key, sample), its key unique over all tars.

    Args:
      *fields: extensions that are read, in lower case; others are passed over.
    """

    def samples(source: Source, file: str) -> Iterator[tuple[str, Any]]:
        for sample in tar_samples(source, file, fields):
            if isinstance(sample, BadRecord):
                yield sample.key, DataError(sample.reason)
            else:
                key = f"{file}:{sample.key}"
                yield key, (key, sample)

    return whole_files(samples)


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
