"""A job on TPU VMs where the cloud, or the way to it, fails for a time or for good."""

import threading
import time

from mm15_jax.cli import main
from mm15_jax.launch import patience, programs
from tests.launch.tpu_cloud import ONE_HOST, TWO_HOSTS, UNREACHABLE, launch, stop_training


def test_hosts_that_gcloud_left_out_are_waited_for(cloud, capsys):
    cloud.silent = 2
    assert launch(TWO_HOSTS) == 0
    assert "not yet: 0 of 2 hosts answered" in capsys.readouterr().err


def test_an_outage_of_the_cloud_is_waited_for(cloud, capsys):
    """While machines are waited for, and while the job runs."""
    made, cloud.codes = cloud.create, ["wait"]

    def create(rest, flags):
        cloud.outage = 3
        return made(rest, flags)

    def interfere():
        while not (pids := list(cloud.folder.glob("machines0/*/*/pid"))):
            time.sleep(0.02)
        cloud.outage = 8
        while cloud.outage:
            time.sleep(0.02)
        stop_training(pids[0])

    cloud.create = create
    threading.Thread(target=interfere, daemon=True).start()
    assert launch(f"{ONE_HOST} --max_restarts 0") == 143
    assert capsys.readouterr().err.count("no answer: Failed to resolve") > 6
    assert cloud.made == 1 and cloud.left is None


def test_an_outage_without_end_is_told_with_what_is_paid_for(cloud, capsys, monkeypatch):
    monkeypatch.setattr(patience, "_FORGIVEN", 2)
    made = cloud.create

    def create(rest, flags):
        cloud.outage = 99
        return made(rest, flags)

    cloud.create = create
    assert launch(ONE_HOST) == main.USER_ERROR
    last = capsys.readouterr().err.splitlines()[-1]
    assert "no answer of job for" in last and "paid for until mm15 launch tpu-vm stop job" in last


def test_a_refusal_is_told_at_once(cloud, capsys):
    def describe(rest, flags):
        raise programs.ProgramError("no", 1, "PERMISSION_DENIED: of this project")

    cloud.describe = describe
    assert launch(ONE_HOST) == main.USER_ERROR
    assert cloud.verbs == ["describe"]


def test_a_request_whose_answer_was_lost_is_found(cloud):
    made = cloud.create

    def create(rest, flags):
        made(rest, flags)
        raise programs.ProgramError("no", 1, UNREACHABLE)

    cloud.create = create
    assert launch(ONE_HOST) == 0
    assert cloud.made == 1


def test_a_request_that_does_not_arrive_is_made_again(cloud, capsys):
    made, failures = cloud.create, ["HttpError 503: try again", UNREACHABLE]

    def create(rest, flags):
        if failures:
            raise programs.ProgramError("no", 1, failures.pop())
        return made(rest, flags)

    cloud.create = create
    assert launch(ONE_HOST) == 0
    assert cloud.made == 1 and cloud.verbs.count("create") == 3
    assert "job: no answer: HttpError 503: try again" in capsys.readouterr().err


def test_a_request_that_never_arrives_is_given_up(cloud, capsys, monkeypatch):
    monkeypatch.setattr(patience, "_FORGIVEN", 2)

    def create(rest, flags):
        raise programs.ProgramError("no", 1, "HttpError 503: try again")

    cloud.create = create
    assert launch(ONE_HOST) == main.USER_ERROR
    last = capsys.readouterr().err.splitlines()[-1]
    assert "HttpError 503: try again; no machines were made" in last
    assert cloud.verbs.count("create") == 3


def test_a_request_that_is_refused_is_not_made_again(cloud, capsys):
    def create(rest, flags):
        raise programs.ProgramError("no", 1, "RESOURCE_EXHAUSTED: Quota limit exceeded")

    cloud.create = create
    assert launch(ONE_HOST) != 0
    assert cloud.verbs.count("create") == 1


def test_machines_are_given_back_though_it_fails_at_first(cloud, capsys):
    deleted, failures = cloud.delete, [1, 1]

    def delete(rest, flags):
        if failures:
            failures.pop()
            raise programs.ProgramError("no", 1, "HttpError 503: try again")
        return deleted(rest, flags)

    cloud.delete = delete
    assert launch(ONE_HOST) == 0
    assert cloud.left is None and cloud.verbs.count("delete") == 3
