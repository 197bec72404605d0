"""Records from whatever file holds them: a JSON array, lines (plain, gzip, zstd), parquet, TFDS's.

Publishers name lines of JSON `.json` as often as `.jsonl`, so a `.json` file is told by its first
character. What a converter sees is the same for all: a place and a dict.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, cast

from mm15_jax.data import storage
from mm15_jax.data.convert import json_files, tfds_records
from mm15_jax.data.convert.reading import (
    JSON_LINES,
    Reading,
    by_file,
    json_array,
    json_lines,
    parquet,
    whole_files,
)
from mm15_jax.data.preparation import DataError, Part
from mm15_jax.data.source import Source

_LINES = (".jsonl", ".ndjson")
_COMPRESSED = (".gz", ".zst")
SUFFIXES = (
    ".json",
    ".parquet",
    *_LINES,
    *(kind + packed for kind in (".json", *_LINES) for packed in _COMPRESSED),
)
_LINE_BYTES = 64 * 2**20  # a longer compressed line is taken for a bomb


def _compressed_lines(source: Source, file: str) -> Iterator[tuple[str, Any]]:
    """(place, record) of a file; where it is damaged, an error and no more."""
    import pyarrow

    with source.open(file) as raw:
        if file.endswith(".gz"):
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw))
        else:
            stream = io.BufferedReader(pyarrow.CompressedInputStream(raw, "zstd"))
        number = 0
        while True:
            place = f"{file}#{number}"
            try:
                line = stream.readline(_LINE_BYTES)
            except (EOFError, OSError, zlib.error, pyarrow.ArrowException) as error:
                storage.raise_of_network(error)
                yield place, DataError(f"the file is damaged from here on: {error}")
                return
            if len(line) == _LINE_BYTES:
                yield place, DataError(f"a line of {_LINE_BYTES} bytes or more; the rest is unread")
                return
            if not line:
                return
            if line.strip():
                yield place, json_files.parsed_line(line)
            number += 1


def _is_array(source: Source, file: str) -> bool:
    if file.endswith(_LINES):
        return False
    if not file.endswith(".json"):
        raise ValueError(f"{file} in {source.url}: expected a file named {', '.join(SUFFIXES)}")
    with source.open(file) as stream:
        start = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith((b"[", b"{")):
        raise ValueError(f"{file} in {source.url} is neither a JSON array nor lines of objects")
    return start.startswith(b"[")


def _record_files(array: Reading, lines: Reading) -> Reading:
    """Records of whatever file, where arrays and lines are divided as these readings do."""
    compressed, rows = whole_files(_compressed_lines), parquet()
    tfds = whole_files(tfds_records.records)

    def reading_of(source: Source, file: str) -> Reading:
        if tfds_records.is_one(file):
            return tfds
        if file.endswith(".parquet"):
            return rows
        if file.endswith(_COMPRESSED):
            return compressed
        return array if _is_array(source, file) else lines

    readings = by_file(reading_of)

    def parts(source: Source, files: Sequence[str]) -> Sequence[Part]:
        return readings.parts(source, [f for f in files if not tfds_records.is_beside(f)])

    def records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
        for place, record in readings.records(source, part):
            if isinstance(record, dict | DataError):
                yield place, record
            else:
                kind = type(record).__name__
                yield place, DataError(f"a record that is {kind}, not an object")

    return Reading(parts, records)


RECORD_FILES = _record_files(json_array(), JSON_LINES)
# Of texts without pictures a part has more.
TEXT_FILES = _record_files(json_array(per_part=8192), json_lines(64 * 2**20))
