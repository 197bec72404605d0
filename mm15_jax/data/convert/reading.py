"""What most converters share: how published files are read, and a preparation made of that.

A `Reading` says how files are divided into parts and how the records of a part are found again; a
data set is then its files, a reading, and a function from a record to examples.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mm15_jax.data.convert import json_files, json_stream, parquet_files
from mm15_jax.data.convert.published import (
    NoFilesError,
    Patterns,
    files_of,
    published_files,
    splits_of,
    stamp_of,
)
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation, examples_of
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

RECORDS = 2048  # of a part, each with a picture or more
_BYTES = 2**21  # of a part of lines, for as many


@dataclass(frozen=True)
class Reading:
    """How the files of a split become parts, and a part its (place, record) pairs.

    A record that is damaged is a DataError in its place. A place begins with its file's name.
    """

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


def json_array(key: str = "", per_part: int = RECORDS) -> Reading:
    """An array of records, the whole file or under `key`."""
    parts = functools.partial(json_files.array_parts, key=key, per_part=per_part)
    return Reading(_each(parts), json_files.array_records, _stream(key, "["))


def json_object(key: str = "") -> Reading:
    """An object of records by name; a record is (name, value)."""
    parts = functools.partial(json_files.object_parts, key=key, per_part=RECORDS)
    return Reading(_each(parts), json_files.object_records, _stream(key, "{"))


def lines(part_bytes: int = _BYTES) -> Reading:
    """Lines of text as they are; a part has so many bytes of them."""
    return Reading(
        lambda source, files: json_files.lines_parts(source, files, part_bytes),
        json_files.line_records,
    )


def json_lines(part_bytes: int = _BYTES) -> Reading:
    """Lines that are a JSON record each."""

    def records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
        for place, line in json_files.line_bytes(source, part):
            yield place, json_files.parsed_line(line)

    return Reading(lines(part_bytes).parts, records)


LINES = lines()
JSON_LINES = json_lines()


def parquet(*columns: str) -> Reading:
    """Rows of parquet files; of all columns where none is named."""
    return Reading(
        parquet_files.parquet_parts,
        functools.partial(parquet_files.parquet_rows, columns=columns or None),
    )


def whole_files(records: Callable[[Source, str], Iterator[tuple[str, Any]]]) -> Reading:
    """Files that cannot be entered midway: one is one part."""
    return Reading(
        lambda source, files: [Part(file, None, (file,)) for file in files],
        lambda source, part: records(source, part.files[0]),
    )


def by_file(reading_of: Callable[[Source, str], Reading]) -> Reading:
    """Files of several kinds, each read as `reading_of` says."""
    return Reading(
        lambda source, files: [
            part for file in files for part in reading_of(source, file).parts(source, [file])
        ],
        lambda source, part: reading_of(source, part.files[0]).records(source, part),
    )


def _file_parts(source: Source, files: Sequence[str]) -> list[Part]:
    chunks = [files[i : i + RECORDS] for i in range(0, len(files), RECORDS)]
    return [Part(f"{chunk[0]} and {len(chunk) - 1} more", None, tuple(chunk)) for chunk in chunks]


# A file a record; the record is the file's name.
FILE_NAMES = Reading(_file_parts, lambda source, part: ((name, name) for name in part.files))


def in_memory(
    rows: Callable[[Source, tuple[str, ...]], Sequence[tuple[str, Any]]], per_part: int = RECORDS
) -> Reading:
    """Records of files that are read whole, and belong together.

    Args:
      rows: (place, record) of all records of the files; it should be kept for the next part, as
        `functools.lru_cache` does.
      per_part: records of a part.
    """

    def parts(source: Source, files: Sequence[str]) -> list[Part]:
        count = len(rows(source, tuple(files)))
        return json_files.table_parts(files[0], count, files, per_part)

    def records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
        found = rows(source, part.files)
        return (found[number] for number in range(part.start, part.stop))

    return Reading(parts, records)


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
    def groups(source: Source, files: tuple[str, ...]) -> list[tuple[str, Any]]:
        found: dict[str, list] = {}
        bad: list[tuple[str, DataError]] = []
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
        return [*((name, (name, kept)) for name, kept in found.items()), *bad]

    return in_memory(groups)


def grouped_in_training(
    reading: Reading, pair: Callable[[Any], tuple[str, Any]]
) -> Callable[[str], Reading]:
    """By split: for training the questions on a picture are one record, else each is one."""
    together = grouped(reading, pair)
    return lambda split: together if split == "train" else reading


def uncounted(reading: Reading) -> Reading:
    """The same where a part has records of several splits, so that their number is not known."""
    return replace(
        reading,
        parts=lambda source, files: [
            replace(part, records=None) for part in reading.parts(source, files)
        ],
    )


def placed(reading: Reading) -> Reading:
    """The same, each record beside its place: of data sets that do not number their records."""

    def records(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
        for place, record in reading.records(source, part):
            yield place, record if isinstance(record, DataError) else (place, record)

    return Reading(reading.parts, records)


def requiring(check: Callable[[], None], reading: Reading) -> Reading:
    """The same where `check` does not raise, which says what must be installed."""

    def parts(source: Source, files: Sequence[str]) -> Sequence[Part]:
        check()
        return reading.parts(source, files)

    return replace(reading, parts=parts)


def file_preparation(
    *,
    name: str,
    category: str,
    description: str,
    licence: str,
    format: str,
    layout: str,
    files: Patterns,
    reading: Reading | Callable[[str], Reading],
    example: Callable[[Maker, Any], Example | Iterable[Example | BadRecord]],
    together: bool = False,
    beside: Sequence[str] = (),
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
      reading: of every split, or of the split that it is given.
      example: makes the examples of a record; BadRecords for what is bad within it.
      together: whether the files of a split are of use together only.
      beside: names or patterns of what records of every part are read with, and that may be absent:
        lists of splits, tables of all pictures. A part is stale when one of them changes. What one
        record alone is read with, such as its picture, is not watched.
      version: as in `Preparation`.
    """

    def reading_of(split: str) -> Reading:
        return reading if isinstance(reading, Reading) else reading(split)

    def parts(split: str, source: Source | None) -> Sequence[Part]:
        assert source is not None
        expected = f"{name}: {layout}"
        found = published_files(source, files, split, expected, together=together)
        if not found:
            return []
        stamp = stamp_of(source, files_of(source, beside))
        return [replace(part, beside=stamp) for part in reading_of(split).parts(source, found)]

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
        splits=splits_of(files),
        parts=parts,
        convert=convert,
        format=format,
        layout=layout,
        version=version,
    )


def either(
    first: Preparation, second: Preparation, has_second: Callable[[Source, str], bool]
) -> Preparation:
    """A data set that is published in two layouts, which may both be there.

    Args:
      first: what it is, and how it is converted.
      second: how a split is converted that the source has in this layout.
      has_second: whether it does, of a source and a split.
    """

    def chosen(split: str, source: Source | None) -> Preparation:
        assert source is not None
        return second if has_second(source, split) else first

    def parts(split: str, source: Source | None) -> Sequence[Part]:
        preparation = chosen(split, source)
        if split not in preparation.splits:
            return []
        try:
            return preparation.parts(split, source)
        except NoFilesError:
            if any(chosen(other, source) is second for other in second.splits):
                return []  # a source of the second layout, without this split
            raise

    return replace(
        first,
        parts=parts,
        convert=lambda split, part, source: chosen(split, source).convert(split, part, source),
        splits=tuple(dict.fromkeys((*first.splits, *second.splits))),
        layout=f"{first.layout}; or {second.layout}",
    )
