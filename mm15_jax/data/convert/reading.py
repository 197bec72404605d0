"""What most converters share: how published files are read, and a preparation made of that.

A `Reading` says how files are divided into parts and how the records of a part are found again; a
data set is then its files, a reading, and a function from a record to examples.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mm15_jax.data.convert import json_files, json_stream, parquet_files
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation, examples_of
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

RECORDS = 2048  # of a part, each with a picture or more
_BYTES = 2**21  # of a part of lines, for as many
_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Reading:
    """How the files of a split become parts, and a part its (place, record) pairs."""

    parts: Callable[[Source, Sequence[str]], Sequence[Part]]
    records: Callable[[Source, Part], Iterator[tuple[str, Any]]]
    # Every record of the files in one pass, where that is faster than a part at a time.
    stream: Callable[[Source, Sequence[str]], Iterator[tuple[str, Any]]] | None = None

    def all(self, source: Source, files: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Every record of the files."""
        if self.stream is not None:
            yield from self.stream(source, files)
            return
        for part in self.parts(source, files):
            yield from self.records(source, part)


def _each(parts: Callable[[Source, str], list[Part]]):
    return lambda source, files: [part for file in files for part in parts(source, file)]


def _stream(key: str, opening: str):
    def records(source: Source, files: Sequence[str]) -> Iterator[tuple[str, Any]]:
        for file in files:
            for begin, _, value in json_stream.elements(source, file, key, opening):
                yield f"{file}@{begin}", value

    return records


def json_array(key: str = "") -> Reading:
    """An array of records, the whole file or under `key`."""
    parts = functools.partial(json_files.array_parts, key=key, per_part=RECORDS)
    return Reading(_each(parts), json_files.array_records, _stream(key, "["))


def json_object(key: str = "") -> Reading:
    """An object of records by name; a record is (name, value)."""
    parts = functools.partial(json_files.object_parts, key=key, per_part=RECORDS)
    return Reading(_each(parts), json_files.object_records, _stream(key, "{"))


def _line_parts(source: Source, files: Sequence[str]) -> list[Part]:
    return json_files.lines_parts(source, files, _BYTES)


def _json_lines(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    for place, line in json_files.line_records(source, part):
        try:
            yield place, json.loads(line)
        except ValueError as error:
            yield place, DataError(f"not a JSON record ({error})")


# Lines as they are, and lines that are a JSON record each.
LINES = Reading(_line_parts, json_files.line_records)
JSON_LINES = Reading(_line_parts, _json_lines)


def parquet(*columns: str) -> Reading:
    """Rows of parquet files."""
    return Reading(
        parquet_files.parquet_parts,
        functools.partial(parquet_files.parquet_rows, columns=columns),
    )


def _file_parts(source: Source, files: Sequence[str]) -> list[Part]:
    chunks = [files[i : i + RECORDS] for i in range(0, len(files), RECORDS)]
    return [Part(f"{chunk[0]} and {len(chunk) - 1} more", None, tuple(chunk)) for chunk in chunks]


# A file a record; the record is the file's name.
FILE_NAMES = Reading(_file_parts, lambda source, part: ((name, name) for name in part.files))


def uncounted(reading: Reading) -> Reading:
    """The same where a part has records of several splits, so that their number is not known."""
    return Reading(
        lambda source, files: [
            replace(part, records=None) for part in reading.parts(source, files)
        ],
        reading.records,
    )


def placed(reading: Reading) -> Reading:
    """The same, each record beside its place: of data sets that do not number their records."""

    def records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
        for place, record in reading.records(source, part):
            yield place, record if isinstance(record, DataError) else (place, record)

    return Reading(reading.parts, records)


def grouped(reading: Reading, pair: Callable[[Any], tuple[str, Any]]) -> Reading:
    """Records that belong together as one: the questions on a picture.

    Args:
      reading: of the single records.
      pair: of a record, what it belongs to and what is kept of it: every process holds what is
        kept of the whole split, so it should be little.

    Returns:
      A reading whose records are (what they belong to, list of what was kept).
    """

    @functools.lru_cache(maxsize=1)
    def groups(source: Source, files: tuple[str, ...]) -> list[tuple[str, list | DataError]]:
        found: dict[str, list] = {}
        bad: list[tuple[str, list | DataError]] = []
        for place, record in reading.all(source, files):
            if isinstance(record, DataError):
                bad.append((place, record))
                continue
            try:
                name, kept = pair(record)
            except (KeyError, TypeError, ValueError) as error:
                bad.append((place, DataError(f"{type(error).__name__}: {error}")))
            else:
                found.setdefault(name, []).append(kept)
        return [*found.items(), *bad]

    def parts(source: Source, files: Sequence[str]) -> list[Part]:
        count = len(groups(source, tuple(files)))
        return json_files.table_parts(files[0], count, files, RECORDS)

    def records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
        for name, kept in groups(source, part.files)[part.start : part.stop]:
            yield name, kept if isinstance(kept, DataError) else (name, kept)

    return Reading(parts, records)


def files_of(source: Source, patterns: Sequence[str]) -> list[str]:
    """Names of the files that are there, in the order of the patterns.

    "*" and "**" match as in `Source.glob`; of alternatives, "a|b", the first that is there counts.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        for alternative in pattern.split("|"):
            if "*" in alternative:
                names = source.glob(alternative)
            else:
                names = [alternative] if source.exists(alternative) else []
            if names:
                found.update(dict.fromkeys(names))
                break
    return list(found)


def present(
    source: Source, split: str, files: Mapping[str, Sequence[str]], expected: str
) -> list[str]:
    """The files of a split that are there; none if only other splits are.

    Raises:
      ValueError: if no split has any.
    """
    found = files_of(source, files[split])
    if found or any(files_of(source, patterns) for patterns in files.values()):
        return found
    names = source.glob("*") or source.glob("*/*")
    there = ", ".join(names[:_NAMES_SHOWN]) + (" ..." if len(names) > _NAMES_SHOWN else "")
    raise ValueError(f"{source.url} has {there or 'no files'}; expected {expected}")


def file_preparation(
    *,
    name: str,
    category: str,
    description: str,
    licence: str,
    format: str,
    layout: str,
    files: Mapping[str, Sequence[str]],
    reading: Reading,
    example: Callable[[Maker, Any], Example | Iterable[Example | BadRecord]],
    train_reading: Reading | None = None,
    version: int = 1,
) -> Preparation:
    """A data set of files that a reading divides.

    Args:
      name: as in `Preparation`, and so are those not listed here.
      category: of its examples.
      description: one sentence.
      licence: what the publisher states.
      format: a word.
      layout: what --source must hold.
      files: names or patterns, by split; a split without any has no parts.
      reading: of every split.
      example: makes the examples of a record; BadRecords for what is bad within it.
      train_reading: of split "train" instead, where questions on a picture are one example.
      version: as in `Preparation`.
    """

    def reading_of(split: str) -> Reading:
        return train_reading if train_reading is not None and split == "train" else reading

    def parts(split: str, source: Source | None) -> Sequence[Part]:
        assert source is not None
        found = present(source, split, files, f"{name}: {layout}")
        return reading_of(split).parts(source, found) if found else []

    def convert(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
        assert source is not None
        maker = Maker(source, name, category, split)

        def examples(record: Any) -> Example | Iterable[Example | BadRecord]:
            if isinstance(record, DataError):
                raise record
            return example(maker, record)

        return examples_of(reading_of(split).records(source, part), examples)

    return Preparation(
        name=name,
        category=category,
        description=description,
        licence=licence,
        splits=tuple(files),
        parts=parts,
        convert=convert,
        format=format,
        layout=layout,
        version=version,
    )
