"""The arithmetic, held against a count of every product of the traced model."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import pytest

from mm15_jax.config import ConnectorConfig, EncoderConfig, load, replace_nested
from mm15_jax.data.batch import BatchShape, empty_batch
from mm15_jax.model import mllm
from mm15_jax.plan import arithmetic
from tests import tiny
from tests.plan.jaxpr_flops import matmul_flops

ROWS, LENGTH, TILES = 2, 24, 3
STEMS = {
    "linear": {},
    "class token": {"model.encoder.class_token": True},
    "conv": {"model.encoder.stem": "conv", "model.encoder.stem_channels": (8, 12, 16)},
    "wide connector": {"model.connector": ConnectorConfig(tokens=4, hidden=24, depth=2)},
    "linear connector": {"model.connector": ConnectorConfig(kind="linear", tokens=9)},
    "two layers": {"model.decoder.layers": 2, "model.encoder.layers": 2},
}


def experiment(changes):
    return tiny.experiment(
        **{
            "train.batch_rows": ROWS,
            "inputs.sequence_length": LENGTH,
            "inputs.tiles_per_row": TILES,
            **changes,
        }
    )


def traced(config):
    """(forward to one number, abstract parameters, abstract batch)."""
    model = config.model
    params = jax.eval_shape(lambda key: mllm.init_params(model, key), jax.random.key(0))
    shape = BatchShape(ROWS, LENGTH, TILES, mllm.tokens_per_tile(model), model.encoder.resolution)
    batch = jax.eval_shape(lambda: {k: jnp.asarray(v) for k, v in empty_batch(shape).items()})

    def forward(params, batch):
        out = mllm.forward(params, batch, model, dtype=jnp.float32)
        return jax.tree.leaves(out)[0].sum()

    return forward, params, batch


@pytest.mark.parametrize("changes", STEMS.values(), ids=STEMS)
def test_the_forward_count_is_that_of_the_traced_model(changes):
    config = experiment(changes)
    forward, params, batch = traced(config)
    flops = arithmetic.forward_flops(config)
    expected = flops.encoder + flops.connector + flops.decoder
    assert matmul_flops(forward, params, batch) == expected


def test_attention_counts_all_pairs_of_the_encoder_and_a_triangle_of_the_decoder():
    config = experiment({})
    flops = arithmetic.forward_flops(config)
    encoder, decoder = config.model.encoder, config.model.decoder
    assert flops.encoder_attention == (
        ROWS * TILES * encoder.layers * 4 * encoder.grid**4 * encoder.width
    )
    pairs = sum(range(1, LENGTH + 1))
    heads = decoder.heads * decoder.head_dim
    assert flops.decoder_attention == ROWS * decoder.layers * 4 * pairs * heads
    # The encoder's attention is whole on a CPU, so that it can be counted too.
    forward, params, batch = traced(experiment({"model.decoder.layers": 0}))
    assert matmul_flops(forward, params, batch, attention=True) == flops.encoder_attention


def test_a_backward_pass_is_twice_a_forward_one_but_for_what_has_no_gradient():
    config = experiment({})
    forward, params, batch = traced(config)
    flops = arithmetic.forward_flops(config)
    once = flops.encoder + flops.connector + flops.decoder
    encoder, connector = config.model.encoder, config.model.connector
    tiles = ROWS * TILES
    pixels = tiles * 2 * encoder.grid**2 * encoder.patch_size**2 * 3 * encoder.width
    side = round(connector.tokens**0.5)
    pool = tiles * 2 * connector.hidden * side * (encoder.grid**2 + side * encoder.grid)
    counted = matmul_flops(jax.grad(forward), params, batch)
    assert counted == (1 + arithmetic.BACKWARD) * once - pixels - pool


def test_of_experts_those_that_a_token_goes_to_are_counted_and_the_router():
    model = load("mm15_1b_moe_sft").model
    active = 0
    for path, shape, *_ in mllm.describe_parameters(model):
        if path.startswith("decoder/") and path.endswith("/kernel"):
            idle = model.decoder.moe.experts // model.decoder.moe.top_k if "/moe/" in path else 1
            active += math.prod(shape) // (1 if path.endswith("/router/kernel") else idle)
    assert arithmetic.decoder_flops(model.decoder) == 2 * active


def test_the_3b_decoder_that_others_are_measured_at():
    """304.3 TFLOP a device and step on 64 devices: 6 N T and the causal half of attention."""
    flops = arithmetic.forward_flops(load("text_3b")).step / 64
    assert flops == pytest.approx(304.3e12, rel=1e-4)


def test_the_vision_encoder_dominates_a_fine_tuning_step():
    flops = arithmetic.forward_flops(load("mm15_3b_sft"))
    assert 0.65 < (flops.encoder + flops.encoder_attention) / flops.total < 0.85


def test_rows_without_tiles_cost_no_vision():
    assert arithmetic.forward_flops(load("text_3b")).vision == 0


def test_bytes_of_a_device_are_those_of_its_part():
    mesh = jax.sharding.AbstractMesh((4, 2), ("a", "b"))
    spec = jax.sharding.PartitionSpec("a", "b")
    sharding = jax.sharding.NamedSharding(mesh, spec)
    tree = {
        "divided": jax.ShapeDtypeStruct((8, 6), jnp.float32, sharding=sharding),
        "whole": jax.ShapeDtypeStruct((3,), jnp.int8),
    }
    assert arithmetic.bytes_per_device(tree) == 2 * 3 * 4 + 3


def test_attention_runs_again_only_where_its_output_is_not_kept():
    assert arithmetic.attention_passes("full") == 2
    assert arithmetic.attention_passes("context") == 1


def test_sizes_follow_the_configs_own_grid():
    config = replace_nested(EncoderConfig(), {"resolution": 672})
    assert arithmetic.encoder_places(config) == 2305
    assert arithmetic.encoder_places(dataclasses.replace(config, class_token=False)) == 2304
