"""Records from whatever file holds them: a JSON array, lines (plain, gzip, zstd), parquet.

Publishers name lines of JSON `.json` as often as `.jsonl`, so a `.json` file is told by its first
character. What a converter sees is the same for all: a place and a dict.
"""

from __future__ import annotations

import functools
import gzip
import io
import json
import posixpath
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

from mm15_jax.data.convert import json_files, parquet_files
from mm15_jax.data.preparation import BadRecord, DataError, Part, examples_of
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

_LINES = (".jsonl", ".ndjson")
_COMPRESSED = (".gz", ".zst")
SUFFIXES = (
    ".json",
    ".parquet",
    *_LINES,
    *(kind + packed for kind in (".json", *_LINES) for packed in _COMPRESSED),
)
_LINE_BYTES = 64 * 2**20  # a longer compressed line is taken for a bomb

SPLITS = ("train", "validation", "test")
# Globs of files by split; or of all files, whose names tell the split.
Patterns = Mapping[str, Sequence[str]] | Sequence[str]
Convert = Callable[[str, dict[str, Any]], Example | Iterable[Example]]
Load = Callable[[], Any]


def record_parts(source: Source, files: Sequence[str]) -> list[Part]:
    """Parts of files of records; a compressed file, which cannot be entered midway, is one part.

    Raises:
      ValueError: if a file is of no kind that is known here, or not what its name says.
    """
    parts: list[Part] = []
    for file in files:
        if file.endswith(".parquet"):
            parts += parquet_files.parquet_parts(source, [file])
        elif file.endswith(_COMPRESSED):
            parts.append(Part(file, None, (file,)))
        elif _is_array(source, file):
            parts += json_files.array_parts(source, file)
        else:
            parts += json_files.lines_parts(source, [file])
    return parts


def converted(source: Source, part: Part, convert: Convert) -> Iterator[Example | BadRecord]:
    """Examples of a part's records by `convert(place, record)`; the damaged ones by name."""

    def example(item: tuple[str, Load]) -> Example | Iterable[Example]:
        place, load = item
        record = load()
        if not isinstance(record, dict):
            raise DataError(f"a record that is {type(record).__name__}, not an object")
        return convert(place, record)

    return examples_of(((place, (place, load)) for place, load in _records(source, part)), example)


def _records(source: Source, part: Part) -> Iterator[tuple[str, Load]]:
    """(place, what gives the record or raises) of a part."""
    file = part.files[0]
    if file.endswith(".parquet"):
        for place, row in parquet_files.parquet_rows(source, part):
            yield place, functools.partial(dict, row)
    elif file.endswith(_COMPRESSED):
        for place, line in _compressed_lines(source, file):
            yield place, functools.partial(_parsed, line)
    elif _is_array(source, file):
        for place, element in json_files.array_records(source, part):
            yield place, functools.partial(_same, element)
    else:
        for place, line in json_files.line_bytes(source, part):
            yield place, functools.partial(_parsed, line)


def _same(record: Any) -> Any:
    return record


def _parsed(line: bytes | DataError) -> Any:
    if isinstance(line, DataError):
        raise line
    try:
        return json.loads(line)
    except ValueError as error:  # of JSON or of UTF-8
        raise DataError(f"a line that is not JSON: {error}") from error


def _compressed_lines(source: Source, file: str) -> Iterator[tuple[str, bytes | DataError]]:
    """(place, line) of a file; where it is damaged, an error and no more."""
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
                yield place, DataError(f"the file is damaged from here on: {error}")
                return
            if len(line) == _LINE_BYTES:
                yield place, DataError(f"a line of {_LINE_BYTES} bytes or more; the rest is unread")
                return
            if not line:
                return
            if line.strip():
                yield place, line
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


def published_files(
    source: Source | None, patterns: Patterns, split: str, layout: str
) -> list[str]:
    """The files of a split, sorted; none if only other splits are there.

    Args:
      source: where to look.
      patterns: globs by split; or of all files, then `split_named` says whose a file is.
      split: which.
      layout: what the source must hold, for the sentence that says it does not.

    Raises:
      ValueError: if no split has a file.
    """
    if source is None:
        raise ValueError(f"no --source is given; expected {layout}")
    if isinstance(patterns, Mapping):
        found = {name: _glob(source, globs) for name, globs in patterns.items()}
    else:
        every = _glob(source, patterns)
        found = {name: [file for file in every if split_named(file) == name] for name in SPLITS}
    if not any(found.values()):
        there = ", ".join(source.glob("*")[:5]) or "no file"
        raise ValueError(f"{source.url} has {there} at its top; expected {layout}")
    return found[split]


def _glob(source: Source, patterns: Sequence[str]) -> list[str]:
    return sorted({file for pattern in patterns for file in source.glob(pattern)})


def split_named(file: str) -> str:
    """The split that words of a file's name, or the folder it is in, tell; else "train"."""
    folder, name = posixpath.split(file)
    words = re.split(r"[^a-z]+", f"{posixpath.basename(folder)}/{name}".lower())
    if "test" in words:
        return "test"
    held_out = {"val", "valid", "validation", "dev"}
    return "validation" if held_out.intersection(words) else "train"
