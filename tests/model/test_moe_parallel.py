"""Experts divided over devices: the same figures as on one device."""

import dataclasses
import functools
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mm15_jax.config import DecoderConfig, MeshConfig, MoEConfig
from mm15_jax.model.moe import MoE
from mm15_jax.parallel.mesh import make_mesh
from mm15_jax.parallel.rules import RULES, use_rules

CONFIG = DecoderConfig(
    width=8, ffn_width=12, layers=2, moe=MoEConfig(experts=4, capacity_factor=0.5)
)
X = np.random.default_rng(0).standard_normal((4, 24, 8)).astype(np.float32)
MASK = np.arange(24)[None] < np.array([24, 20, 24, 9])[:, None]


def run(config, mesh=None):
    """(output, figures, gradients) of a layer."""
    params = jax.jit(MoE(config).init)(jax.random.key(0), X, MASK)
    params = jax.tree.map(lambda box: box.value, params, is_leaf=lambda x: hasattr(x, "value"))

    def loss(params, x):
        if mesh is None:
            y, aux = MoE(config).apply(params, x, MASK)
        else:
            with use_rules(mesh, RULES["fsdp"]):
                y, aux = MoE(config).apply(params, x, MASK)
        return jnp.sum(y**3) + jnp.sum(aux.load_balance) + aux.router_z, (y, aux)

    gradients, out = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(params, X)
    return out, gradients


@pytest.mark.parametrize("dispatch", ["capacity", "dropless"])
@pytest.mark.parametrize("axis", ["expert", pytest.param("tensor", marks=pytest.mark.slow)])
def test_two_devices_equal_one(dispatch, axis):
    moe = dataclasses.replace(CONFIG.moe, dispatch=dispatch)
    config = dataclasses.replace(CONFIG, moe=moe)
    mesh = make_mesh(MeshConfig(data=1, **{axis: 2}), jax.devices()[:2])
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
        run(config, mesh),
        run(config),
    )


def test_a_bounded_buffer_drops_what_does_not_fit():
    moe = dataclasses.replace(CONFIG.moe, dispatch="dropless", buffer_factor=0.5)
    mesh = make_mesh(MeshConfig(data=1, expert=2), jax.devices()[:2])
    (_, aux), _ = run(dataclasses.replace(CONFIG, moe=moe), mesh)
    # Of 2 x 48 choices a device may send 24 to each.
    assert float(aux.dropped) >= 1 - 4 * 24 / (2 * MASK.sum()) - 1e-6
    (_, aux), _ = run(dataclasses.replace(CONFIG, moe=dataclasses.replace(moe, buffer_factor=0)))
    assert float(aux.dropped) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "dispatch, meshes",
    [
        ("capacity", ["expert4_fsdp2", "expert2_fsdp2_tensor2", "slice2_data2_expert2"]),
        ("dropless", ["expert4_fsdp2", "fsdp8"]),
    ],
)
def test_eight_devices_train_as_one(dispatch, meshes):
    done = subprocess.run(
        [sys.executable, "-m", "tests.model.moe_on_eight_devices", dispatch, "one", *meshes],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "8"},
        check=True,
    )
    found = json.loads(done.stdout)
    expected = found["one"]["metrics"]
    assert (np.mean([step["moe"][3] for step in expected]) > 0.01) == (dispatch == "capacity")
    for mesh in meshes:
        for ours, theirs in zip(found[mesh]["metrics"], expected, strict=True):
            np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-5)
            np.testing.assert_allclose(ours["grad_norm"], theirs["grad_norm"], rtol=1e-4)
        # Experts are divided, not copied.
        specs = [s for path, s in found[mesh]["specs"].items() if path.endswith("moe/gate/kernel")]
        assert specs and all(("expert" in s or "fsdp" in s) for s in specs)
