"""Policies of rematerialisation: what each keeps, and that none changes a gradient."""

import contextlib
import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax.ad_checkpoint import checkpoint_name, print_saved_residuals

from mm15_jax.config import load
from mm15_jax.config.schema import DecoderConfig, EncoderConfig
from mm15_jax.model.decoder import Decoder
from mm15_jax.model.params import rematerialised
from mm15_jax.model.remat import NAMES, policy_of, saveable
from mm15_jax.model.vit import Encoder

ENCODER = EncoderConfig(
    resolution=16, patch_size=4, width=16, layers=2, heads=2, mlp_width=32, remat="none"
)
DECODER = DecoderConfig(
    vocab_size=8, width=16, layers=2, ffn_width=24, heads=2, kv_heads=1, head_dim=8, remat="none"
)
WITHOUT_NORM = dataclasses.replace(DECODER, qk_norm=False)


def gradient_of(config):
    """Of the parts' parameters, with a fixed input; compiled."""
    key = jax.random.key(0)
    if isinstance(config, EncoderConfig):
        module = Encoder(config, jnp.float32)
        inputs = (jax.random.randint(key, (2, 16, 16, 3), 0, 255).astype(jnp.uint8),)
    else:
        module = Decoder(config)
        inputs = (
            jax.random.normal(key, (2, 12, 16)),
            jnp.broadcast_to(jnp.arange(12), (2, 12)),
        )
    params = nn.unbox(module.init(key, *inputs))

    @jax.jit
    def gradient(params):
        return jax.grad(lambda p: jnp.sum(first(module.apply(p, *inputs)) ** 3))(params)

    return gradient(params)


def residuals_of(function, *args):
    """A line of text for each array that the backward pass keeps."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print_saved_residuals(function, *args)
    return text.getvalue().splitlines()


def first(out):
    return out[0] if isinstance(out, tuple) else out


@pytest.fixture(scope="module")
def without_remat():
    return {config: gradient_of(config) for config in (ENCODER, DECODER, WITHOUT_NORM)}


@pytest.mark.parametrize(
    "config, remat",
    [
        (ENCODER, "matmuls"),
        (DECODER, "context"),
        (DECODER, "matmuls"),
        (DECODER, "activations"),
        (WITHOUT_NORM, "matmuls"),
    ],
    ids=lambda x: x if isinstance(x, str) else type(x).__name__,
)
def test_no_policy_changes_a_gradient(config, remat, without_remat):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        gradient_of(dataclasses.replace(config, remat=remat)),
        without_remat[config],
    )


@pytest.mark.parametrize(
    "remat, kept",
    [
        ("full", ()),
        ("context", ("context",)),
        ("attention", ("context", "qkv", "residual")),
        ("matmuls", NAMES),
    ],
)
def test_a_policy_keeps_what_it_names(remat, kept):
    def layer(x):
        for name in NAMES:
            x = saveable(jnp.sin(x), name)
        return jnp.sin(x)

    layer = jax.checkpoint(layer, policy=policy_of(remat))
    residuals = residuals_of(layer, jnp.ones(3))
    named = {name for name in NAMES for line in residuals if f"named '{name}'" in line}
    assert named == set(kept)


def test_parameters_gathered_for_a_layer_are_not_kept():
    whole = jax.sharding.SingleDeviceSharding(jax.devices()[0])

    def layer(x, kernel):
        return jnp.sin(jnp.sin(x) * jax.lax.with_sharding_constraint(jnp.cos(kernel), whole))

    layer = jax.checkpoint(layer, policy=policy_of("activations"))
    residuals = residuals_of(layer, jnp.ones(3), jnp.ones(3))
    assert not [line for line in residuals if "sharding_constraint" in line]
    assert len(residuals) > 2  # sin(x) and others are


def test_other_names_are_no_part_of_a_policy():
    with pytest.raises(AssertionError):
        saveable(jnp.ones(3), "contxt")
    layer = jax.checkpoint(
        lambda x: jnp.sin(checkpoint_name(jnp.sin(x), "theirs")), policy=policy_of("matmuls")
    )
    assert not [line for line in residuals_of(layer, jnp.ones(3)) if "named" in line]


def test_a_mistyped_policy_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="'matmul'; did you mean 'matmuls'"):
        rematerialised(nn.Module, "matmul")
    with pytest.raises(ValueError, match=r"model.decoder.remat: 'contxt'; did you mean 'context'"):
        load("mm15_3b_sft", ["model.decoder.remat=contxt"])
