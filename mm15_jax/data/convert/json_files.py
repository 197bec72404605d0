"""JSON as data sets publish it: arrays of records, a line a record, whole files; cut into parts.

An annotation file may have a gigabyte in one array. One pass over its bytes finds where its
elements begin, without building a single object; a part is then a range of bytes that parses alone.
"""

from __future__ import annotations

import functools
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from mm15_jax.data.preparation import DataError, Part
from mm15_jax.data.source import Source

RECORDS = 8192  # of a part
_LINES_BYTES = 64 * 2**20  # of a part of a file with a record a line
# A string, or what opens, closes and separates outside of strings.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


def array_parts(source: Source, file: str, *, key: str = "", per_part: int = RECORDS) -> list[Part]:
    """Parts of the array that a JSON file is, or that its top-level object has under `key`.

    Raises:
      ValueError: if the file is not that.
    """
    parts, first, stop, count = [], 0, 0, 0
    for begin, end in _elements(source.read(file), key, f"{file} in {source.url}"):
        if count == 0:
            first = begin
        stop, count = end, count + 1
        if count == per_part:
            parts.append(_part(file, first, stop, count))
            count = 0
    return [*parts, _part(file, first, stop, count)] if count else parts


def _part(file: str, start: int, stop: int, records: int | None) -> Part:
    return Part(f"{file}[{start}:{stop}]", records, (file,), start, stop)


def _elements(data: bytes, key: str, where: str) -> Iterator[tuple[int, int]]:
    """(first byte, byte behind the last) of each element of the array."""
    inside = 2 if key else 1  # depth of the array's elements
    opened = b'"%s"' % key.encode()
    depth, begin, within, last = 0, 0, not key, b""
    for token in _TOKEN.finditer(data):
        text = token.group()
        if text in (b"[", b"{"):
            depth += 1
            if depth == inside:
                within = text == b"[" and (not key or last == opened)
                begin = token.end()
        elif text in (b"]", b"}", b","):
            if depth == inside and within:
                if data[begin : token.start()].strip():
                    yield begin, token.start()
                begin = token.end()
                if text == b"]":
                    return
            depth -= text != b","
        last = text if text != b"," else b""
    named = f"under {key!r}" if key else "at its top"
    raise ValueError(f"{where} is no JSON file with an array {named}")


def array_records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    """(place, element) for each element of a part of `array_parts`."""
    data = _bytes(source, part)
    try:
        elements = json.loads(b"[" + data + b"]")
    except ValueError as error:
        raise ValueError(f"{part.name} is not JSON: {error}") from error
    for number, element in enumerate(elements):
        yield f"{part.name}#{number}", element


def lines_parts(source: Source, files: Sequence[str]) -> list[Part]:
    """Parts of files with a record a line, about 64 MB each; a line belongs where it begins."""
    parts = []
    for file in files:
        size = source.size(file)
        for start in range(0, size, _LINES_BYTES):
            parts.append(_part(file, start, min(start + _LINES_BYTES, size), None))
    return parts


def line_records(source: Source, part: Part) -> Iterator[tuple[str, str]]:
    """(place, text) for each line of a part of `lines_parts` that is not empty."""
    with source.open(part.files[0]) as stream:
        place = part.start
        if place:
            stream.seek(place - 1)
            place += len(stream.readline()) - 1  # the line that began before is not of this part
        while place < part.stop:
            line = stream.readline()
            if line.strip():
                yield f"{part.files[0]}@{place}", line.decode("utf-8")
            place += len(line)


def _bytes(source: Source, part: Part) -> bytes:
    with source.open(part.files[0]) as stream:
        stream.seek(part.start)
        return stream.read(part.stop - part.start)


@functools.lru_cache(maxsize=4)
def load_json(source: Source, file: str) -> Any:
    """A whole JSON file, kept for the next part; for tables that refer to one another.

    Raises:
      DataError: if it is not there.
      ValueError: if it is not JSON.
    """
    try:
        return json.load(io.TextIOWrapper(source.open(file), encoding="utf-8"))
    except DataError:
        raise
    except ValueError as error:
        raise ValueError(f"{file} in {source.url} is not JSON: {error}") from error


def table_parts(
    name: str, records: int, files: Sequence[str], per_part: int = RECORDS
) -> list[Part]:
    """Parts of a table of so many records that `load_json` or the like holds whole."""
    return [
        Part(
            f"{name}[{start}:{min(start + per_part, records)}]",
            min(per_part, records - start),
            tuple(files),
            start,
            min(start + per_part, records),
        )
        for start in range(0, records, per_part)
    ]
