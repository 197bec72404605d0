"""`mm15 launch gke` by the real kubectl, against a stand-in of the API server."""

import shutil

import pytest

from mm15_jax.cli import main
from mm15_jax.config.jobs import Job
from mm15_jax.launch import gke
from tests.launch import kubernetes_api

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed"),
]
TRAIN = "train mm15_nano_sft --run_dir gs://b/run --data_dir gs://b/data --set train.batch_rows=8"
OPTIONS = "--topology v5e:2x2 --check=estimate --image registry.example/mm15:1"


@pytest.fixture
def api(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gke, "_POLL_SECONDS", 0.2)
    with kubernetes_api.running(tmp_path) as (api, config):
        monkeypatch.setenv("KUBECONFIG", str(config))
        monkeypatch.setenv("HOME", str(tmp_path))  # kubectl keeps what it learns of a server
        yield api


def launch(name="job") -> int:
    words = [*OPTIONS.split(), "--name", name, "--", *TRAIN.split()]
    return main.main(["launch", "gke", *words])


def test_a_jobset_is_made_looked_at_and_deleted(api, capfd):
    assert launch() == 0
    assert api.created == ["job"]
    assert main.main(["launch", "gke", "status"]) == 0
    assert main.main(["launch", "gke", "status", "job"]) == 0
    assert main.main(["launch", "gke", "logs", "job"]) == 0
    assert "mm15_nano_sft 3/10  eta 7s" in capfd.readouterr().out
    assert main.main(["launch", "gke", "stop", "job"]) == 0
    assert api.jobsets == {}


def test_jobs_of_a_launch_are_stopped_by_either_name(api, capfd):
    options = gke.Gke(topology="v5e:2x2", image="registry.example/mm15:1")
    for name in "abc":
        options._submit(Job(name, (("train", "x"),)), "table0")
    assert main.main(["launch", "gke", "status", "b"]) == 0
    assert "slice-0-0" in capfd.readouterr().out
    assert main.main(["launch", "gke", "stop", "b"]) == 0
    assert set(api.jobsets) == {"a", "c"}
    assert main.main(["launch", "gke", "stop", "b"]) == 0
    assert "the cluster has no job of b" in capfd.readouterr().out
    assert main.main(["launch", "gke", "stop", "table0"]) == 0
    assert api.jobsets == {}


def test_a_jobset_that_is_there_already_is_told(api, capsys):
    assert launch() == 0
    assert launch() == main.USER_ERROR
    assert "already exists" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_one_sentence(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main.main(["launch", "gke", "status"]) == main.USER_ERROR
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("mm15: kubectl says: ")


def test_what_the_server_refuses_is_told(api, capsys, monkeypatch):
    rendered = gke.Gke.rendered
    monkeypatch.setattr(
        gke.Gke, "rendered", lambda *words: rendered(*words).replace("backoffLimit", "backofLimit")
    )
    assert launch() == main.USER_ERROR
    assert "backofLimit" in capsys.readouterr().err and api.jobsets == {}


def test_jobs_that_wait_for_one_another_are_followed(api, capsys):
    jobs = [Job(n, (("train", "x"),), a) for n, a in (("a", ()), ("b", ("a",)), ("c", ("a",)))]
    jobs.append(Job("d", (("train", "x"),), ("b",)))
    # The first is there from an earlier launch, and failed: it is made anew.
    options = gke.Gke(topology="v5e:2x2", image="registry.example/mm15:1")
    options._submit(jobs[0], "table0")
    api.states = {"a": ["Failed", "", "", "Completed"], "b": ["", "Failed"], "c": ["Completed"]}
    assert options.start("table0", jobs, dry_run=False) == 1
    assert api.created[:2] == ["a", "a"] and set(api.created) == {"a", "b", "c"}
    assert "d is not started: b failed" in capsys.readouterr().err
