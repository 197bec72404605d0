"""One step on many meshes; see `on_eight_devices`, which runs them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.parallel.on_eight_devices import CASES

FAST = ("embedding", "scattered_tiles", "one", "fsdp4_tensor2")


def run(names) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "tests.parallel.on_eight_devices", *names],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "8"},
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def fast():
    return run(FAST)


def assert_same_metrics(found, wanted):
    for one, other in zip(found["metrics"], wanted["metrics"], strict=True):
        for name in wanted["metrics"][0]:
            np.testing.assert_allclose(one[name], other[name], rtol=1e-5, err_msg=name)


def test_placing_vision_tokens_needs_no_communication(fast):
    assert fast["embedding"] == 0  # of the whole way from tiles and tokens to the decoder
    assert fast["scattered_tiles"] > 0
    assert fast["fsdp4_tensor2"]["collectives"] > 0
    assert fast["fsdp4_tensor2"]["at_place_vision"] == 0  # forward and backward


def test_eight_devices_give_the_losses_of_one(fast):
    assert_same_metrics(fast["fsdp4_tensor2"], fast["one"])


def test_state_is_divided_by_the_rules_and_donated(fast):
    found = fast["fsdp4_tensor2"]
    kernel, division = "decoder/layers/mlp/gate/kernel", "P(None, ('fsdp', 'expert'), 'tensor')"
    assert found["specs"][f"params/{kernel}"] == division
    moments = [spec for path, spec in found["specs"].items() if path.endswith(f"mu/{kernel}")]
    assert moments == [division]
    for whole, one_device in found["sizes"].values():
        assert one_device < 0.2 * whole  # an eighth, but for vectors
    assert found["donated"]


@pytest.mark.slow
def test_all_meshes_and_accumulations_give_the_same_losses(fast):
    assert CASES.keys() >= {"data8", "fsdp8", "slice2_fsdp4", "accumulation2", "accumulation4"}
    others = run([name for name in CASES if name not in (*FAST, "adafactor")])
    for found in others.values():
        assert_same_metrics(found, fast["one"])
        assert found["at_place_vision"] == 0


@pytest.mark.slow
def test_the_means_of_adafactor_are_divided():
    found = run(["adafactor"])["adafactor"]
    whole, one_device = found["sizes"]["opt_state"]
    assert one_device < 0.2 * whole
    assert all(np.isfinite(step["loss"]) for step in found["metrics"])
