"""A layer with experts, compiled for a TPU topology: forward, backward, its collectives."""

import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mm15_jax.config import DecoderConfig, MeshConfig, MoEConfig
from mm15_jax.model.moe import MoE
from mm15_jax.model.params import Box
from mm15_jax.parallel.mesh import make_mesh
from mm15_jax.parallel.rules import RULES, use_rules
from mm15_jax.plan.chips import CHIPS
from mm15_jax.plan.hlo import parse
from mm15_jax.plan.work import work_of

pytestmark = pytest.mark.tpu_compile
ROWS, LENGTH, WIDTH, FFN, EXPERTS = 16, 512, 256, 512, 8


def compiled(dispatch, mesh_config):
    """The compiled gradient of a layer in bfloat16 on eight v5p chips."""
    pytest.importorskip("libtpu")
    os.environ.update(TPU_SKIP_MDS_QUERY="1", ALLOW_MULTIPLE_LIBTPU_LOAD="1")
    from jax.experimental import topologies

    topology = topologies.get_topology_desc(platform="tpu", topology_name="v5p:2x2x2")
    mesh = make_mesh(mesh_config, topology.devices)
    moe = MoEConfig(experts=EXPERTS, dispatch=dispatch, capacity_factor=1.0, buffer_factor=1.0)
    config = DecoderConfig(width=WIDTH, ffn_width=FFN, layers=2, moe=moe)
    rules = RULES["fsdp"]
    shape = (ROWS, LENGTH, WIDTH)
    x = jax.ShapeDtypeStruct(
        shape, jnp.bfloat16, sharding=rules.sharding(mesh, ("batch", None, None), shape)
    )
    mask = jax.ShapeDtypeStruct(
        shape[:2], jnp.bool_, sharding=rules.sharding(mesh, ("batch", None), shape[:2])
    )
    boxed = jax.eval_shape(MoE(config).init, jax.random.key(0), x, mask)
    params = jax.tree.map(
        lambda box: jax.ShapeDtypeStruct(
            box.value.shape,
            box.value.dtype,
            sharding=rules.parameter(mesh, box.axes, box.value.shape),
        ),
        boxed,
        is_leaf=lambda leaf: isinstance(leaf, Box),
    )

    def loss(params, x, mask):
        with use_rules(mesh, rules):
            y, aux = MoE(config).apply(params, x, mask)
        return jnp.sum(y.astype(jnp.float32) ** 2) + aux.load_balance + aux.router_z

    return jax.jit(jax.grad(loss)).lower(params, x, mask).compile()


@pytest.mark.parametrize("dispatch", ["capacity", "dropless"])
@pytest.mark.parametrize(
    "mesh", [MeshConfig(data=1, expert=4, fsdp=2), MeshConfig(data=1, expert=2, fsdp=2, tensor=2)]
)
def test_a_layer_compiles_with_all_to_all_and_without_waste(dispatch, mesh):
    program = compiled(dispatch, mesh)
    text = program.as_text()
    assert re.search(r"\ball-to-all", text)
    if dispatch == "capacity":
        # Nine products a choice, 2 D F each: three forward, gate and up again, the gradients of
        # three kernels, and that of the hidden states. Nobody asked for the inputs' gradient.
        ideal = 9 * 2 * WIDTH * FFN * ROWS * LENGTH * 2 / 8
        flops = work_of(parse(text), CHIPS["v5p"]).flops  # experts run one by one, in a loop
        assert 1 <= flops / ideal < 1.05, np.round(flops / ideal, 3)
    else:
        assert "tpu_custom_call" in text  # the grouped matmul
