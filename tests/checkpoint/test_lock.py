"""One training at a time in a run directory."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mm15_jax.checkpoint import lock
from mm15_jax.data.storage import to_path

HOLD = """
import pathlib, sys, time
from mm15_jax.checkpoint.lock import alone_in
with alone_in(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_training_is_told_whose_the_directory_is(tmp_path):
    with lock.alone_in(tmp_path / "run"):
        whose = f"run is being trained by process {os.getpid()} on "
        with (
            pytest.raises(ValueError, match=whose),
            lock.alone_in(tmp_path / "run", wait_seconds=0.3),
        ):
            pytest.fail("both have it")
        with lock.alone_in(tmp_path / "other"):
            pass
    with lock.alone_in(tmp_path / "run", wait_seconds=0):
        pass


def test_a_file_is_no_run_directory(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(ValueError, match="is a file; expected a directory"),
        lock.alone_in(tmp_path / "file"),
    ):
        pytest.fail("a file was held")


def test_it_waits_for_the_one_that_is_about_to_end(tmp_path, caplog):
    ended = []
    holds = threading.Event()

    def hold():
        with lock.alone_in(tmp_path):
            holds.set()
            time.sleep(0.5)
            ended.append(True)

    holder = threading.Thread(target=hold)
    holder.start()
    holds.wait()
    with lock.alone_in(tmp_path):
        assert ended
    holder.join()
    assert caplog.text.count("still held by process") == 1


def test_a_process_that_was_killed_holds_nothing(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout.readline() == b"held\n"
            with (
                pytest.raises(ValueError, match=f"process {holder.pid}"),
                lock.alone_in(tmp_path, wait_seconds=0),
            ):
                pytest.fail("both have it")
        finally:
            holder.send_signal(signal.SIGKILL)
        holder.wait()
        with lock.alone_in(tmp_path, wait_seconds=0):
            assert str(os.getpid()) in (tmp_path / lock.LOCK).read_text()


@pytest.mark.parametrize(("number", "held"), [(errno.ENOLCK, True), (errno.EBADF, False)])
def test_a_file_system_without_locks_holds_nothing(number, held, tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(number, "no")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    refused = contextlib.nullcontext() if held else pytest.raises(OSError, match="no")
    with refused, lock.alone_in(tmp_path):
        assert held


def test_a_bucket_is_not_held(gs_prefix):
    run_dir = to_path(f"{gs_prefix}/run")
    with lock.alone_in(run_dir), lock.alone_in(run_dir, wait_seconds=0):
        assert not (run_dir / lock.LOCK).exists()
