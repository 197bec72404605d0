"""Parquet files in parts of row groups, read a batch at a time: few pictures are in memory.

Format: what the Hugging Face hub publishes, such as `data/train-00000-of-00738.parquet`, with
pictures as `{"bytes": binary, "path": string}`. The footer alone says how a file is divided.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mm15_jax.data.convert.json_files import RECORDS
from mm15_jax.data.preparation import DataError, Part
from mm15_jax.data.source import Source

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_PART_BYTES = 256 * 2**20  # of a part, before compression; a row group is never divided
_BATCH = 32  # rows in memory: pictures of web pages have megabytes
_READ_AHEAD = 2**20  # bytes of a column


def parquet_parts(source: Source, files: Sequence[str]) -> list[Part]:
    """Parts of parquet files: row groups start to stop, of about 256 MB or 8192 rows.

    Raises:
      ValueError: if a file is no parquet.
    """
    parts = []
    for file in files:
        with _opened(source, file) as table:
            first, rows, size = 0, 0, 0
            for group in range(table.metadata.num_row_groups):
                facts = table.metadata.row_group(group)
                if rows and (
                    rows + facts.num_rows > RECORDS or size + facts.total_byte_size > _PART_BYTES
                ):
                    parts.append(_part(file, first, group, rows))
                    first, rows, size = group, 0, 0
                rows += facts.num_rows
                size += facts.total_byte_size
            if rows:
                parts.append(_part(file, first, table.metadata.num_row_groups, rows))
    return parts


def _part(file: str, start: int, stop: int, rows: int) -> Part:
    return Part(f"{file}[{start}:{stop}]", rows, (file,), start, stop)


def parquet_rows(
    source: Source, part: Part, columns: Sequence[str] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, row as Python objects) for each row of a part of `parquet_parts`, in order.

    Args:
      source: where the file is.
      part: which row groups.
      columns: what to read, None for all; other columns cost nothing.

    Raises:
      ValueError: if a column is not there, or the file is damaged.
    """
    file = part.files[0]
    with _opened(source, file) as table:
        absent = [name for name in columns or () if name not in table.schema_arrow.names]
        if absent:
            raise ValueError(
                f"{file} in {source.url} has no column {', '.join(absent)}; it has "
                f"{', '.join(table.schema_arrow.names)}"
            )
        number = sum(table.metadata.row_group(group).num_rows for group in range(part.start))
        groups = range(part.start, part.stop)
        for batch in table.iter_batches(
            _BATCH, row_groups=groups, columns=columns and list(columns)
        ):
            for row in batch.to_pylist():
                yield f"{file}#{number}", row
                number += 1


@contextlib.contextmanager
def _opened(source: Source, file: str) -> Iterator[ParquetFile]:
    """The file; what is damaged in it becomes a ValueError that names it."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with (
            source.open(file) as stream,
            ParquetFile(stream, buffer_size=_READ_AHEAD, pre_buffer=False) as table,
        ):
            yield table
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{file} in {source.url} is no readable parquet file: {error}") from error


def picture_bytes(cell: Any) -> bytes:
    """The encoded picture of a cell: bytes, or the hub's `{"bytes": ..., "path": ...}`.

    Raises:
      DataError: if there are no bytes; a path alone names a file on its author's machine.
    """
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(data, bytes) or not data:
        raise DataError("a row without the bytes of its picture")
    return data
