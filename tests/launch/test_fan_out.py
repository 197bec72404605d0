import contextlib
import signal
import threading
import time

import pytest

from mm15_jax.config.jobs import Job
from mm15_jax.launch import fan_out


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def job(name, *after, command="x"):
    return Job(name, ((command,),), after)


ROWS = [job("shared"), job("a", "shared"), job("b", "shared"), job("compare", "a", "b")]


class Recorder:
    """Runs jobs by remembering them; some fail."""

    def __init__(self, patience=0.3, **codes):
        self.codes, self.order, self.running, self.most = codes, [], 0, 0
        self.lock = threading.Lock()
        self.both = threading.Barrier(2, timeout=patience)

    def __call__(self, job, stop):
        with self.lock:
            self.order.append(job.name)
            self.running += 1
            self.most = max(self.most, self.running)
        if job.name in "ab":
            with contextlib.suppress(threading.BrokenBarrierError):
                self.both.wait()
        with self.lock:
            self.running -= 1
        return self.codes.get(job.name, 0)


def test_jobs_run_after_those_they_wait_for():
    run = Recorder()
    assert fan_out.run("t", ROWS, run, at_once=1) == 0
    assert run.order[0] == "shared" and run.order[-1] == "compare" and run.most == 1


def test_as_many_run_at_once_as_may():
    run = Recorder(patience=60)
    assert fan_out.run("t", ROWS, run, at_once=2) == 0
    assert run.most == 2


def test_a_failure_keeps_back_only_those_that_wait_for_it(capsys):
    run = Recorder(a=9)
    assert fan_out.run("t", ROWS, run) == 9
    assert sorted(run.order) == ["a", "b", "shared"]
    assert "compare is not started: a failed" in capsys.readouterr().err


def test_after_one_that_was_told_to_stop_nothing_is_started():
    run = Recorder(a=143)
    assert fan_out.run("t", ROWS, run) == 143
    assert run.order == ["shared", "a"]
    again = Recorder()
    assert fan_out.run("t", ROWS, again) == 0
    assert again.order == ["a", "b", "compare"]


def test_a_signal_is_seen_whichever_thread_gets_it():
    seen = []

    def run(job, stop):
        time.sleep(0.5)  # until the main thread waits
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        seen.append(stop.wait(20))
        return stop.exit_code

    assert fan_out.run("t", [job("a"), job("b")], run) == 143
    assert seen == [True]


def test_the_same_launch_again_runs_only_what_is_left():
    fan_out.run("t", ROWS, Recorder(a=9))
    run = Recorder()
    assert fan_out.run("t", ROWS, run) == 0
    assert run.order == ["a", "compare"]


def test_a_job_whose_commands_changed_runs_again():
    fan_out.run("t", ROWS, Recorder())
    run = Recorder()
    fan_out.run("t", [job("shared"), job("a", "shared", command="y")], run)
    assert run.order == ["a"]


def test_a_single_job_always_runs():
    run = Recorder()
    for _ in range(2):
        fan_out.run("t", [job("a")], run)
    assert run.order == ["a", "a"]


def test_an_order_that_cannot_be_kept_is_our_mistake():
    with pytest.raises(AssertionError):
        fan_out.check_order([job("a", "b"), job("b")])


def test_jobs_that_need_no_accelerator_run_here(monkeypatch):
    commands = []

    def run(words, check):
        commands.append(words)
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr("subprocess.run", run)
    jobs = [job("a"), Job("compare", (("ablate", "t"),), ("a",), alone=True)]
    target = Recorder()
    assert fan_out.run("t", jobs, target) == 0
    assert target.order == ["a"] and commands[0][-2:] == ["ablate", "t"]
