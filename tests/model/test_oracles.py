"""The model against transformers, timm and torch, with the same weights, in float32.

Goldens are in goldens/goldens.npz, made by goldens/make_goldens.py. The tests marked `oracle` ask
the libraries themselves.
"""

import importlib.util
import json
import pathlib
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from mm15_jax.config.schema import (
    ConnectorConfig,
    DecoderConfig,
    EncoderConfig,
    ModelConfig,
    MoEConfig,
)
from mm15_jax.model import mllm
from mm15_jax.model.connector import Connector
from mm15_jax.model.convolution import adaptive_average_pool
from mm15_jax.model.decoder import Decoder, embed, logits_of
from mm15_jax.model.moe import MoE
from mm15_jax.model.resize import resize_grid, resize_position_tables
from mm15_jax.model.vit import Encoder

GOLDENS = pathlib.Path(__file__).parent / "goldens"
sys.path.insert(0, str(GOLDENS))

from seeded import nest, seeded_weights  # noqa: E402
from sizes import CLIP, CONNECTOR, LLAMA, MIXTRAL, POOLS, QWEN, RESIZES  # noqa: E402

F32 = jnp.float32
TOLERANCE = 1e-4  # largest absolute error


def weights(sizes):
    return nest(seeded_weights(sizes.shapes, sizes.seed))


def ours_clip_vision():
    config = EncoderConfig(
        resolution=CLIP.resolution, patch_size=CLIP.patch_size, width=CLIP.width,
        layers=CLIP.layers, heads=CLIP.heads, mlp_width=CLIP.mlp_width, remat="none",
    )  # fmt: skip
    encoder = Encoder(config, F32)
    params = {"params": weights(CLIP)}
    pooled = encoder.apply(params, CLIP.tiles(), clip_output=True)[:, 0]
    # transformers' last hidden state is before the post-LN, as our features are.
    return {"hidden": encoder.apply(params, CLIP.tiles()), "pooled": pooled}


def ours_decoder(sizes):
    config = DecoderConfig(
        vocab_size=sizes.vocab_size, width=sizes.width, layers=sizes.layers,
        ffn_width=sizes.ffn_width, heads=sizes.heads, kv_heads=sizes.kv_heads,
        head_dim=sizes.head_dim, rope_theta=sizes.rope_theta, qk_norm=sizes.qk_norm, remat="none",
    )  # fmt: skip
    params, tokens = weights(sizes), sizes.tokens()
    hidden, _, _ = Decoder(config).apply(
        {"params": params},
        embed(params["embedding"], tokens, F32),
        np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape),
        segment_ids=np.ones_like(tokens),
    )
    return {"logits": logits_of(params["embedding"], hidden)}


def ours_c_abstractor():
    c = CONNECTOR
    config = ModelConfig(
        EncoderConfig(width=c.width, remat="none"),
        ConnectorConfig(tokens=c.tokens, hidden=c.hidden, depth=c.depth),
        DecoderConfig(width=c.out),
    )
    return {"tokens": Connector(config).apply({"params": weights(c)}, c.features())}


def ours_pools():
    return {
        f"{size}_{out}": adaptive_average_pool(jnp.asarray(grid), out)
        for (size, out), grid in POOLS.items()
    }


def ours_resizes():
    return {
        f"{size}_{out}_{antialias}": resize_grid(
            grid.reshape(size * size, -1), out, antialias=antialias
        ).reshape(out, out, -1)
        for (size, out, antialias), grid in RESIZES.items()
    }


def ours_mixtral():
    def run(dispatch):
        # Places for all: Mixtral drops nothing.
        moe = MoEConfig(experts=MIXTRAL.experts, dispatch=dispatch, capacity_factor=3.0)
        config = DecoderConfig(width=MIXTRAL.width, ffn_width=MIXTRAL.ffn_width, moe=moe)
        return MoE(config).apply({"params": weights(MIXTRAL)}, MIXTRAL.states(), None)[0]

    return {dispatch: run(dispatch) for dispatch in ("capacity", "dropless")}


OURS = {
    "mixtral": ours_mixtral,
    "clip_vision": ours_clip_vision,
    "qwen3": lambda: ours_decoder(QWEN),
    "llama": lambda: ours_decoder(LLAMA),
    "c_abstractor": ours_c_abstractor,
    "pools": ours_pools,
    "resizes": ours_resizes,
}


def assert_equal_to(expected, ours):
    assert set(ours) == set(expected)
    for name, theirs in expected.items():
        # The connector never sees the class token.
        array = theirs[:, 1:] if name == "hidden" else theirs
        mine = np.asarray(ours[name])
        assert mine.shape == array.shape, name
        assert np.std(array) > 0.1, f"{name} says nothing"
        assert np.max(np.abs(mine - array)) <= TOLERANCE, name


@pytest.mark.parametrize("oracle", OURS)
def test_equals_golden(oracle):
    with np.load(GOLDENS / "goldens.npz") as stored:
        assert json.loads(str(stored["versions"]))["timm"] == "0.9.8"
        expected = {
            name.removeprefix(f"{oracle}/"): stored[name]
            for name in stored.files
            if name.startswith(f"{oracle}/")
        }
    assert_equal_to(expected, OURS[oracle]())


@pytest.mark.oracle
@pytest.mark.parametrize("oracle", OURS)
def test_equals_live_oracle(oracle):
    needed = {"c_abstractor": ["torch", "timm"], "pools": ["torch"], "resizes": ["torch"]}
    for name in needed.get(oracle, ["torch", "transformers"]):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install -e '.[oracle]'")
    from oracles import ORACLES

    assert_equal_to(ORACLES[oracle](), OURS[oracle]())


def test_position_tables_are_resized_with_the_class_token_apart():
    def config(resolution):
        return ModelConfig(
            EncoderConfig(resolution=resolution, patch_size=4, width=8),
            ConnectorConfig(tokens=4, hidden=8, depth=1),
        )

    small, large = config(16), config(28)
    rng = np.random.default_rng(0)
    tables = {"encoder": rng.normal(size=(17, 8)), "connector": rng.normal(size=(16, 8))}
    params = {
        part: {"position_table": table.astype(np.float32), "other": object()}
        for part, table in tables.items()
    }
    params["decoder"] = {"embedding": object()}
    resized = resize_position_tables(params, small, large)
    encoder, connector = (resized[part]["position_table"] for part in ("encoder", "connector"))
    assert encoder.shape == (50, 8) and connector.shape == (49, 8)
    np.testing.assert_array_equal(encoder[0], params["encoder"]["position_table"][0])
    np.testing.assert_array_equal(
        encoder[1:], resize_grid(params["encoder"]["position_table"][1:], 7)
    )
    np.testing.assert_array_equal(connector, resize_grid(params["connector"]["position_table"], 7))
    assert resized["decoder"] is params["decoder"]
    assert resized["encoder"]["other"] is params["encoder"]["other"]
    assert params["encoder"]["position_table"].shape == (17, 8)
    assert resize_position_tables(params, small, config(16)) is params


def test_a_constant_table_stays_constant():
    table = np.full((27**2, 3), 0.7, np.float32)
    np.testing.assert_allclose(resize_grid(table, 48), 0.7, atol=1e-6)


def test_resized_tables_fit_the_target_model():
    shapes = {row[0]: row[1] for row in mllm.describe_parameters(ModelConfig())}
    target = ModelConfig(EncoderConfig(resolution=672))
    params = {
        part: {"position_table": jnp.zeros(shapes[f"{part}/position_table"])}
        for part in ("encoder", "connector")
    }
    resized = resize_position_tables(params, ModelConfig(), target)
    expected = {row[0]: row[1] for row in mllm.describe_parameters(target)}
    for part in ("encoder", "connector"):
        path = f"{part}/position_table"
        assert resized[part]["position_table"].shape == expected[path]
