"""Preparing that is interrupted or killed, and goes on."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from mm15_jax.data import registry
from mm15_jax.data.prepare import prepare
from mm15_jax.data.prepare_report import REPORT
from mm15_jax.data.records import MANIFEST, open_dataset
from tests.data.test_prepare import COUNT, Maker, files, run


def test_an_interrupted_run_goes_on_with_the_shard_it_was_at(tmp_path):
    run(Maker(), tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        run(Maker(stop_at=350), tmp_path / "stopped")
    with pytest.raises(ValueError, match="is not whole"):
        open_dataset(tmp_path / "stopped" / "numbers" / "train")
    maker = Maker()
    (report,) = run(maker, tmp_path / "stopped")
    assert maker.made == list(range(200, COUNT)) and report.shards_kept == 1
    straight, stopped = (tmp_path / name / "numbers" / "train" for name in ("straight", "stopped"))
    assert files(straight) == files(stopped)


def test_shards_of_another_numbering_go_though_the_records_are_the_same(tmp_path):
    run(Maker(), tmp_path)
    left = tmp_path / "numbers" / "train" / "00000-of-00009.array_record"
    left.write_bytes(b"of a run that was killed before it removed this")
    run(Maker(), tmp_path)
    assert not left.exists() and len(open_dataset(left.parent)) == COUNT


# A SIGKILL before the k-th example is written, or file renamed or removed.
KILLED = """
    import os, signal, sys
    sys.path[:0] = [{root!r}]
    from mm15_jax.data import records
    from tests.data.test_prepare import Maker, run

    calls = 0

    def counted(function):
        def call(*arguments):
            global calls
            calls += 1
            if calls == {at}:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)
        return call

    os.replace, os.unlink = counted(os.replace), counted(os.unlink)
    records.encode_example = counted(records.encode_example)
    run(Maker(bad=[300]), {data_dir!r}, max_bad_fraction=0.01)
"""


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    directory = tmp_path_factory.mktemp("straight")
    run(Maker(bad=[300]), directory, max_bad_fraction=0.01)
    return directory / "numbers" / "train"


@pytest.mark.parametrize(
    ("at", "kept"),
    [
        (1, 0),  # before anything
        (150, 0),  # in the first shard
        (202, 0),  # before the first shard has its name
        (203, 0),  # before its receipt has: the shard is made again
        (204, 1),
        (500, 2),  # in the third shard
        (607, 3),  # before the receipts are gathered
        (608, 3),  # before the report
        (609, 3),  # before the manifest
        (610, 3),  # after the manifest, before what is left over goes
        (612, 3),
    ],
)
def test_a_kill_at_any_point_changes_nothing_in_the_end(tmp_path, straight, at, kept):
    root = str(Path(__file__).parents[2])
    script = textwrap.dedent(KILLED.format(root=root, data_dir=str(tmp_path), at=at))
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    maker = Maker(bad=[300])
    (report,) = run(maker, tmp_path, max_bad_fraction=0.01)
    assert (report.shards_kept, report.records, report.bad) == (kept, COUNT - 1, 1)
    assert maker.made == [i for i in range(200 * kept, COUNT) if i != 300]
    directory = tmp_path / "numbers" / "train"
    assert files(directory) == files(straight)
    assert (directory / REPORT).exists()


def prepare_text(data_dir, workers):
    preparation = registry.get("mini_text")
    prepare(preparation, data_dir, ["test"], workers=workers, progress=lambda event: None)


def test_a_kill_of_the_parent_of_processes_changes_nothing_in_the_end(tmp_path):
    prepare_text(tmp_path / "straight", workers=1)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=prepare_text, args=(tmp_path / "killed", 2))
    process.start()
    directory = tmp_path / "killed" / "mini_text" / "test"
    deadline = time.monotonic() + 60
    while not list(directory.glob(".*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (directory / MANIFEST).exists()
    prepare_text(tmp_path / "killed", workers=1)
    assert files(directory) == files(tmp_path / "straight" / "mini_text" / "test")
