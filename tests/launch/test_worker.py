import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

from mm15_jax import launch
from tests.launch import tpu_hosts

SCRIPT = pathlib.Path(launch.__file__).with_name("worker.sh")


class Host:
    def __init__(self, home, environment):
        self.home, self.job = home, home / "mm15-job"
        self.environment = {**os.environ, **environment, "HOME": str(home)}

    def tell(self, *words, code=0) -> str:
        command = ["bash", str(self.job / "worker.sh"), *words]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def wait_for(self, text) -> str:
        deadline = time.monotonic() + 30
        while text not in (out := self.tell("state")):
            assert time.monotonic() < deadline, out
            time.sleep(0.05)
        return out

    def log(self) -> list[str]:
        return (self.job / "log").read_text().splitlines()


@pytest.fixture
def host(tmp_path):
    """Makes a host that has been sent a job."""

    def make(*codes, script="export A=b\ncd source\n../venv/bin/mm15 train it\n"):
        tpu_hosts.prepare(tmp_path / "home", list(codes))
        made = Host(tmp_path / "home", tpu_hosts.programs(tmp_path / "programs"))
        (made.job / "source").mkdir(parents=True)
        shutil.copy(SCRIPT, made.job)
        (made.job / "job.sh").write_text(script)
        (made.job / "source.sha256").write_text("one\n")
        return made

    yield make
    for pid in tmp_path.glob("home/*/pid"):
        subprocess.run(["kill", "-KILL", "--", f"-{pid.read_text().strip()}"], check=False)


def test_shellcheck_finds_nothing():
    shellcheck = shutil.which("shellcheck", path=f"{pathlib.Path(sys.executable).parent}")
    subprocess.run([shellcheck, SCRIPT], check=True)


def test_the_environment_is_set_up_from_the_lock_file_once_for_a_tree(host):
    made = host()
    for _ in range(2):
        assert made.tell("setup") == "mm15-host home absent\n"
    pip, venv, install = (made.home / "set_up").read_text().splitlines()
    assert "--target tools uv" in pip and "--python 3.11" in venv
    assert "--constraint source/requirements.lock mm15_jax[tpu,gcs] @ ./source" in install
    (made.job / "source.sha256").write_text("two\n")
    made.tell("setup")
    assert len((made.home / "set_up").read_text().splitlines()) == 6


def test_a_job_runs_to_its_end_and_is_begun_once(host):
    made = host(7)
    made.tell("setup")
    made.tell("start")
    assert "mm15-host home ended 7" in made.wait_for("ended")
    made.tell("start")  # as the same launch does when it is begun again
    assert made.log() == ["ran train it with A=b in source"]


def test_a_running_job_tells_how_far_it_is_and_saves_when_stopped(host):
    made = host("wait")
    made.tell("setup")
    made.tell("start")
    assert "mm15-log mm15 3/10 eta 7s" in made.wait_for("eta")
    assert "mm15-host home stopped" in made.tell("stop", "20")
    assert made.log()[-1] == "saved"
    assert "mm15-host home stopped" in made.tell("state")


def test_another_job_is_not_begun_beside_one_that_runs(host):
    made = host("wait")
    made.tell("setup")
    made.tell("start")
    made.wait_for("running")
    (made.job / "job.sh").write_text("echo other\n")
    made.tell("start", code=3)


def test_after_a_crash_it_is_cleared_and_begun_anew(host):
    made = host("wait", 0)
    made.tell("setup")
    made.tell("start")
    made.wait_for("eta")
    assert "ended 143" in made.tell("clear", "20")
    made.tell("restart")
    made.wait_for("ended 0")
    assert made.log().count("ran train it with A=b in source") == 2


def test_what_does_not_end_is_killed(host):
    deaf = "trap '' TERM\necho eta\nwhile :; do sleep 0.1; done\n"
    made = host(script=deaf)
    made.tell("start")
    made.wait_for("eta")
    assert "stopped" in made.tell("stop", "1")
    group = (made.job / "pid").read_text().strip()
    deadline = time.monotonic() + 10
    while lives(group):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def lives(group: str) -> bool:
    """Whether a process of a group is more than an exit code that nobody has asked for."""
    command = ["ps", "-A", "-o", "pgid=,stat="]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return bool(re.search(rf"^ *{group} +[^Z]", out, re.MULTILINE))


def test_a_host_that_was_started_anew_has_lost_its_job(host):
    made = host("wait")
    made.tell("setup")
    made.tell("start")
    made.wait_for("running")
    pid = (made.job / "pid").read_text().strip()
    subprocess.run(["kill", "-KILL", "--", f"-{pid}"], check=True)
    made.wait_for("ended 137")


def test_what_it_does_not_know_is_refused(host):
    assert host().tell("begin", code=2) == ""
