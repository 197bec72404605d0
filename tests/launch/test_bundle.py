import io
import subprocess
import tarfile

import pytest

from mm15_jax.launch import bundle


def names_of(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


@pytest.fixture
def tree(tmp_path):
    """A repository with a file that is tracked, one that is not, one ignored, and secrets."""
    files = {"a.py": "1", "new.py": "2", ".gitignore": "out\n", "out": "3", "run.sh": "4"}
    files |= {".env": "5", "key.pem": "6", "my_credentials.json": "7"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "run.sh").chmod(0o755)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "a.py", ".gitignore", "run.sh"], check=True)
    return tmp_path


def test_what_is_tracked_or_new_is_sent_and_what_may_be_secret_is_not(tree, capsys):
    (tree / "a.py").write_text("changed")
    found = names_of(bundle.archive(tree, {"job.sh": "x"}).content)
    assert found.pop("source.sha256")
    assert found == {
        "job.sh": b"x",
        "source/.gitignore": b"out\n",
        "source/a.py": b"changed",
        "source/new.py": b"2",
        "source/run.sh": b"4",
    }
    assert ".env, key.pem, my_credentials.json" in capsys.readouterr().err


def test_the_same_tree_is_the_same_bytes_and_another_has_another_digest(tree):
    first = bundle.archive(tree, {"job.sh": "x"})
    (tree / "a.py").touch()
    assert bundle.archive(tree, {"job.sh": "x"}) == first
    (tree / "a.py").write_text("2")
    second = bundle.archive(tree, {"job.sh": "x"})
    assert first.tree != second.tree
    assert names_of(second.content)["source.sha256"] == f"{second.tree}\n".encode()


def test_a_program_stays_one(tree):
    with tarfile.open(fileobj=io.BytesIO(bundle.archive(tree, {}).content)) as tar:
        assert tar.getmember("source/run.sh").mode == 0o755


def test_too_large_a_tree_is_refused_with_its_largest_file(tree, monkeypatch):
    monkeypatch.setattr(bundle, "_MOST_BYTES", 100)
    (tree / "new.py").write_text("x" * 200)
    with pytest.raises(ValueError, match=r"largest file is new\.py"):
        bundle.archive(tree, {})


def test_a_folder_that_is_no_repository_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no git repository"):
        bundle.archive(tmp_path, {})


def test_an_experiment_of_ones_own_is_named_from_the_root(tree, monkeypatch, tmp_path_factory):
    (tree / "folder").mkdir()
    (tree / "folder" / "mine.py").write_text("")
    monkeypatch.chdir(tree / "folder")
    assert bundle.relative("mine.py:run", tree) == "folder/mine.py:run"
    assert bundle.relative("mm15_3b_sft", tree) == "mm15_3b_sft"
    outside = tmp_path_factory.mktemp("outside") / "mine.py"
    outside.write_text("")
    with pytest.raises(ValueError, match="is outside"):
        bundle.relative(f"{outside}:run", tree)


def test_this_tree_is_a_source_and_small_enough():
    root = bundle.source_root()
    data = bundle.archive(root, {}).content
    found = names_of(data)
    assert {"source/setup.py", "source/requirements.lock", "source/launch/worker.sh"} <= set(found)
    assert len(data) < 30 * 2**20
