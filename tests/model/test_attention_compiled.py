"""Attention compiled for TPUs on a machine without any: `pytest -m tpu_compile`."""

import os

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from mm15_jax.config import MeshConfig
from mm15_jax.model.attention import attention, attention_with_token
from mm15_jax.model.remat import policy_of
from mm15_jax.parallel.mesh import make_mesh
from mm15_jax.parallel.rules import RULES, use_rules

pytestmark = pytest.mark.tpu_compile
pytest.importorskip("libtpu")


@pytest.fixture(scope="module", params=["v5p:2x2x1", "v5e:2x2"])
def mesh(request):
    """Four chips: rows over two, heads over two."""
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    from jax.experimental import topologies

    devices = topologies.get_topology_desc(platform="tpu", topology_name=request.param).devices
    return make_mesh(MeshConfig(fsdp=2, tensor=2), devices)


def compiled_text(mesh, function, *shapes):
    """Of the gradient of sum(function ** 2), bfloat16 arrays [B, S, H, h] divided as they are."""
    sharding = NamedSharding(mesh, PartitionSpec("fsdp", None, "tensor"))
    arrays = [jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=sharding) for shape in shapes]

    def loss(*arrays):
        with use_rules(mesh, RULES["fsdp"]):
            out = function(*arrays)
        return sum(jnp.sum(x.astype(jnp.float32) ** 2) for x in jax.tree.leaves(out))

    gradient = jax.jit(jax.grad(loss, argnums=tuple(range(len(arrays)))), out_shardings=sharding)
    return gradient.lower(*arrays).compile().as_text()


def check(text):
    for phase in ("fwd", "dq", "dkv"):
        assert f"splash_mha_{phase}" in text
    for collective in ("all-gather", "all-to-all", "collective-permute"):
        assert collective not in text, "rows and heads stay where they are"


def test_the_decoders_attention_is_the_splash_kernel_on_each_device(mesh):
    key = (2, 1024, 2, 128)
    segment_ids = jnp.ones((2, 1024), jnp.int32)

    def attend(*arrays):
        return attention(*arrays, segment_ids=segment_ids, causal=True)

    check(compiled_text(mesh, attend, (2, 1024, 4, 128), key, key))


def test_the_encoders_attention_takes_heads_of_80_unpadded(mesh):
    patches, token = (2, 2304, 4, 80), (2, 1, 4, 80)

    def attend(*arrays):
        return attention_with_token(arrays[:3], arrays[3:])

    text = compiled_text(mesh, attend, *[patches] * 3, *[token] * 3)
    check(text)
    assert "2560" not in text and "2432" not in text, "2,304 patches are whole blocks"


def test_the_context_can_wait_in_the_hosts_memory(mesh):
    heads = (2, 1024, 4, 128)

    def attend(*arrays):
        layer = jax.checkpoint(
            lambda *a: jnp.sin(attention(*a, causal=True)), policy=policy_of("offload_context")
        )
        return layer(*arrays)

    text = compiled_text(mesh, attend, *[heads] * 3)
    assert "S(5)" in text, "an array in host memory"
