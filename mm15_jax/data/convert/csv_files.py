"""Tables of text: CSV and TSV files with a head."""

from __future__ import annotations

import csv
import functools
import io

from mm15_jax.data.source import Source


def load_table(
    source: Source, file: str, delimiter: str, columns: tuple[str, ...]
) -> list[dict[str, str]]:
    """Rows of a table with a head that names at least `columns`, kept for the next part."""
    return _stamped_table(source, file, source.stamp(file), delimiter, columns)


@functools.lru_cache(maxsize=4)
def _stamped_table(
    source: Source, file: str, stamp: str, delimiter: str, columns: tuple[str, ...]
) -> list[dict[str, str]]:
    text = io.StringIO(source.read(file).decode("utf-8"), newline="")
    table = csv.DictReader(text, delimiter=delimiter)
    absent = [name for name in columns if name not in (table.fieldnames or ())]
    if absent:
        raise ValueError(f"{file} in {source.url} has no column {', '.join(absent)}")
    return list(table)
