"""Running an ablation's commands in processes of their own."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from mm15_jax.ablations import workers
from mm15_jax.ablations.tasks import Task
from mm15_jax.parallel.signals import stop_signals


def task(folder, name, command, after=()):
    return Task(name, name, tuple(command), tuple(after), 1.0, folder / name)


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """Tasks whose "commands" are scripts of this test's."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, time, pathlib, signal\n"
        "if sys.argv[1] == 'sleep':\n"
        "    slow = float(sys.argv[3]) if len(sys.argv) > 3 else 0\n"
        "    signal.signal(signal.SIGTERM, lambda *_: (time.sleep(slow), sys.exit(143)))\n"
        "    pathlib.Path(sys.argv[2]).touch()\n"
        "    time.sleep(60)\n"
        "print(sys.argv[1])\n"
        "sys.exit(3 if sys.argv[1] == 'fail' else 0)\n"
    )
    monkeypatch.setattr(workers, "COMMAND", (str(script),))
    return tmp_path


def run(folder, tasks, count=2):
    order = []
    failed = workers.run_all(
        tasks,
        workers=count,
        log_dir=folder / "logs",
        started=lambda t: order.append(t.name),
        ended=lambda end: order.append(f"{end.task.name} {end.code}"),
    )
    return order, failed


def test_what_waits_for_a_failure_is_left_out_and_the_rest_is_run(quick):
    tasks = [
        task(quick, "a", ["fail"]),
        task(quick, "b", ["well"], ["a"]),
        task(quick, "c", ["well"], ["b"]),
        task(quick, "d", ["well"], ["not among them: done before"]),
    ]
    order, failed = run(quick, tasks, count=1)
    assert order == ["a", "a 3", "d", "d 0"]
    assert [(end.task.name, end.code) for end in failed] == [("a", 3), ("b", -1), ("c", -1)]
    assert workers.log_tail(failed[0].log) == "fail"


def test_a_task_begins_when_what_it_waits_for_has_ended(quick):
    tasks = [task(quick, "a", ["x"]), task(quick, "b", ["x"], ["a"]), task(quick, "c", ["x"])]
    order, failed = run(quick, tasks)
    assert not failed and order.index("a 0") < order.index("b")
    assert order.index("c") < order.index("a 0")


def test_a_signal_ends_all_that_runs_and_nothing_is_begun_after_it(quick):
    there = [quick / "there", quick / "there too"]
    tasks = [
        task(quick, "a", ["sleep", str(there[0])]),
        task(quick, "b", ["sleep", str(there[1]), "1"]),  # ends a second after `a`
        task(quick, "c", ["well"], ["a"]),
        task(quick, "d", ["well"]),
    ]

    def interrupt():
        while not all(path.exists() for path in there):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(workers.Stopped) as stopped:
        run(quick, tasks)
    assert stopped.value.number == signal.SIGTERM
    assert {log.name for log in (quick / "logs").iterdir()} == {"a.log", "b.log"}


def test_a_terminal_that_closes_ends_all_that_runs(quick):
    there = quick / "there"

    def hang_up():
        while not there.exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGHUP)

    threading.Thread(target=hang_up, daemon=True).start()
    with pytest.raises(workers.Stopped) as stopped:
        run(quick, [task(quick, "a", ["sleep", str(there)])])
    assert stopped.value.number == signal.SIGHUP


ABLATE = """
import pathlib, sys
from mm15_jax.ablations import workers
from mm15_jax.ablations.tasks import Task

folder = pathlib.Path(sys.argv[1])
workers.COMMAND = ("-c", sys.argv[2])
task = Task("a", "a", (str(folder / "there"),), (), 1.0, folder / "a")
workers.run_all([task], workers=1, log_dir=folder, started=print, ended=print)
"""
COMMAND = """
import os, pathlib, sys, time
from mm15_jax.parallel import signals

signals.watch_parent()
assert signals.PARENT not in os.environ
there = pathlib.Path(sys.argv[1])
there.with_suffix(".part").write_text(str(os.getpid()))
there.with_suffix(".part").rename(there)
time.sleep(60)
"""


def until(true, seconds=30):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def is_running(pid):
    """Whether a process is there and has not ended."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="processes are looked up in /proc")
def test_what_runs_ends_with_an_ablation_that_is_killed(tmp_path):
    ablate = subprocess.Popen([sys.executable, "-c", ABLATE, str(tmp_path), COMMAND])
    until((tmp_path / "there").exists)
    command = int((tmp_path / "there").read_text())
    assert is_running(command)
    ablate.kill()
    ablate.wait()
    until(lambda: not is_running(command))


def test_a_terminal_that_may_close_is_not_listened_to():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        assert signal.SIGHUP not in stop_signals()
    finally:
        signal.signal(signal.SIGHUP, before)
