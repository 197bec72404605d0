"""Optimizer state in the host's memory; what it saves on a TPU is in tests/plan/test_tpu.py."""

import shutil

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh

from mm15_jax.checkpoint import run
from mm15_jax.config import load
from mm15_jax.parallel.rules import MESH_AXES
from mm15_jax.train import loop, offload
from mm15_jax.train.metrics import read_rows
from mm15_jax.train.state import abstract_state
from tests import tiny


def test_what_is_large_on_a_device_is_on_the_host():
    config = load("text_3b", ["optimizer.offload=true"])
    state = abstract_state(config, AbstractMesh((1, 1, 64, 1, 1), MESH_AXES))
    opt_state = jax.tree.leaves(state.opt_state)
    assert not offload.on_host(state.params)
    size = sum(x.size for x in offload.on_host(opt_state))
    assert size / sum(x.size for x in opt_state) > 0.99  # of both moments
    largest_left = max(x.size for x in opt_state if x.sharding.memory_kind != offload.HOST)
    assert largest_left < 64 * offload.LEAST
    assert not offload.on_host(abstract_state(load("text_3b"), state.step.sharding.mesh).opt_state)


def test_a_run_goes_on_with_its_state_on_the_host(tiny_run, tmp_path, data_dir, monkeypatch):
    monkeypatch.setattr(offload, "LEAST", 64)
    run_dir = tmp_path / "run"
    shutil.copytree(tiny_run, run_dir)
    shutil.rmtree(run_dir / run.CHECKPOINTS / "6")
    places = []
    update = offload.through_device

    def watched(*arguments, **named):
        places.extend(s.memory_kind for s in jax.tree.leaves(arguments[1]))
        return update(*arguments, **named)

    monkeypatch.setattr("mm15_jax.train.step.through_device", watched)
    result = loop.train(tiny.experiment(**{"optimizer.offload": True}), run_dir, data_dir)
    assert (result.first_step, result.last_step) == (4, 6)
    assert places.count(offload.HOST) > 10
    ours, theirs = (read_rows(d / run.METRICS) for d in (run_dir, tiny_run))
    for row, other in zip(ours, theirs, strict=True):
        for name in ("loss", "grad_norm"):
            assert row[name] == pytest.approx(other[name], rel=1e-5), row["step"]


def test_every_leaf_visits_the_device_and_goes_back():
    device = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    host = device.with_memory_kind(offload.HOST)
    shardings = {"large": host, "count": device}
    state = jax.device_put({"large": np.arange(4.0), "count": np.int32(3)}, shardings)

    def update(params, state, grads):
        assert jax.typeof(state["large"]).memory_space == jax.memory.Space.Device
        state = {"large": state["large"] + grads, "count": state["count"] + 1}
        return params - state["large"], state

    @jax.jit
    def step(params, state, grads, norm):
        return offload.through_device(update, shardings, after=norm)(params, state, grads)

    for norm in (1.0, np.nan):  # what is not finite is for the caller to judge
        params, new = step(np.ones(4), state, np.full(4, 2.0), norm)
        assert new["large"].sharding.memory_kind == offload.HOST and int(new["count"]) == 4
        np.testing.assert_array_equal(new["large"], [2, 3, 4, 5])
        np.testing.assert_array_equal(params, [-1, -2, -3, -4])
