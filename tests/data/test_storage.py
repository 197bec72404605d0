import importlib.util
import logging
import os
import pathlib
import pickle
import time

import pytest

from mm15_jax.data import storage
from mm15_jax.data.storage import Growing, StorageError, draft, sizes, to_path, write_atomically
from tests.buckets import SECRET


@pytest.fixture(params=["local", "gs", "s3"])
def folder(request, tmp_path):
    """A folder that is not there yet, on a disk and in two kinds of buckets."""
    if request.param == "local":
        return tmp_path / "folder"
    return to_path(request.getfixturevalue(f"{request.param}_prefix")) / "folder"


def test_a_local_path_is_pathlibs():
    assert to_path("runs/mine") == pathlib.Path("runs/mine")
    assert not storage.is_remote(to_path("runs/mine"))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ftp://host/x", ["ftp://", "gs://BUCKET/PATH", "s3://BUCKET/PATH"]),
        ("gs://", ["gs://BUCKET/PATH"]),
        ("gs:/b/x", ["gs:/b/x: did you mean gs://b/x?"]),
        (pathlib.Path("s3://b/x"), ["s3:/b/x: did you mean s3://b/x?"]),
        ("gs://bucket/a/../../b", ["names no place in a bucket"]),
        ("s3://key:hidden@bucket/x", ["takes no credentials", "docs/storage.md"]),
        ("https://user:hidden@host/x", ["https://"]),
    ],
)
def test_an_address_that_cannot_be_meant(address, words):
    with pytest.raises(ValueError) as error:
        to_path(address)
    assert all(word in str(error.value) for word in words)
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize(("scheme", "extra"), [("gs", "gcs"), ("s3", "s3")])
def test_a_missing_package_is_named_with_the_command(monkeypatch, scheme, extra):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=rf"pip install mm15_jax\[{extra}\]"):
        to_path(f"{scheme}://bucket/x")


def test_what_is_written_is_read_and_listed(folder):
    assert sizes(folder) == {} and not folder.exists()
    write_atomically(folder / "a.json", b"one")
    write_atomically(folder / "a.json", b"other")
    write_atomically(folder / "below" / "b.json", b"")
    assert (folder / "a.json").read_bytes() == b"other"
    assert sizes(folder) == {"a.json": 5}
    assert storage.size_of(folder / "a.json") == 5
    assert storage.size_of(folder / "b.json") is storage.size_of(folder / "a.json" / "c") is None
    assert [path.parent.name for path in folder.glob("*/b.json")] == ["below"]
    (folder / "a.json").unlink()
    assert sizes(folder) == {}


def test_a_path_goes_through_pickle(folder):
    write_atomically(folder / "a", b"x")
    assert pickle.loads(pickle.dumps(folder / "a")).read_bytes() == b"x"
    assert storage.absolute(folder) == folder


def test_a_draft_appears_whole_or_not_at_all(folder):
    with draft(folder / "whole") as file:
        file.write_bytes(b"0123456789")
        assert not (folder / "whole").exists()
    with pytest.raises(RuntimeError), draft(folder / "half") as file:
        file.write_bytes(b"01234")
        raise RuntimeError("stopped")
    assert sizes(folder) == {"whole": 10}


def test_a_large_draft_is_sent_in_parts(gs_prefix):
    data = os.urandom(6 << 20)  # above what gcsfs sends in one piece
    path = to_path(gs_prefix) / "large"
    with draft(path) as file:
        file.write_bytes(data)
    assert path.read_bytes() == data


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_bucket_that_is_not_there_is_told_and_not_made(request, scheme):
    request.getfixturevalue(f"{scheme}_prefix")
    missing = to_path(f"{scheme}://no-such-bucket/x/y")
    assert sizes(missing.parent) == {} and not missing.exists()
    with pytest.raises(ValueError, match=r"bucket of .*no-such-bucket/x/y does not exist"):
        write_atomically(missing, b"data")
    storage.make_folder(missing)
    assert sizes(missing.parent) == {}


def test_an_upload_that_arrives_otherwise_is_an_error(gs_prefix, monkeypatch):
    client, _ = storage.client_of(to_path(gs_prefix))
    monkeypatch.setattr(client, "put_file", lambda local, remote: client.pipe_file(remote, b"half"))
    with pytest.raises(StorageError, match="has 4 bytes after an upload of 8"):  # noqa: SIM117
        with draft(to_path(gs_prefix) / "file") as file:
            file.write_bytes(b"complete")


def test_files_grow_where_nothing_can_be_appended(folder):
    with Growing(folder) as growing:
        with (growing.folder / "rows.jsonl").open("w") as file:
            for number in range(3):
                file.write(f"{number}\n")
                file.flush()
                growing.sync()
                assert (folder / "rows.jsonl").read_text().splitlines()[-1] == str(number)
            file.write("last\n")
        (growing.folder / "board").mkdir()
        (growing.folder / "board" / "events").write_bytes(b"1234")
    assert (folder / "rows.jsonl").read_text() == "0\n1\n2\nlast\n"
    assert (folder / "board" / "events").read_bytes() == b"1234"
    assert growing.folder == folder or not growing.folder.exists()


def test_growing_files_are_copied_in_the_background(gs_prefix, monkeypatch):
    monkeypatch.setattr(storage, "_COPY_EVERY", 0.05)
    path = to_path(gs_prefix) / "rows.jsonl"
    with Growing(path.parent) as growing:
        (growing.folder / path.name).write_text("row\n")
        for _ in range(200):
            if path.exists():
                break
            time.sleep(0.05)
        assert path.read_text() == "row\n"


def test_what_cannot_be_copied_is_kept_and_said_where(gs_prefix, monkeypatch):
    growing = Growing(to_path(gs_prefix))
    (growing.folder / "rows.jsonl").write_text("row\n")
    client, _ = storage.client_of(to_path(gs_prefix))

    def refuse(*_):
        raise OSError("Forbidden")

    monkeypatch.setattr(client, "pipe_file", refuse)
    with pytest.raises(StorageError, match=f"kept in {growing.folder}.*Forbidden"):
        growing.close()
    assert (growing.folder / "rows.jsonl").read_text() == "row\n"


def test_an_error_under_way_is_not_hidden_by_a_copy_that_fails(gs_prefix, monkeypatch, caplog):
    def refuse(*_):
        raise OSError("Forbidden")

    with pytest.raises(FloatingPointError), Growing(to_path(gs_prefix)) as growing:
        (growing.folder / "rows.jsonl").write_text("row\n")
        monkeypatch.setattr(storage.client_of(to_path(gs_prefix))[0], "pipe_file", refuse)
        raise FloatingPointError
    assert "Forbidden" in caplog.text


def test_credentials_are_not_logged(prefix, caplog):
    caplog.set_level(logging.DEBUG)
    write_atomically(to_path(prefix) / "a", b"x")
    with pytest.raises(FileNotFoundError) as error:
        (to_path(prefix) / "b").read_bytes()
    assert SECRET not in caplog.text and SECRET not in str(error.value)
