"""`mm15 launch slurm` on a real Slurm of two nodes, which the test starts on this machine."""

import pathlib
import re
import subprocess
import time

import pytest

from mm15_jax.cli import main
from mm15_jax.config.jobs import Job
from mm15_jax.launch.slurm import Slurm
from mm15_jax.train.metrics import read_rows
from tests.launch import slurm_cluster

pytestmark = [pytest.mark.multi_process, pytest.mark.timeout(1800)]
EXPERIMENTS = pathlib.Path(__file__).with_name("launched.py")
PREEMPTS = ["sbatch", "--parsable", "--partition=high", "--nodes=2", "--exclusive"]
# Stands for Python, where training itself is not what is tested.
PYTHON = """#!/bin/bash
echo "process $SLURM_PROCID runs ${*:3}"
case "$*" in *fails*) exit 1 ;; esac
case "$*" in *slow*) trap 'echo saved; exit 143' TERM; while :; do sleep 0.2; done ;; esac
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    try:
        with slurm_cluster.running(tmp_path_factory.mktemp("slurm")) as environment:
            yield environment
    except slurm_cluster.UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def folder(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLURM_CONF", cluster["SLURM_CONF"])
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parents[2]))
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def state(job: str) -> str:
    done = subprocess.run(
        ["squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def states(array: str) -> dict[str, str]:
    """Of the tasks of an array, by their number."""
    words = ["squeue", "--noheader", "--states=all", "--array", f"--jobs={array}"]
    words.append("--format=%K %T")
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return dict(line.split() for line in done.stdout.splitlines())


def preempt() -> str:
    """Submits what takes all nodes for a few seconds; its id."""
    words = [*PREEMPTS, "--output=/dev/null", "--wrap=sleep 5"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def wait_for(what, seconds=900):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def launch(capsys, *words) -> str:
    """Launches; the id of the only job."""
    capsys.readouterr()
    assert main.main(["launch", "slurm", *words]) == 0
    return re.search(r": job (\d+)", capsys.readouterr().out)[1]


def log_of(folder, name) -> str:
    return "".join(path.read_text() for path in (folder / "runs" / "launches" / name).glob("*.log"))


def test_a_job_that_is_preempted_saves_and_is_completed_later(folder, data_dir, capsys):
    """Submitted, preempted by the partition with priority, queued again, resumed, completed."""
    train = ["train", f"{EXPERIMENTS}:story", "--run_dir", "run", "--data_dir", str(data_dir)]
    options = ["--nodes", "2", "--partition", "low", "--env", "JAX_NUM_CPU_DEVICES=1"]
    job = launch(capsys, *options, "--name", "story", "--", *train)
    rows = folder / "run" / "metrics.jsonl"
    wait_for(lambda: rows.exists() and len(rows.read_text().splitlines()) > 2)
    other = preempt()
    wait_for(lambda: "asking to be queued again" in log_of(folder, "story"))
    wait_for(lambda: state(other) == "COMPLETED")
    (saved,) = [p for p in (folder / "run" / "checkpoints").iterdir() if p.name.isdigit()]
    wait_for(lambda: state(job) == "COMPLETED")
    log = log_of(folder, "story")
    assert "restarts 0: train" in log and "restarts 1: train" in log
    assert f"stopped by signal 15 after step {saved.name}; saved" in log
    steps = [row["step"] for row in read_rows(rows)]
    assert steps == list(range(1, steps[-1] + 1)) and int(saved.name) < steps[-1]
    assert f"trained: step {steps[-1]}" in log


def test_a_stopped_job_saves_and_is_not_queued_again(folder, capsys):
    words = ["--nodes", "2", "--python", str(folder / "python"), "--name", "stopped", "--"]
    job = launch(capsys, *words, "train", "mm15_nano_sft", "--run_dir", "slow")
    wait_for(lambda: log_of(folder, "stopped").count("runs") == 2)
    assert main.main(["launch", "slurm", "status", "stopped"]) == 0
    assert "RUNNING" in capsys.readouterr().out
    assert main.main(["launch", "slurm", "stop", "stopped"]) == 0
    wait_for(lambda: state(job) == "FAILED")
    assert log_of(folder, "stopped").count("saved") == 2
    assert main.main(["launch", "slurm", "logs", "stopped"]) == 0


def test_a_cancelled_job_is_not_queued_again(folder, capsys):
    words = ["--nodes", "2", "--python", str(folder / "python"), "--name", "cancelled", "--"]
    job = launch(capsys, *words, "train", "mm15_nano_sft", "--run_dir", "slow")
    wait_for(lambda: log_of(folder, "cancelled").count("runs") == 2)
    subprocess.run(["scancel", job], check=True)
    wait_for(lambda: state(job) == "CANCELLED")
    time.sleep(3)
    assert state(job) == "CANCELLED"


def test_each_row_of_an_array_is_queued_again_for_itself(folder, capsys):
    """Also the last, whose id is the array's; what has ended stays as it is."""
    rows = [Job(f"row{i}", (("train", word),)) for i, word in enumerate(("quick", "slow", "slow"))]
    target = Slurm(python=str(folder / "python"), partition="low", at_once=3)
    assert target.start("preempted", rows, dry_run=False) == 0
    array = re.search(r": job (\d+)", capsys.readouterr().out)[1]
    wait_for(lambda: log_of(folder, "preempted").count("runs") == 3)
    wait_for(lambda: states(array)["0"] == "COMPLETED")
    preempt()
    queued = {"0": "COMPLETED", "1": "PENDING", "2": "PENDING"}
    wait_for(lambda: states(array) == queued, seconds=60)
    assert log_of(folder, "preempted").count("asking to be queued again") == 2
    subprocess.run(["scancel", array], check=True)


def test_an_ablations_rows_wait_for_what_they_share(folder, capsys):
    rows = [Job(f"row{i}", (("train", f"r{i}"), ("eval", f"r{i}")), ("shared",)) for i in range(3)]
    shared = Job("shared", (("train", "s"),))
    other = Job("other", (("train", "fails"),))  # another start's, which nobody waits for
    compared = Job("compared", (("ablate", "t"),), tuple(row.name for row in rows), alone=True)
    target = Slurm(nodes=2, python=str(folder / "python"), at_once=2)
    assert target.start("table0", [shared, other, *rows, compared], dry_run=False) == 0
    # An array of two, an array of three, one job of one process.
    first, array, last = re.findall(r"job (\d+)", capsys.readouterr().out)
    wait_for(lambda: state(last) == "COMPLETED")
    assert set(states(first).values()) == {"COMPLETED", "FAILED"}
    logs = folder / "runs" / "launches" / "table0"
    (ended,) = logs.glob(f"*-{last}.log")
    assert "ablate t" in ended.read_text() and "process 1" not in ended.read_text()
    for row in range(3):
        (log,) = logs.glob(f"*-{array}_{row}.log")
        ran = re.findall(r"process 0 runs (.*)", log.read_text())
        assert ran == [f"train r{row}", f"eval r{row}"]
        (shared_log,) = logs.glob(f"*-{first}_0.log")
        assert shared_log.stat().st_mtime < log.stat().st_mtime < ended.stat().st_mtime
