"""The same answers on one device and on many; see `on_devices`, which gives them."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.infer.on_devices import CASES

MESHES = [case for case in CASES if case != "none"]


def start(*cases, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.infer.on_devices", *cases],
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def found():
    process = start(*CASES, JAX_NUM_CPU_DEVICES="8")
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


@pytest.mark.parametrize("mesh", MESHES)
def test_answers_on_eight_devices_are_those_of_one(found, mesh):
    assert found[mesh]["devices"] == 8
    assert found[mesh]["answers"] == found["none"]["answers"]
    assert len(set(found["none"]["answers"])) > len(found["none"]["answers"]) // 2


@pytest.mark.parametrize("mesh", MESHES)
def test_scores_on_eight_devices_are_those_of_one(found, mesh):
    assert found[mesh]["scores"] == pytest.approx(found["none"]["scores"], abs=1e-3)
    assert max(found["none"]["scores"]) < -1


@pytest.mark.parametrize("mesh", MESHES)
def test_a_model_has_one_fingerprint_on_any_mesh(found, mesh):
    assert found[mesh]["fingerprint"] == found["none"]["fingerprint"]


@pytest.mark.multi_process
def test_two_processes_both_get_all_answers(found):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [
        start(
            "data2_fsdp4",
            JAX_NUM_CPU_DEVICES="4",
            JAX_COORDINATOR_ADDRESS=address,
            JAX_NUM_PROCESSES="2",
            JAX_PROCESS_ID=str(number),
        )
        for number in range(2)
    ]
    for process in processes:
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0
        answers = json.loads(out.splitlines()[-1])["data2_fsdp4"]
        assert answers["answers"] == found["none"]["answers"] and answers["devices"] == 8
