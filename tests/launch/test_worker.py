import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest

from mm15_jax import launch
from mm15_jax.launch import bundle, tpu_host
from tests.launch import tpu_hosts

SCRIPT = pathlib.Path(launch.__file__).with_name("worker.sh")
JOB = "export A=b\ncd source\n../venv/bin/mm15 train it\n"


class Host:
    """A host, to which a tree and a job are sent as the launcher does.

    Attributes:
        tree: What is sent: a repository with a lock file.
    """

    def __init__(self, home, tree, environment):
        self.home, self.tree, self.job = home, tree, home / "mm15-job"
        self.environment = {**os.environ, **environment, "HOME": str(home)}
        tree.mkdir()
        (tree / bundle.LOCK).touch()
        subprocess.run(["git", "init", "-q", tree], check=True)

    def send(self, script=JOB, code=0) -> str:
        """Sends the tree and a job, and has the environment set up."""
        packed = bundle.archive(self.tree, {"job.sh": script, "worker.sh": SCRIPT.read_text()})
        (self.home / tpu_host.archive_name("job")).write_bytes(packed.content)
        return self._run(["bash", "-c", tpu_host.unpack_command("job")], code)

    def tell(self, *words, code=0) -> str:
        return self._run(["bash", str(self.job / "worker.sh"), *words], code)

    def _run(self, command, code=0) -> str:
        done = subprocess.run(
            command,
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
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
    """Makes a host that is set up for a job; its runs end with these codes."""

    def make(*codes, script=JOB):
        tpu_hosts.prepare(tmp_path / "home", list(codes))
        programs = tpu_hosts.programs(tmp_path / "programs")
        made = Host(tmp_path / "home", tmp_path / "tree", programs)
        made.send(script)
        return made

    yield make
    for pid in tmp_path.glob("home/*/pid"):
        subprocess.run(["kill", "-KILL", "--", f"-{pid.read_text().strip()}"], check=False)


def test_shellcheck_finds_nothing():
    shellcheck = shutil.which("shellcheck", path=f"{pathlib.Path(sys.executable).parent}")
    subprocess.run([shellcheck, SCRIPT], check=True)


def test_the_environment_is_set_up_from_the_lock_file_once_for_a_tree(host):
    made = host()
    assert made.send() == "mm15-host home absent\n"
    pip, venv, install = (made.home / "set_up").read_text().splitlines()
    assert "--target tools uv" in pip and "--python 3.11" in venv
    assert "--constraint source/requirements.lock mm15_jax[tpu,gcs] @ ./source" in install
    (made.tree / "new.py").touch()
    made.send()
    assert len((made.home / "set_up").read_text().splitlines()) == 6


def test_a_set_up_waits_for_one_that_is_under_way(host):
    """Its launcher may have given it up, and sent the tree again."""
    made = host()
    (made.tree / "new.py").touch()
    with (made.job / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=made.send)
        waiting.start()
        time.sleep(1)
        assert len((made.home / "set_up").read_text().splitlines()) == 3
    waiting.join()
    assert len((made.home / "set_up").read_text().splitlines()) == 6


# Stands for a uv that installs: by setuptools, as uv has it build a wheel in the source folder.
INSTALLS = """#!/bin/bash
mkdir -p tools/bin
cat > tools/bin/uv <<'UV'
#!/bin/bash
if [[ $1 == venv ]]; then rm -rf venv; mkdir -p venv/bin; exit; fi
(cd source && "$MM15_TEST_PYTHON" setup.py --quiet build) && cp -r source/build/lib venv
UV
chmod +x tools/bin/uv
"""


def test_an_edited_tree_is_what_is_installed(host, tmp_path):
    """All files of an archive have one time, by which setuptools keeps what it has built."""
    made = host()
    (tmp_path / "programs" / "python3").write_text(INSTALLS)
    made.environment["MM15_TEST_PYTHON"] = sys.executable
    package = made.tree / "mm15"
    package.mkdir()
    (made.tree / "setup.py").write_text("import setuptools\nsetuptools.setup(packages=['mm15'])\n")
    for name, text in (("__init__.py", "1"), ("gone.py", "")):
        (package / name).write_text(text)
    made.send()
    installed = made.job / "venv" / "lib" / "mm15"
    assert (installed / "__init__.py").read_text() == "1" and (installed / "gone.py").exists()
    (package / "__init__.py").write_text("2")
    (package / "gone.py").unlink()
    made.send()
    assert (installed / "__init__.py").read_text() == "2"
    assert not (installed / "gone.py").exists() and not (made.job / "source/mm15/gone.py").exists()


def test_a_failure_is_the_answer_of_one_tree(host):
    made = host(7, 7)
    made.tell("start")
    before = made.wait_for("ended 7")
    (made.tree / "mended.py").touch()
    made.send()
    made.tell("start")
    after = made.wait_for("ended 7")
    assert len(made.log()) == 2
    made.send()
    made.tell("start")
    assert len(made.log()) == 2
    (old,), (new,) = tpu_host.said(before), tpu_host.said(after)
    assert old.began.job == new.began.job and old.began.tree != new.began.tree


def test_a_running_job_keeps_the_environment_that_it_began_with(host):
    made = host("wait")
    made.tell("start")
    began = made.wait_for("running")
    (made.tree / "new.py").touch()
    assert tpu_host.said(made.send()) == tpu_host.said(began)
    made.tell("start")
    assert len((made.home / "set_up").read_text().splitlines()) == 3
    assert not (made.job / "source" / "new.py").exists() and len(made.log()) == 2


def test_a_job_runs_to_its_end_and_is_begun_once(host):
    made = host(7)
    made.tell("start")
    assert "mm15-host home ended 7" in made.wait_for("ended")
    made.tell("start")  # as the same launch does when it is begun again
    assert made.log() == ["ran train it with A=b in source"]


def test_a_running_job_tells_how_far_it_is_and_saves_when_stopped(host):
    made = host("wait")
    made.tell("start")
    assert "mm15-log mm15 3/10 eta 7s" in made.wait_for("eta")
    assert "mm15-host home stopped" in made.tell("stop", "20")
    assert made.log()[-1] == "saved"
    assert "mm15-host home stopped" in made.tell("state")


def test_another_job_is_not_begun_beside_one_that_runs(host):
    made = host("wait")
    made.tell("start")
    made.wait_for("running")
    made.send("echo other\n", code=3)


def test_after_a_crash_it_is_cleared_and_begun_anew(host):
    made = host("wait", 0)
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
    made.tell("start")
    made.wait_for("running")
    pid = (made.job / "pid").read_text().strip()
    subprocess.run(["kill", "-KILL", "--", f"-{pid}"], check=True)
    made.wait_for("ended 137")


def test_what_it_does_not_know_is_refused(host):
    assert host().tell("begin", code=2) == ""
