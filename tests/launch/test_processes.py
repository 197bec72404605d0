import os
import signal
import sys
import threading
import time

import pytest

from mm15_jax.launch.processes import Group
from mm15_jax.launch.stopping import Stop

WAITS = "import time; print('waiting', flush=True); time.sleep(60)"
# Says that it was told, and ends as training does.
SAVES = """
import signal, sys, time
def save(*unused):
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
print("waiting", flush=True)
time.sleep(60)
"""
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); print('waiting', flush=True); " + (
    "time.sleep(60)"
)


@pytest.fixture
def group(tmp_path):
    """Starts programs of Python as one group; gives it, its logs and what can stop it."""

    def start(*programs, grace=20.0):
        logs = [tmp_path / f"{i}.log" for i in range(len(programs))]
        stop = Stop()
        made = Group(logs, grace, stop)
        made.start([[sys.executable, "-c", p] for p in programs], [os.environ] * len(programs))
        return made, logs, stop

    return start


def wait_for(path, text):
    deadline = time.monotonic() + 20
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"no {text!r} in {path}"
        time.sleep(0.02)


def test_each_process_has_a_log_and_all_end_well(group, capsys):
    made, logs, _ = group("print('one')", "import sys; print('two', file=sys.stderr)")
    assert made.wait() == 0
    assert [log.read_text() for log in logs] == ["one\n", "two\n"]
    assert sorted(capsys.readouterr().out.splitlines()) == ["[0] one", "[1] two"]


def test_the_first_failure_stops_the_rest_which_save(group, capsys):
    made, logs, _ = group(SAVES, "import time; time.sleep(0.5); raise SystemExit(7)")
    wait_for(logs[0], "waiting")
    assert made.wait() == 7
    assert logs[0].read_text() == "waiting\nsaved\n"
    assert "a process ended with 7" in capsys.readouterr().err


def test_a_process_that_a_signal_kills_ends_as_in_a_shell(group):
    made, *_ = group(WAITS, "import os; os.kill(os.getpid(), 9)")
    assert made.wait() == 128 + signal.SIGKILL


def test_what_does_not_end_in_its_grace_time_is_killed_with_its_children(group, capsys):
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {DEAF!r}])"
    made, logs, _ = group(
        f"import signal; signal.signal(15, signal.SIG_IGN)\n{child}", "raise SystemExit(3)", grace=1
    )
    wait_for(logs[0], "waiting")
    began = time.monotonic()
    assert made.wait() == 3
    assert time.monotonic() - began < 15
    assert "killing" in capsys.readouterr().err


def test_a_request_to_stop_reaches_all(group):
    made, logs, stop = group(SAVES, SAVES)
    for log in logs:
        wait_for(log, "waiting")
    with stop:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        assert made.wait() == 143
    assert all(log.read_text().endswith("saved\n") for log in logs)
    assert stop.exit_code == 143


def test_waiting_ends_when_asked_to_stop():
    began = time.monotonic()
    with Stop() as stop:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        assert stop.wait(30)
    assert time.monotonic() - began < 10
    assert stop.exit_code == 130
