import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mm15_jax.data.convert import parquet_files
from mm15_jax.data.convert.parquet_files import parquet_parts, parquet_rows, picture_bytes
from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source


def write(path, rows, group):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)


@pytest.fixture
def source(tmp_path):
    rows = [{"text": f"t{i}", "image": {"bytes": b"x", "path": f"{i}.png"}} for i in range(10)]
    write(tmp_path / "data" / "train-0.parquet", rows, 3)
    return Source(tmp_path)


def test_small_row_groups_share_a_part_and_rows_are_numbered_in_the_file(source, monkeypatch):
    assert [
        (p.start, p.stop, p.records) for p in parquet_parts(source, ["data/train-0.parquet"])
    ] == [(0, 4, 10)]
    monkeypatch.setattr(parquet_files, "RECORDS", 6)
    parts = parquet_parts(source, ["data/train-0.parquet"])
    assert [(p.start, p.stop, p.records) for p in parts] == [(0, 2, 6), (2, 4, 4)]
    rows = list(parquet_rows(source, parts[1], ["text"]))
    assert rows[0] == ("data/train-0.parquet#6", {"text": "t6"})
    assert [row["text"] for _, row in rows] == ["t6", "t7", "t8", "t9"]


def test_large_row_groups_are_parts_of_their_own(source, monkeypatch):
    monkeypatch.setattr(parquet_files, "_PART_BYTES", 1)
    assert len(parquet_parts(source, ["data/train-0.parquet"])) == 4


def test_an_absent_column_is_named_with_those_that_are_there(source):
    (part,) = parquet_parts(source, ["data/train-0.parquet"])
    with pytest.raises(ValueError, match="no column html; it has text, image"):
        next(parquet_rows(source, part, ["text", "html"]))


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ValueError, match=r"a\.parquet in .* is no readable parquet"):
        parquet_parts(Source(tmp_path), ["a.parquet"])


def test_pictures_come_as_bytes_or_in_the_hubs_struct():
    assert picture_bytes(b"x") == picture_bytes({"bytes": b"x", "path": None}) == b"x"
    for cell in (None, b"", {"bytes": None, "path": "/home/author/a.png"}):
        with pytest.raises(DataError, match="without the bytes"):
            picture_bytes(cell)
