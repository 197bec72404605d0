"""The multimodal model: sizes, placement of image tokens, segments, and decoding."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mm15_jax.config.schema import ConnectorConfig, DecoderConfig, EncoderConfig, ModelConfig
from mm15_jax.model import mllm
from mm15_jax.model.decoder import embed

F32 = jnp.float32

TINY = ModelConfig(
    encoder=EncoderConfig(
        resolution=16, patch_size=4, width=16, layers=2, heads=2, mlp_width=32, remat="none"
    ),
    connector=ConnectorConfig(tokens=4, hidden=12, depth=1),
    decoder=DecoderConfig(
        vocab_size=40, width=24, layers=2, ffn_width=32, heads=4, kv_heads=2, head_dim=8,
        rope_theta=1e4, remat="none",
    ),
)  # fmt: skip

DECODERS = {
    "1b": (DecoderConfig(49_152, 2048, 24, 5376, 16, 8), 1_195_483_136),
    "3b": (DecoderConfig(49_152, 3072, 26, 8064, 24, 8), 2_737_739_264),
    "7b": (DecoderConfig(100_352, 4096, 32, 13_056, 32, 8), 6_887_321_600),
    "30b": (DecoderConfig(100_352, 7168, 48, 22_848, 56, 8), 29_940_698_112),
}


def make_batch(config, *, rows=2, length=24, tiles=3, seed=0):
    """Rows of two segments and padding; tiles 0 and 1 are in use, tile 2 is not."""
    rng = np.random.default_rng(seed)
    T = mllm.tokens_per_tile(config)
    r = config.encoder.resolution
    vision_index = np.full((rows, length), -1, np.int32)
    if tiles:
        vision_index[:, 2 : 2 + T] = np.arange(T)
        vision_index[:, 14 : 14 + T] = T + np.arange(T)
    segment_ids = np.zeros((rows, length), np.int32)
    segment_ids[:, :12], segment_ids[:, 12:20] = 1, 2
    positions = np.concatenate([np.arange(12), np.arange(8), np.arange(length - 20)])
    return {
        "tokens": rng.integers(0, config.decoder.vocab_size, (rows, length), dtype=np.int32),
        "segment_ids": segment_ids,
        "positions": np.broadcast_to(positions.astype(np.int32), (rows, length)),
        "vision_index": vision_index,
        "loss_weights": np.ones((rows, length), np.float32),
        "tiles": rng.integers(0, 256, (rows, tiles, r, r, 3), dtype=np.uint8),
        "tile_valid": np.broadcast_to(np.arange(tiles) < 2, (rows, tiles)),
    }


@pytest.fixture(scope="module")
def tiny_params():
    return mllm.init_params(TINY, jax.random.key(0))


@pytest.fixture(scope="module")
def awake_params(tiny_params):
    params = jax.tree.map(lambda x: x, tiny_params)
    # Connector blocks start as their shortcut (norm3 at 0), where their insides have no gradient.
    for name, block in params["connector"].items():
        if "_block" in name:
            block["norm3"]["scale"] = jnp.ones_like(block["norm3"]["scale"])
    return params


def jitted(function, *more):
    return jax.jit(function, static_argnames=("config", "dtype", *more))


forward, decode_step = jitted(mllm.forward), jitted(mllm.decode_step)
prefill = jitted(mllm.prefill, "cache_length")


def hidden_of(params, batch, config=TINY):
    return np.asarray(forward(params, batch, config=config, dtype=F32)[0])


def gradient_of(params, batch, config):
    """Gradient of a loss of all logits."""

    def loss(params):
        logits = mllm.unembed(params, mllm.forward(params, batch, config, dtype=F32)[0], config)
        return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - logits[..., 3])

    return jax.jit(jax.grad(loss))(params)


@pytest.fixture(scope="module")
def tiny_gradient(awake_params):
    return gradient_of(awake_params, make_batch(TINY), TINY)


@pytest.mark.parametrize("size", DECODERS)
def test_decoder_has_the_recipes_parameters(size):
    decoder, expected = DECODERS[size]
    assert mllm.count_parameters(ModelConfig(decoder=decoder))["decoder"] == expected


@pytest.mark.parametrize("resolution, extra_places", [(378, 0), (672, 48**2 - 27**2)])
def test_encoder_is_clip_vit_h(resolution, extra_places):
    counts = mllm.count_parameters(ModelConfig(encoder=EncoderConfig(resolution=resolution)))
    assert counts["encoder"] == 631_371_520 + extra_places * 1280
    assert counts["total"] == counts["encoder"] + counts["connector"] + counts["decoder"]


def test_parameter_descriptions_match_the_parameters(tiny_params):
    rows = mllm.describe_parameters(TINY)
    flat = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tiny_params)
    }
    assert [row[0] for row in rows] == sorted(flat)
    for path, shape, axes, initializer in rows:
        assert flat[path].shape == shape and len(axes) == len(shape), path
        assert flat[path].dtype == F32
        if initializer in ("zeros", "ones"):
            assert np.all(np.asarray(flat[path]) == (initializer == "ones")), path
        else:
            stddev = float(initializer.removeprefix("normal(stddev=").removesuffix(")"))
            assert abs(np.std(flat[path]) / stddev - 1) < 5 / np.sqrt(flat[path].size), path


def test_scanned_layers_start_differently(tiny_params):
    kernel = tiny_params["decoder"]["layers"]["mlp"]["up"]["kernel"]
    assert not np.allclose(kernel[0], kernel[1])


def test_unused_tiles_reach_nothing(tiny_params):
    batch = make_batch(TINY)
    expected = hidden_of(tiny_params, batch)
    other = batch["tiles"].copy()
    other[:, 2] = 255 - other[:, 2]
    np.testing.assert_array_equal(hidden_of(tiny_params, {**batch, "tiles": other}), expected)
    other[:, 1] = 255 - other[:, 1]
    assert not np.allclose(hidden_of(tiny_params, {**batch, "tiles": other}), expected)


def test_tokens_at_vision_places_are_not_embedded(tiny_params):
    batch = make_batch(TINY)
    tokens = np.where(batch["vision_index"] >= 0, 7, batch["tokens"])
    np.testing.assert_array_equal(
        hidden_of(tiny_params, {**batch, "tokens": tokens}), hidden_of(tiny_params, batch)
    )


def test_vision_index_chooses_the_token(tiny_params):
    """Swapping two tiles and their indices changes nothing."""
    batch = make_batch(TINY)
    T, index = TINY.connector.tokens, batch["vision_index"]
    swapped = np.where(index < 0, index, np.where(index < T, index + T, index - T))
    other = {**batch, "tiles": batch["tiles"][:, [1, 0, 2]], "vision_index": swapped}
    np.testing.assert_allclose(
        hidden_of(tiny_params, other), hidden_of(tiny_params, batch), atol=1e-5
    )


def test_rows_without_tile_slots_run_without_encoder(tiny_params):
    batch = make_batch(TINY, tiles=0)
    decoder_only = {"decoder": tiny_params["decoder"]}
    jaxpr = jax.make_jaxpr(lambda p: mllm.forward(p, batch, TINY, dtype=F32))(decoder_only)
    assert jaxpr.out_avals[0].shape == (2, 24, 24)
    with_tiles = make_batch(TINY)
    with_tiles["vision_index"] = batch["vision_index"]
    with_tiles["tokens"] = batch["tokens"]
    np.testing.assert_allclose(
        hidden_of(decoder_only, batch), hidden_of(tiny_params, with_tiles), atol=1e-6
    )


def test_segments_and_the_future_are_unseen(tiny_params):
    batch = make_batch(TINY)
    expected = hidden_of(tiny_params, batch)
    changed = batch["tokens"].copy()
    changed[:, 10] = (changed[:, 10] + 1) % 40
    hidden = hidden_of(tiny_params, {**batch, "tokens": changed})
    differs = np.any(hidden != expected, axis=(0, 2))
    assert list(np.flatnonzero(differs)) == [10, 11]


def test_gradients_reach_every_parameter_in_use(tiny_gradient):
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tiny_gradient):
        path = jax.tree_util.keystr(keys, simple=True, separator="/")
        assert np.all(np.isfinite(leaf)), path
        # CLIP's post-LN is kept for import and export only. Keys' bias shifts all scores of a
        # query alike.
        if not path.startswith(("encoder/post_norm", "encoder/layers/attention/k/bias")):
            assert np.any(leaf != 0), path


def test_remat_changes_no_gradient(awake_params, tiny_gradient):
    full = dataclasses.replace(
        TINY,
        encoder=dataclasses.replace(TINY.encoder, remat="full"),
        decoder=dataclasses.replace(TINY.decoder, remat="full"),
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        gradient_of(awake_params, make_batch(TINY), full),
        tiny_gradient,
    )


@pytest.mark.parametrize("layers, tiles", [(0, 0), (2, 3)])
def test_decoding_equals_forward_on_the_same_tokens(layers, tiles):
    config = dataclasses.replace(TINY, decoder=dataclasses.replace(TINY.decoder, layers=layers))
    params = mllm.init_params(config, jax.random.key(1))
    S, prompts, rows = 24, np.array([9, 13]), np.arange(2)
    batch = make_batch(config, length=S, tiles=tiles)
    place = np.arange(S)
    batch["segment_ids"] = np.ones((2, S), np.int32)
    batch["positions"] = np.broadcast_to(place.astype(np.int32), (2, S))
    batch["vision_index"] = np.where(place < 12, batch["vision_index"], -1)
    hidden = hidden_of(params, batch, config)
    logits = np.asarray(mllm.unembed(params, hidden, config))

    inside = place[None, :16] < prompts[:, None]
    prompt = {name: np.array(batch[name][:, :16]) for name in batch if not name.startswith("tile")}
    prompt["segment_ids"] = inside.astype(np.int32)
    prompt["tokens"] = np.where(inside, prompt["tokens"], 0)
    prompt["tiles"] = batch["tiles"]
    out, cache = prefill(params, prompt, config=config, cache_length=22, dtype=F32)
    np.testing.assert_allclose(out, logits[rows, prompts - 1], atol=1e-4)
    for i in range(8):
        tokens = batch["tokens"][rows, prompts + i]
        out, cache = decode_step(params, cache, tokens, config=config, dtype=F32)
        np.testing.assert_allclose(out, logits[rows, prompts + i], atol=1e-4)
    np.testing.assert_array_equal(cache.lengths, prompts + 8)


def test_prompts_longer_than_the_cache_are_refused(tiny_params):
    with pytest.raises(ValueError, match="cache_length is 8, expected at least the prompts' 24"):
        mllm.prefill(tiny_params, make_batch(TINY), TINY, cache_length=8, dtype=F32)


def test_bfloat16_stays_near_float32(tiny_params):
    batch = make_batch(TINY)
    low, _ = forward(tiny_params, batch, config=TINY, dtype=jnp.bfloat16)
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(
        np.asarray(low, np.float32), hidden_of(tiny_params, batch), atol=0.15
    )


@pytest.mark.parametrize(
    "part, changes, message",
    [
        ("encoder", {"resolution": 18}, "nearest is 16"),
        ("encoder", {"heads": 3}, "multiple of encoder.heads"),
        ("encoder", {"stem": "conv"}, "stem_channels has 0 entries"),
        ("encoder", {"stem": "fancy"}, 'expected "linear" or "conv"'),
        ("encoder", {"activation": "relu"}, "expected one of"),
        ("encoder", {"remat": "matmul"}, "did you mean 'matmuls'"),
        ("connector", {"tokens": 10}, "nearest is 9"),
        ("connector", {"kind": "mlp"}, 'expected "c_abstractor" or "linear"'),
        ("decoder", {"kv_heads": 3}, "multiple of kv_heads"),
        ("decoder", {"head_dim": 7}, "even"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(part, changes, message):
    changed = dataclasses.replace(getattr(TINY, part), **changes)
    with pytest.raises(ValueError, match=message):
        mllm.count_parameters(dataclasses.replace(TINY, **{part: changed}))


@pytest.mark.parametrize("tie", [True, False])
def test_a_fresh_model_is_nearly_uniform(tie, tiny_params):
    """The loss of untrained logits starts near ln V, with tied and untied embeddings."""
    config, params = TINY, tiny_params
    if not tie:
        untied = dataclasses.replace(TINY.decoder, tie_embeddings=False)
        config = dataclasses.replace(TINY, decoder=untied)
        params = mllm.init_params(config, jax.random.key(2))
        assert "output_embedding" in params["decoder"]
    hidden = hidden_of(params, make_batch(config, tiles=3 if tie else 0), config)
    logits = mllm.unembed(params, hidden, config)
    assert abs(float(-jax.nn.log_softmax(logits).mean()) - np.log(40)) < 1.0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_gradient_of_a_frequent_token_is_summed_in_float32(dtype):
    rng = np.random.default_rng(0)
    tokens = np.where(rng.random((4, 2048)) < 0.5, 3, rng.integers(0, 50, (4, 2048)))
    cotangent = jnp.asarray(rng.normal(1.0, 0.3, (4, 2048, 8)), dtype)
    table = jnp.asarray(rng.normal(size=(50, 8)), dtype)
    _, back = jax.vjp(lambda table: embed(table, tokens, dtype), table)
    (found,) = back(cotangent)
    assert found.dtype == dtype
    wanted = np.zeros((50, 8))
    np.add.at(wanted, tokens, np.asarray(cotangent, np.float64))
    np.testing.assert_allclose(np.asarray(found, np.float64), wanted, rtol=0.005)
