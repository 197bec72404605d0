import copy
import os
import pathlib
import shutil
import signal
import subprocess

import jsonschema
import pytest
import yaml

from mm15_jax.cli import main
from mm15_jax.config.jobs import Job
from mm15_jax.launch import manifest
from mm15_jax.launch.gke import Gke
from tests.goldens.renew import FOLDER
from tests.launch import kubernetes

GOLDENS = sorted((FOLDER / "launch").glob("gke*.txt"))


def documents(name):
    text = (FOLDER / "launch" / f"{name}.txt").read_text()
    return [document for document in yaml.safe_load_all(text) if document]


MANIFESTS = [
    pytest.param(document, id=f"{path.stem}:{document['metadata']['name']}")
    for path in GOLDENS
    if "xpk" not in path.stem
    for document in documents(path.stem)
]


@pytest.mark.parametrize("document", MANIFESTS)
def test_a_manifest_is_what_jobset_and_kubernetes_say(document):
    kubernetes.validate(document)


def changed(path, key, value):
    """The manifest of two slices with one field added or changed."""
    document = copy.deepcopy(documents("gke_slices")[0])
    there = document
    for step in path:
        there = there[step]
    there[key] = value
    return document


JOB = ("spec", "replicatedJobs", 0, "template", "spec")
POD = (*JOB, "template", "spec")


@pytest.mark.parametrize(
    "document",
    [
        changed((), "kinds", "JobSet"),
        changed(("metadata",), "labelz", {}),
        changed(("metadata", "labels"), "a", 1),
        changed(("spec",), "failurepolicy", {}),
        changed(("spec", "failurePolicy"), "maxrestarts", 1),
        changed(("spec", "failurePolicy", "rules", 0), "action", "FailJobset"),
        changed(("spec", "replicatedJobs", 0), "replica", 2),
        changed(JOB, "backOffLimit", 0),
        changed(JOB, "parallelism", "32"),
        changed((*JOB, "podFailurePolicy", "rules", 0), "onExitCode", {}),
        changed(POD, "restartpolicy", "Never"),
        changed(POD, "hostNetwork", "yes"),
        changed((*POD, "containers", 0), "comand", []),
        changed((*POD, "containers", 0, "securityContext"), "allowPrivilegeEscalations", False),
        changed((*POD, "tolerations", 0), "effects", "NoSchedule"),
    ],
    ids=lambda _: "",
)
def test_a_mistyped_field_is_caught(document):
    with pytest.raises(jsonschema.ValidationError):
        kubernetes.validate(document)


def test_a_manifest_says_what_was_asked():
    (document,) = documents("gke_slices")
    assert document["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "pods"
    (replicated,) = document["spec"]["replicatedJobs"]
    assert replicated["replicas"] == 2
    job = replicated["template"]["spec"]
    assert job["parallelism"] == job["completions"] == 32  # v5p:4x4x8, four chips a host
    pod = job["template"]["spec"]
    assert pod["nodeSelector"] == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5p-slice",
        "cloud.google.com/gke-tpu-topology": "4x4x8",
        "cloud.google.com/gke-spot": "true",
    }
    assert pod["serviceAccountName"] == "trainer"
    assert pod["terminationGracePeriodSeconds"] == 300
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"google.com/tpu": 4}
    assert container["envFrom"] == [{"secretRef": {"name": "judge"}}]
    assert "mesh.slice=2" in container["command"][-1]


@pytest.mark.parametrize(
    ("slices", "account", "on_the_nodes"), [(1, "", False), (2, "", True), (2, "trainer", False)]
)
def test_pods_are_on_the_nodes_network_only_where_slices_talk_over_it(
    slices, account, on_the_nodes
):
    """There a Kubernetes account has no effect."""
    options = Gke(topology="v5e:4x4", slices=slices, kubernetes_service_account=account)
    document = manifest.jobset(Job("a", (("train", "x"),)), "a", options, {})
    kubernetes.validate(document)
    pod = document["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    assert pod.get("hostNetwork", False) is ("dnsPolicy" in pod) is on_the_nodes


def test_only_exit_codes_that_would_come_again_are_final():
    (document,) = documents("gke")
    job = document["spec"]["replicatedJobs"][0]["template"]["spec"]
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    codes = rule["onExitCodes"]["values"]
    assert codes == list(range(1, 127)) and len(codes) <= 255  # Kubernetes' limit
    (final,) = document["spec"]["failurePolicy"]["rules"]
    assert (final["action"], final["onJobFailureReasons"]) == ("FailJobSet", ["PodFailurePolicy"])


# Stands for mm15 in a container: its first word is what it does.
MM15 = """#!/bin/bash
case $1 in
  wait) trap 'echo saved; exit 143' TERM; echo waiting; while :; do sleep 0.1; done ;;
  sit) echo waiting; exec sleep 60 ;;
  say) echo "$2" ;;
  fail) exit "$2" ;;
esac
"""


@pytest.fixture
def container(tmp_path):
    """Starts a job's shell text as a container does; its process."""
    program = tmp_path / "mm15"
    program.write_text(MM15)
    program.chmod(0o755)

    def start(*commands, before=()):
        words = [*before, "bash", "-c", manifest.shell(Job("job", commands))]
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)

    return start


@pytest.mark.parametrize("commands", [[("wait",)], [("say", "a b"), ("wait",), ("say", "never")]])
def test_a_containers_first_process_passes_the_signal_on(container, commands):
    process = container(*commands)
    while process.stdout.readline() != "waiting\n":
        assert process.poll() is None
    process.terminate()
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("saved\n", 143)


# Makes what it runs the first process of a namespace, as in a container.
UNSHARE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child")


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*UNSHARE, "true"], check=False).returncode,
    reason="namespaces of processes cannot be made here",
)
def test_a_command_that_handles_no_signal_ends_in_a_container(container):
    process = container(("sit",), before=UNSHARE)
    try:
        assert process.stdout.readline() == "waiting\n"
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        os.kill(int(children), signal.SIGTERM)
        assert process.wait(timeout=20) == 143
    finally:
        process.kill()


def test_commands_run_one_after_the_other_until_one_fails(container):
    process = container(("say", "it's $HOME"), ("fail", "7"), ("say", "never"))
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("it's $HOME\n", 7)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--topology v5p:4x4x5 -- train mm15_3b_sft", "did you mean 'v5p:4x4x8'"),
        ("-- train mm15_3b_sft", "--topology"),
        ("--topology v5p-128 --check=estimate -- train mm15_3b_sft", "--run_dir gs://"),
        (
            "--topology v5p-128 --check=estimate -- train mm15_nano_sft --run_dir gs://b/r "
            "--data_dir gs://b/d --set train.batch_rows=64",
            "no image",
        ),
        ("--topology v5e:4x4 --check=estimate -- train mm15_30b_sft", "does not fit"),
        ("--topology v5p-128 --check=estimate -- train mm15_3b_sft --chain", "one stage a launch"),
        ("--topology v5p-128 --zones a -- train mm15_3b_sft", "zones"),
        ("--topology v5p-128 --nodes 2 -- train mm15_3b_sft", "no option of gke"),
        ("--topology v5p-128 --xpk --secret a -- train mm15_3b_sft", "takes no secrets"),
        ("--topology v5p-128 -- trian mm15_3b_sft", "train"),
        ("--topology v5p-128 -- train mm15_3b_stf", "mm15_3b_sft"),
        ("--topology v5p-128", "nothing to launch"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence_before_anything_is_sent(
    words, said, capsys, monkeypatch
):
    monkeypatch.setenv("PATH", "")  # nothing could be sent
    assert main.main(["launch", "gke", *words.split()]) == main.USER_ERROR
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("mm15: ") and said in error
