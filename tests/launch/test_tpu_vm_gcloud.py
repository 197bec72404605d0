"""The driver of TPU VMs with the real gcloud, and stand-ins of the API, of ssh and of the hosts."""

import re
import shutil
import threading
import time

import pytest

from mm15_jax.cli import main
from mm15_jax.launch import gcloud, programs, tpu_run
from mm15_jax.plan import topology
from tests.launch import tpu_api, tpu_hosts
from tests.launch.tpu_cloud import ONE_HOST, launch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not shutil.which("gcloud"), reason="gcloud is not installed"),
]


@pytest.fixture
def api(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tpu_run, "POLL_SECONDS", 0.5)
    with tpu_api.running(tmp_path) as (api, environment):
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        hosts = tpu_hosts.programs(tmp_path / "host_programs")
        monkeypatch.setenv("MM15_TEST_PROGRAMS", hosts["MM15_TEST_PROGRAMS"])
        yield api
    tpu_hosts.end_all(tmp_path / "host_programs")


def test_two_slices_of_four_hosts_run_to_the_end(api, tmp_path, capsys):
    api.hosts = 4
    api.prepare = lambda home: tpu_hosts.prepare(home, [0])
    words = "--topology v5e:4x4 --slices 2 --spot --check=estimate --valid_until 6h"
    assert launch(words) == 0, capsys.readouterr().err
    (made,) = api.made()
    (spec,) = made["tpu"]["nodeSpec"]
    assert spec["multisliceParams"] == {"nodeCount": 2, "nodeIdPrefix": "job"}
    assert spec["node"]["acceleratorType"] == "v5litepod-16"
    assert spec["node"]["labels"] == {"mm15": "job"}
    assert made["spot"] == {} and made["queueingPolicy"] == {"validUntilDuration": "21600s"}
    assert len(api.deleted()) == 1 and "force=True" in api.deleted()[0]
    logs = sorted((tmp_path / "runs" / "launches" / "job").glob("worker_*.log"))
    assert len(logs) == 8 and all("ran train" in path.read_text() for path in logs)


def test_spot_machines_are_asked_for_again(api, tmp_path, capsys):
    api.prepare = lambda home: tpu_hosts.prepare(home, ["wait"])

    def take_back():
        while "eta" not in "".join(p.read_text() for p in tmp_path.glob("hosts/*/*/log")):
            time.sleep(0.1)
        api.prepare = lambda home: tpu_hosts.prepare(home, [0])
        api.resources["job"]["left"] = ["SUSPENDED"]
        (tmp_path / "hosts" / "127.0.0.2" / "down").touch()

    threading.Thread(target=take_back, daemon=True).start()
    assert launch(f"{ONE_HOST} --spot") == 0, capsys.readouterr().err
    assert len(api.made()) == len(api.deleted()) == 2


def test_a_launch_of_several_jobs_is_stopped_by_its_label(api, capsys):
    api.states, place, there = (
        ["WAITING_FOR_RESOURCES"],
        gcloud.Place(),
        topology.parse("v5e:2x2"),
    )
    for name, label in (("a", "table0"), ("b", "table0"), ("c", "table0-b")):
        programs.output_of(place.create(name, label, there, {"runtime-version": "a"}))
    assert place.states("table0") == dict.fromkeys("ab", "WAITING_FOR_RESOURCES")
    assert main.main(["launch", "tpu-vm", "stop", "table0"]) == 0
    assert list(api.resources) == ["c"]
    assert main.main(["launch", "tpu-vm", "stop", "c"]) == 0  # by the name of a job
    assert main.main(["launch", "tpu-vm", "stop", "c"]) == 0
    assert api.resources == {} and "c has no machines" in capsys.readouterr().out


def test_status_tells_what_is_there(api, capsys):
    place = gcloud.Place()
    there = topology.parse("v5e:2x2")
    programs.output_of(place.create("job", "job", there, {"runtime-version": "a"}))
    assert main.main(["launch", "tpu-vm", "status"]) == 0
    assert re.search(r"^job .*v5litepod-4", capsys.readouterr().out, re.MULTILINE)
