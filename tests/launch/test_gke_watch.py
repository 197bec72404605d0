"""Jobs of an ablation on GKE are followed: against a kubectl that a test plays."""

import json
import os
import signal
import threading

import pytest

from mm15_jax.config.jobs import Job
from mm15_jax.launch import fan_out, gke, patience, programs

JOBS = [Job("a", (("train", "x"),)), Job("b", (("train", "x"),), ("a",))]
DOWN = programs.ProgramError("no", 1, "Unable to connect to the server: no such host")


class Cluster:
    """Answers kubectl: what each look-up and each request finds, one after the other.

    Attributes:
        states: Of JobSets as they are looked up: a terminal state, None for none, or an error.
        requests: What a request raises; None if it is done.
        verbs: What was asked for.
    """

    def __init__(self):
        self.states: list = []
        self.requests: list = []
        self.verbs: list[str] = []

    def answer(self, words, **unused):
        verb = words[3]
        self.verbs.append(verb)
        if verb != "get":
            found = self.requests.pop(0) if self.requests else None
        elif len(self.states) > 1:
            found = self.states.pop(0)
        else:
            found = self.states[0]
        if isinstance(found, Exception):
            raise found
        if verb != "get" or found is None:
            return ""
        return json.dumps({"status": {"terminalState": found}})


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    played = Cluster()
    monkeypatch.setattr(programs, "output_of", played.answer)
    monkeypatch.setattr(gke, "_POLL_SECONDS", 0.01)
    return played


def follow(jobs=JOBS) -> int:
    options = gke.Gke(topology="v5e:2x2", image="registry.example/mm15:1")
    return options.start("table0", jobs, dry_run=False)


def test_look_ups_that_fail_are_forgiven(cluster, capsys):
    cluster.states = [DOWN, None, DOWN, DOWN, "", "Completed"]
    assert follow() == 0
    assert cluster.verbs.count("create") == 1  # the other was there, and complete
    assert capsys.readouterr().err.count("a: no answer: Unable to connect") == 3


def test_silence_without_end_is_told_with_what_is_paid_for(cluster, capsys, monkeypatch):
    monkeypatch.setattr(patience, "_FORGIVEN", 2)
    cluster.states = [None, "", DOWN]
    assert follow() == 2
    said = capsys.readouterr().err
    assert "goes on and is paid for; mm15 launch gke stop table0 ends it" in said


def test_a_request_whose_answer_was_lost_is_found(cluster):
    cluster.states, cluster.requests = [None, "", "", "Completed"], [DOWN]
    assert follow() == 0
    assert cluster.verbs.count("create") == 1


def test_a_request_that_was_refused_is_told(cluster, capsys):
    refused = programs.ProgramError("backofLimit is unknown", 1, "BadRequest")
    cluster.states, cluster.requests = [None], [refused]
    assert follow() == 2
    assert "backofLimit" in capsys.readouterr().err


def test_one_that_was_deleted_is_not_made_again(cluster, capsys):
    """Nor does anything else begin, as stop deletes what is there and no more."""
    cluster.states = [None, "", None]
    jobs = [JOBS[0], Job("c", (("train", "x"),))]
    assert follow(jobs) == fan_out.STOPPED
    assert "the JobSet a was deleted" in capsys.readouterr().err
    assert cluster.verbs.count("create") == 1


def test_a_kubectl_that_hangs_ends_when_asked_to_stop(cluster, capsys, monkeypatch):
    hanging = threading.Event()

    def answer(words, *, stop, **unused):
        hanging.set()
        while True:
            stop.pause(0.02)

    def terminate():
        hanging.wait()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(programs, "output_of", answer)
    threading.Thread(target=terminate, daemon=True).start()
    assert follow() == 143
    assert "a goes on; mm15 launch gke stop table0 ends it" in capsys.readouterr().err


def test_an_earlier_failure_is_deleted_and_a_new_one_counts(cluster):
    cluster.states = ["Failed", "", "Failed"]
    assert follow() == 1
    assert cluster.verbs[:3] == ["get", "delete", "create"]


@pytest.mark.parametrize(("name", "ended"), [("table0", ["a", "b"]), ("b", ["b"]), ("c", [])])
@pytest.mark.parametrize("xpk", [False, True])
def test_a_launch_or_one_of_its_jobs_is_stopped(name, ended, xpk, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    shown = []

    def answer(words, **unused):
        if "create" in words:
            return ""
        if xpk and words[0] == "xpk":
            return (
                "[XPK] Starting Workload list\nJobset Name   Status\na   Running\n\nb   Running\n"
            )
        if "--selector" in words:
            return "jobset/a\njobset/b\n" if "=table0" in str(words) else ""
        if words[-1] == "--output=json":
            return json.dumps({"status": {"terminalState": "Completed"}})
        return "jobset/b\n" if "b" in words else ""

    def show(words):
        shown.append(words)
        return 0

    monkeypatch.setattr(programs, "output_of", answer)
    monkeypatch.setattr(programs, "show", show)
    options = gke.Gke(topology="v5e:2x2", image="registry.example/mm15:1", xpk=xpk, cluster="pod")
    assert options.start("table0", JOBS, dry_run=False) == 0
    assert options.stop(name) == 0
    deleted = [word.removeprefix("jobset/") for words in shown for word in words]
    assert [word for word in deleted if word in ("a", "b", "c")] == ended
    assert options.status(name) == 0
    said = capsys.readouterr().out
    assert ended or f"no job of {name}" in said
    assert all(f"{job} " in said or f"/{job}" in said for job in ended)
