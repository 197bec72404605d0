import pickle

import fsspec
import pytest

from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source


@pytest.fixture(params=["folder", "memory"])
def source(request, tmp_path):
    """The same files in a folder and in a bucket."""
    files = {"a.txt": b"first", "deep/b.txt": b"second", "deep/er/c.json": b"{}"}
    if request.param == "folder":
        for name, data in files.items():
            path = tmp_path / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        yield Source(tmp_path / "source")
        return
    system = fsspec.filesystem("memory")
    for name, data in files.items():
        system.pipe_file(f"/test_source/{name}", data)
    yield Source("memory://test_source")
    system.rm("/test_source", recursive=True)


def test_files_are_found_and_read_by_names_relative_to_the_root(source):
    assert source.glob("**/*.txt") == ["a.txt", "deep/b.txt"]
    assert source.glob("deep/*") == ["deep/b.txt"]  # folders are not listed
    assert source.read("deep/b.txt") == b"second" and source.size("a.txt") == 5
    assert source.exists("deep/er/c.json") and not source.exists("deep/er/d.json")
    with source.open("a.txt") as stream:
        stream.seek(2)
        assert stream.read() == b"rst"
    with source.local("deep/er/c.json") as path:
        assert path.read_bytes() == b"{}"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "deep/../../x", "..", "..\\x"])
def test_a_name_that_leads_out_is_refused(source, name):
    for read in (source.read, source.exists, source.stamp):
        with pytest.raises(DataError, match="leads out of"):
            read(name)


def test_a_root_with_signs_of_patterns_is_a_root_like_others(tmp_path):
    folder = tmp_path / "my [data] *?"
    folder.mkdir()
    (folder / "a.json").write_text("[]")
    (tmp_path / "my d").mkdir()
    assert Source(folder).glob("*.json") == ["a.json"]


def test_a_link_that_leads_out_is_refused(tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "link.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(DataError, match="leads out of"):
        Source(tmp_path / "source").read("link.txt")
    followed = Source(tmp_path / "source", follow_links=True)
    assert followed != Source(tmp_path / "source")
    assert pickle.loads(pickle.dumps(followed)).read("link.txt") == b"secret"
    with pytest.raises(ValueError, match="leads out of"):  # links, not names
        followed.read("../secret.txt")


def test_a_file_that_is_not_there_is_named(source):
    for read in (source.read, source.size, source.stamp):
        with pytest.raises(DataError, match=r"there is no file 'absent\.txt'"):
            read("absent.txt")


def test_a_stamp_changes_with_the_file(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    source = Source(tmp_path)
    before = source.stamp("a.txt")
    assert source.stamp("a.txt") == before
    (tmp_path / "a.txt").write_text("three")
    assert source.stamp("a.txt") != before


def test_a_source_goes_to_other_processes(source):
    copy = pickle.loads(pickle.dumps(source))
    assert copy == source and hash(copy) == hash(source) and copy.read("a.txt") == b"first"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("absent", "absent does not exist"),
        ("gs://", r"names no place in a bucket"),
        ("gs://user:word@bucket/x", "takes no credentials"),
        ("nonsense://x", "an address nonsense://... cannot be read"),
    ],
)
def test_a_wrong_address_is_one_sentence(tmp_path, monkeypatch, url, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=words) as error:
        Source(url)
    assert "\n" not in str(error.value) and "word@" not in str(error.value)
