"""Parquet files as the Hugging Face hub has them, for fixtures."""

import io

import pyarrow
import pyarrow.parquet

IMAGE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
TEXT = pyarrow.string()


def cell(data, path="0.jpg"):
    """A picture as a cell of a row."""
    return {"bytes": data, "path": path}


def write_rows(path, columns, rows):
    """A parquet file of rows; `columns` are names with their Arrow types."""
    table = pyarrow.Table.from_pylist(rows, pyarrow.schema(list(columns.items())))
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream, row_group_size=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stream.getvalue())
