"""JSON as data sets publish it: arrays of records, a line a record, whole files; cut into parts.

An annotation file may have a gigabyte in one array. One pass, an element in memory at a time, finds
where its elements begin; a part is then a range of bytes that parses alone.
"""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from mm15_jax.data.convert import json_stream
from mm15_jax.data.preparation import DataError, Part
from mm15_jax.data.source import Source

RECORDS = 8192  # of a part
_LINES_BYTES = 64 * 2**20  # of a part of a file with a record a line


def array_parts(source: Source, file: str, *, key: str = "", per_part: int = RECORDS) -> list[Part]:
    """Parts of the array that a JSON file is, or that its top-level object has under `key`.

    Raises:
      ValueError: if the file is not that.
    """
    return _parts(source, file, key, "[", per_part)


def object_parts(
    source: Source, file: str, *, key: str = "", per_part: int = RECORDS
) -> list[Part]:
    """Parts of the members of an object, as `array_parts` of the elements of an array."""
    return _parts(source, file, key, "{", per_part)


def _parts(source: Source, file: str, key: str, opening: str, per_part: int) -> list[Part]:
    parts, first, stop, count = [], 0, 0, 0
    for begin, end, _ in json_stream.elements(source, file, key, opening):
        if count == 0:
            first = begin
        stop, count = end, count + 1
        if count == per_part:
            parts.append(_part(file, first, stop, count))
            count = 0
    return [*parts, _part(file, first, stop, count)] if count else parts


def _part(file: str, start: int, stop: int, records: int | None) -> Part:
    return Part(f"{file}[{start}:{stop}]", records, (file,), start, stop)


def array_records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    """(place, element) for each element of a part of `array_parts`."""
    for number, element in enumerate(_parsed(source, part, b"[", b"]")):
        yield f"{part.name}#{number}", element


def object_records(source: Source, part: Part) -> Iterator[tuple[str, tuple[str, Any]]]:
    """(place, (name, value)) for each member of a part of `object_parts`."""
    for name, value in _parsed(source, part, b"{", b"}").items():
        yield f"{part.files[0]}: {name}", (name, value)


def _parsed(source: Source, part: Part, opening: bytes, closing: bytes) -> Any:
    try:
        return json.loads(opening + _bytes(source, part) + closing)
    except ValueError as error:
        raise ValueError(f"{part.name} is not JSON: {error}") from error


def lines_parts(source: Source, files: Sequence[str], per_part: int = _LINES_BYTES) -> list[Part]:
    """Parts of so many bytes of files with a record a line; a line belongs where it begins."""
    parts = []
    for file in files:
        size = source.size(file)
        for start in range(0, size, per_part):
            parts.append(_part(file, start, min(start + per_part, size), None))
    return parts


def line_records(source: Source, part: Part) -> Iterator[tuple[str, str | DataError]]:
    """(place, text) for each line of a part of `lines_parts` that is not empty."""
    for place, line in line_bytes(source, part):
        try:
            yield place, line.decode("utf-8")
        except UnicodeDecodeError as error:
            yield place, DataError(f"a line that is not UTF-8: {error}")


def parsed_line(line: bytes) -> Any:
    """The JSON of a line; a DataError in its place if it is damaged."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:  # of JSON or of UTF-8
        return DataError(f"a line that is not JSON: {error}")


def line_bytes(source: Source, part: Part) -> Iterator[tuple[str, bytes]]:
    """(place, line as it is) for each line of a part of `lines_parts` that is not empty."""
    with source.open(part.files[0]) as stream:
        place = part.start
        if place:
            stream.seek(place - 1)
            place += len(stream.readline()) - 1  # the line that began before is not of this part
        while place < part.stop:
            line = stream.readline()
            if line.strip():
                yield f"{part.files[0]}@{place}", line
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
