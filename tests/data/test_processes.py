import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from mm15_jax.data import processes

PARENT = """
    import os, pathlib, signal, sys, time
    sys.path.insert(0, {tests!r})
    from test_processes import note_and_sleep
    from mm15_jax.data.processes import spawn_pool

    if __name__ == "__main__":
        path = pathlib.Path({path!r})
        pool = spawn_pool(1)
        pool.submit(note_and_sleep, path)
        while not path.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.{signal})
        pool.shutdown()
"""


def note_and_sleep(path):
    import os

    path.with_suffix(".part").write_text(str(os.getpid()))
    path.with_suffix(".part").rename(path)
    time.sleep(100)


def alive(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def run_parent(tmp_path, name):
    script, path = tmp_path / "parent.py", tmp_path / "pid"
    tests = str(pathlib.Path(__file__).parent)
    script.write_text(textwrap.dedent(PARENT.format(tests=tests, path=str(path), signal=name)))
    done = subprocess.run([sys.executable, str(script)], timeout=60, check=False)
    assert done.returncode == -getattr(signal, name)
    worker = int(path.read_text())
    deadline = time.monotonic() + 10
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


def test_workers_end_with_a_killed_parent(tmp_path):
    run_parent(tmp_path, "SIGKILL")


def test_workers_end_with_a_terminated_parent(tmp_path):
    run_parent(tmp_path, "SIGTERM")


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [("max 100000", 8), ("200000 100000", 2), ("50000 100000", 1), ("9999999 100000", 8), ("", 8)],
)
def test_cpus_are_those_of_the_affinity_and_the_containers_quota(
    quota, cpus, tmp_path, monkeypatch
):
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(processes, "_CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(processes.os, "sched_getaffinity", lambda pid: set(range(8)))
    assert processes.available_cpus() == cpus


def test_decode_threads_fit_the_host_unless_a_number_is_given(monkeypatch):
    for cpus, threads in ((1, 1), (6, 6), (208, 16)):
        monkeypatch.setattr(processes, "available_cpus", lambda cpus=cpus: cpus)
        assert processes.decode_threads(0) == threads
    assert processes.decode_threads(40) == 40
