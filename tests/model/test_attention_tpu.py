"""The splash kernel, interpreted on a CPU, against attention in plain JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from mm15_jax.config import MeshConfig
from mm15_jax.model.attention_tpu import blocks_of, splash_attention, splash_attention_with_token
from mm15_jax.model.attention_xla import xla_attention
from mm15_jax.model.remat import policy_of
from mm15_jax.parallel.mesh import make_mesh
from mm15_jax.parallel.rules import RULES, use_rules


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def output_and_gradients(function, *arrays):
    """Of sum(out ** 3), compiled."""

    @jax.jit
    def run(*arrays):
        value, back = jax.vjp(function, *arrays)
        return value, back(jax.tree.map(lambda x: 3 * x**2, value))

    return run(*arrays)


def assert_close(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * float(jnp.max(jnp.abs(b))))


def test_packed_rows_padded_to_a_block_are_the_same():
    S = 120
    segment_ids = np.ones((2, S), np.int32)
    segment_ids[0] = np.repeat([1, 2, 0], [50, 60, 10])
    arrays = draw(1, 2, S, 4, 16), draw(2, 2, S, 2, 16), draw(3, 2, S, 2, 16)
    settings = {"segment_ids": jnp.asarray(segment_ids), "causal": True}
    assert_close(
        output_and_gradients(lambda *a: splash_attention(*a, **settings, interpret=True), *arrays),
        output_and_gradients(lambda *a: xla_attention(*a, **settings), *arrays),
    )


def test_a_row_without_segments_does_not_see_its_padding():
    arrays = tuple(draw(i, 1, 100, 2, 80) for i in range(3))
    assert_close(
        output_and_gradients(lambda *a: splash_attention(*a, interpret=True), *arrays),
        output_and_gradients(xla_attention, *arrays),
    )


def test_a_token_apart_from_its_row_is_the_same_as_one_in_it():
    S = 100
    patches = tuple(draw(i, 1, S, 2, 16) for i in range(3))
    tokens = tuple(2 * draw(i + 3, 1, 1, 2, 16) for i in range(3))

    def together(*arrays):
        both = [jnp.concatenate(pair, axis=1) for pair in zip(arrays[3:], arrays[:3], strict=True)]
        out = xla_attention(*both)
        return out[:, 1:], out[:, :1]

    def apart(*arrays):
        return splash_attention_with_token(arrays[:3], arrays[3:], interpret=True)

    assert_close(
        output_and_gradients(apart, *patches, *tokens),
        output_and_gradients(together, *patches, *tokens),
    )


@pytest.mark.parametrize("mesh", [MeshConfig(fsdp=2), MeshConfig(tensor=2)], ids=["rows", "heads"])
def test_on_a_mesh_rows_and_heads_are_divided(mesh):
    mesh = make_mesh(mesh, jax.devices()[:2])
    # One key head: with heads divided each device has a copy of it.
    arrays = draw(1, 2, 128, 2, 16), draw(2, 2, 128, 1, 16), draw(3, 2, 128, 1, 16)
    settings = {"segment_ids": jnp.ones((2, 128), jnp.int32), "causal": True}

    def sharded(*arrays):
        with use_rules(mesh, RULES["fsdp"]):
            return splash_attention(*arrays, **settings, interpret=True)

    assert_close(
        output_and_gradients(sharded, *arrays),
        output_and_gradients(lambda *a: xla_attention(*a, **settings), *arrays),
    )


@pytest.mark.parametrize(
    "S, expected",
    [
        (4096, (4096, 512)),
        (2304, (2304, 768)),
        (2305, (2560, 640)),
        (729, (768, 768)),
        (96, (128, 128)),
        (1024, (1024, 512)),
    ],
)
def test_blocks_pad_little_and_are_large(S, expected):
    assert blocks_of(S) == expected


@pytest.mark.parametrize("remat, kernels", [("full", 2), ("context", 1)])
@pytest.mark.parametrize("token", [False, True])
def test_the_kernel_runs_once_where_the_context_is_kept(remat, kernels, token):
    mesh = make_mesh(MeshConfig(fsdp=2), jax.devices()[:2])
    patches = [jnp.ones((2, 128, 2, 16))] * 3
    tokens = [jnp.ones((2, 1, 2, 16))] * 3

    def layer(*arrays):
        with use_rules(mesh, RULES["fsdp"]):
            if token:
                return splash_attention_with_token(arrays, tokens, interpret=True)[0]
            return splash_attention(*arrays, causal=True, interpret=True)

    layer = jax.checkpoint(layer, policy=policy_of(remat))
    jaxpr = jax.make_jaxpr(jax.grad(lambda *a: jnp.sum(layer(*a) ** 2), argnums=(0, 1, 2)))(
        *patches
    )
    assert kernels_in(jaxpr.jaxpr) == kernels


def kernels_in(jaxpr):
    """Forward kernels called in a program; a call without outputs is dropped by the compiler."""
    count = 0
    for equation in (e for e in jaxpr.eqns if e.outvars):
        if equation.primitive.name == "pallas_call":
            count += equation.params["name"].startswith("splash_mha_fwd")
        else:
            count += sum(kernels_in(inner) for inner in jaxprs_in_params(equation.params))
    return count


def test_what_the_kernel_takes_is_kept_by_its_name_and_not_made_again():
    arrays = draw(1, 1, 128, 4, 16), draw(2, 1, 128, 2, 16), draw(3, 1, 128, 2, 16)

    def transposes(name):
        def layer(*arrays):
            doubled = (x * 2 for x in arrays)
            return splash_attention(*doubled, causal=True, name=name, interpret=True)

        layer = jax.checkpoint(layer, policy=policy_of("attention"))
        gradient = jax.grad(lambda *a: jnp.sum(layer(*a) ** 2), argnums=(0, 1, 2))
        return str(jax.make_jaxpr(gradient)(*arrays)).count("permutation=(0, 2, 1, 3)")

    # Of queries, keys and values; forward alone, or again for the backward pass.
    assert transposes(None) - transposes("qkv") == 3
