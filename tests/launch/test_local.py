import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from mm15_jax.cli import main
from mm15_jax.config.jobs import Job
from mm15_jax.launch.local import Local
from mm15_jax.train.metrics import read_rows

EXPERIMENTS = pathlib.Path(__file__).with_name("launched.py")
MM15 = [sys.executable, "-m", "mm15_jax.cli.main", "launch", "local"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parents[2]))
    return tmp_path


def mistake(capsys, *words):
    assert main.main(["launch", "local", *words]) == main.USER_ERROR
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_mistake_is_answered_in_one_sentence(capsys):
    assert "0; expected 1 or more" in mistake(capsys, "--processes", "0", "--", "train", "x")
    assert "0; expected 1 or more" in mistake(capsys, "--at_once", "0", "--", "train", "x")
    assert "nothing to launch" in mistake(capsys)
    assert "no launch 'x' was made here" in mistake(capsys, "logs", "x")
    assert "stop of which launch" in mistake(capsys, "stop")
    assert "--topology is no option of local" in mistake(
        capsys, "--topology", "v5p-8", "--", "train", "mm15_nano_sft"
    )
    assert "write the command after --" in mistake(capsys, "--devices", "2")
    assert main.main(["launch", "locale"]) == main.USER_ERROR
    assert "did you mean 'local'" in capsys.readouterr().err


def test_a_command_that_fails_ends_the_launch_with_its_code(folder, capsys):
    words = ["--processes", "2", "--", "eval", "--run_dir", "none"]
    assert main.main(["launch", "local", *words]) == main.USER_ERROR
    assert main.main(["launch", "local", "status"]) == 0
    assert "eval: ended with 2" in capsys.readouterr().out
    logs = []
    for worker in "01":
        assert main.main(["launch", "local", "logs", "eval", "--worker", worker]) == 0
        logs.append(capsys.readouterr().out)
        path = folder / "runs" / "launches" / "eval" / f"process_{worker}.log"
        assert logs[-1] == path.read_text()
    # Of one at least: the first to fail ends the other, which may not have come so far.
    assert any("none" in log for log in logs)
    assert "no process 2; expected 0 to 1" in mistake(capsys, "logs", "eval", "--worker", "2")


def test_a_dry_run_shows_a_job_that_runs_alone_once(capsys):
    command = (("ablate", "fig8", "--collect"),)
    jobs = [Job("row", command), Job("table", command, after=("row",), alone=True)]
    Local(processes=2).start("fig8", jobs, dry_run=True)
    *_, head, line = capsys.readouterr().out.splitlines()
    assert head.startswith("# ") and "table" in head and " ablate fig8 --collect" in line


# A launcher whose processes, instead of training, wait and save when they are told to stop.
LAUNCHER = """
import sys
from mm15_jax.cli import main
from mm15_jax.launch import fan_out
waits = '''
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *unused: (print("saved", flush=True), sys.exit(143)))
print("waiting", flush=True)
time.sleep(60)
'''
fan_out.here = lambda command: [sys.executable, "-c", waits]
ROWS
sys.exit(main.main(["launch", "local", "--name", "long", "--", "train", "mm15_nano_sft"]))
"""
ROWS = """
from mm15_jax.config.jobs import Job
from mm15_jax.launch.local import Local
jobs = [Job(name, (("train", "x"),)) for name in ("row1", "row2", "row3")]
sys.exit(Local(processes=1, at_once=2).start("table0", jobs, dry_run=False))
"""


def launched(script: str, logs) -> subprocess.Popen:
    """A launcher, once all the logs say that a process waits."""
    launcher = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while not all(log.exists() and "waiting" in log.read_text() for log in logs):
        assert time.monotonic() < deadline and launcher.poll() is None
        time.sleep(0.05)
    return launcher


def test_a_launch_is_stopped_from_elsewhere(folder, capsys):
    logs = [folder / "runs" / "launches" / "long" / f"process_{i}.log" for i in range(2)]
    launcher = launched(LAUNCHER.replace("ROWS", ""), logs)
    assert main.main(["launch", "local", "status"]) == 0
    assert "long: running" in capsys.readouterr().out
    assert main.main(["launch", "local", "stop", "long"]) == 0  # before anybody waits for it
    assert launcher.wait(20) == 143
    assert [log.read_text() for log in logs] == ["waiting\nsaved\n"] * 2
    assert "long ended with 143" in capsys.readouterr().out
    assert main.main(["launch", "local", "stop", "long"]) == 0
    assert "long does not run" in capsys.readouterr().out


def test_a_launch_or_one_of_its_jobs_is_stopped(folder, capsys):
    """One job alone: the other goes on, and no more is started."""
    logs = [folder / "runs" / "launches" / f"row{i}" / "process_0.log" for i in (1, 2)]
    launcher = launched(LAUNCHER.replace("ROWS", ROWS), logs)
    assert main.main(["launch", "local", "stop", "row2"]) == 0
    assert main.main(["launch", "local", "status", "table0"]) == 0
    said = capsys.readouterr().out
    assert "row2 ended with 143" in said and "row1: running" in said and "row3" not in said
    assert main.main(["launch", "local", "stop", "table0"]) == 0
    assert launcher.wait(20) == 143
    assert "row1 ended with 143" in capsys.readouterr().out


@pytest.mark.multi_process
def test_two_processes_train_and_each_has_a_log(folder, data_dir, capsys):
    words = ["--devices", "2", "--name", "two", "--", "train", f"{EXPERIMENTS}:short"]
    words += ["--run_dir", "run", "--data_dir", str(data_dir)]
    assert main.main(["launch", "local", "--processes", "2", *words]) == 0
    assert [row["step"] for row in read_rows(folder / "run" / "metrics.jsonl")] == [1, 2, 3]
    assert "[1] " in capsys.readouterr().out
    assert main.main(["launch", "local", "logs", "two", "--worker", "1"]) == 0
    assert "trained: step 3" in capsys.readouterr().out


@pytest.mark.multi_process
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("by", ["stop", "signal"])
def test_a_launch_that_is_stopped_saves_and_ends_with_143(folder, data_dir, by):
    words = ["--name", "long", "--", "train", f"{EXPERIMENTS}:long"]
    words += ["--run_dir", "run", "--data_dir", str(data_dir)]
    launcher = subprocess.Popen([*MM15, *words])
    try:
        rows = folder / "run" / "metrics.jsonl"
        deadline = time.monotonic() + 900
        while not (rows.exists() and len(rows.read_text().splitlines()) > 2):
            assert time.monotonic() < deadline and launcher.poll() is None
            time.sleep(0.2)
        if by == "stop":
            subprocess.run([*MM15, "stop", "long"], check=True, timeout=200)
        else:
            launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(200) == 143
    finally:
        if launcher.poll() is None:
            launcher.terminate()
    state = json.loads((folder / "runs" / "launches" / "long" / "launch.json").read_text())
    assert state["exit_code"] == 143
    (saved,) = [p for p in (folder / "run" / "checkpoints").iterdir() if p.name.isdigit()]
    assert int(saved.name) == read_rows(rows)[-1]["step"]
    assert len(state["pids"]) == 2
    for pid in state["pids"]:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
