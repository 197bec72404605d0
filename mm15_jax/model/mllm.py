"""The multimodal model: tiles and tokens in, hidden states, logits or a cache out.

All functions are pure: parameters are a nested dictionary {"encoder", "connector", "decoder"} of
float32 arrays, and the cache of decoding is an argument and a return value.

Legend: B rows, S sequence, N tiles a row, T vision tokens a tile, r resolution, D decoder width,
V vocabulary, L layers, C cache length, K key/value heads, h head dim.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax.core import meta
from jax import Array

from mm15_jax.config.schema import ModelConfig
from mm15_jax.model.connector import Connector, tokens_per_tile
from mm15_jax.model.decoder import Decoder, KeysValues, embed, logits_of
from mm15_jax.model.moe import Auxiliary
from mm15_jax.model.params import Box
from mm15_jax.model.vit import Encoder
from mm15_jax.parallel.rules import constrain, gathered

Params = dict[str, Any]

__all__ = [
    "Cache",
    "abstract_params",
    "check_config",
    "count_parameters",
    "decode_step",
    "describe_parameters",
    "embed_batch",
    "encode_tiles",
    "forward",
    "init_params",
    "logical_axes",
    "output_table",
    "prefill",
    "tokens_per_tile",
    "unembed",
]


class Cache(NamedTuple):
    """Keys and values of the tokens so far, of one example a row."""

    layers: KeysValues  # [L, B, C, K, h] each, keys rotated
    lengths: Array  # int32[B], tokens so far; also the position of the next one


def check_config(config: ModelConfig) -> None:
    """Checks that the sizes of a model fit together.

    Raises:
        ValueError: If they do not, in one sentence.
    """
    e, c, d = config.encoder, config.connector, config.decoder
    if e.resolution % e.patch_size:
        nearest = max(1, round(e.resolution / e.patch_size)) * e.patch_size
        raise ValueError(
            f"encoder.resolution {e.resolution} is not a multiple of patch_size {e.patch_size}, "
            f"nearest is {nearest}"
        )
    if e.width % e.heads:
        raise ValueError(f"encoder.width {e.width} is not a multiple of encoder.heads {e.heads}")
    if e.stem not in ("linear", "conv"):
        raise ValueError(f'encoder.stem is {e.stem!r}, expected "linear" or "conv"')
    if e.stem == "conv" and 2 ** (len(e.stem_channels) + 1) != e.patch_size:
        raise ValueError(
            f"encoder.stem_channels has {len(e.stem_channels)} entries, expected "
            f"log2(patch_size {e.patch_size}) - 1 for a conv stem"
        )
    if c.kind not in ("c_abstractor", "linear"):
        raise ValueError(f'connector.kind is {c.kind!r}, expected "c_abstractor" or "linear"')
    if c.kind == "c_abstractor" and math.isqrt(c.tokens) ** 2 != c.tokens:
        raise ValueError(
            f"connector.tokens is {c.tokens}, expected a square number, "
            f"nearest is {round(math.sqrt(c.tokens)) ** 2}"
        )
    if d.heads % d.kv_heads:
        raise ValueError(f"decoder.heads {d.heads} is not a multiple of kv_heads {d.kv_heads}")
    if d.moe.experts and d.layers % d.moe.every:
        raise ValueError(
            f"decoder.layers {d.layers} is not a multiple of decoder.moe.every {d.moe.every}"
        )
    if d.head_dim % 2:
        raise ValueError(f"decoder.head_dim is {d.head_dim}, expected an even number")


def _init_boxed(config: ModelConfig, key: Array) -> Params:
    """Initial parameters in their boxes."""
    check_config(config)
    e, d = config.encoder, config.decoder
    keys = jax.random.split(key, 3)
    dtype = jnp.float32
    tile = jnp.zeros((1, e.resolution, e.resolution, 3), jnp.uint8)
    features = jnp.zeros((1, e.grid**2, e.width), dtype)
    tokens = jnp.zeros((1, 1, d.width), dtype)
    positions = jnp.zeros((1, 1), jnp.int32)
    return {
        "encoder": Encoder(e, dtype).init(keys[0], tile)["params"],
        "connector": Connector(config).init(keys[1], features)["params"],
        "decoder": Decoder(d).init(keys[2], tokens, positions)["params"],
    }


@functools.partial(jax.jit, static_argnames="config")
def init_params(config: ModelConfig, key: Array) -> Params:
    """Initial parameters: nested dictionaries of float32 arrays.

    Raises:
        ValueError: If the config's sizes do not fit together.
    """
    return meta.unbox(_init_boxed(config, key))


@functools.cache
def _abstract(config: ModelConfig) -> Params:
    """The parameters' tree of boxes of `jax.ShapeDtypeStruct`; allocates nothing."""
    return jax.eval_shape(functools.partial(_init_boxed, config), jax.random.key(0))


def abstract_params(config: ModelConfig) -> Params:
    """The parameters' tree of `jax.ShapeDtypeStruct`; allocates nothing."""
    return meta.unbox(_abstract(config))


def _boxed_shapes(config: ModelConfig) -> list[tuple[str, Box]]:
    """(path, box of a ShapeDtypeStruct) of every parameter, sorted; allocates nothing."""
    boxed = _abstract(config)
    leaves = jax.tree_util.tree_leaves_with_path(boxed, is_leaf=lambda x: isinstance(x, Box))
    return sorted((jax.tree_util.keystr(k, simple=True, separator="/"), box) for k, box in leaves)


def describe_parameters(
    config: ModelConfig,
) -> list[tuple[str, tuple[int, ...], tuple[str | None, ...], str]]:
    """Rows (path, shape, logical axes, initializer), sorted by path; allocates nothing."""
    return [
        (path, box.value.shape, box.axes, box.initializer) for path, box in _boxed_shapes(config)
    ]


def logical_axes(config: ModelConfig) -> Params:
    """The parameters' tree with each array's tuple of logical axis names in its place."""
    boxed = _abstract(config)
    return jax.tree.map(lambda box: box.axes, boxed, is_leaf=lambda x: isinstance(x, Box))


def count_parameters(config: ModelConfig) -> dict[str, int]:
    """Parameters of each part, "total", and "active" (that one token uses); allocates nothing."""
    counts = {"encoder": 0, "connector": 0, "decoder": 0}
    idle = 0
    for path, box in _boxed_shapes(config):
        size = math.prod(box.value.shape)
        counts[path.split("/")[0]] += size
        if "experts" in box.axes:
            moe = config.decoder.moe
            idle += size // moe.experts * (moe.experts - moe.top_k)
    total = sum(counts.values())
    return {**counts, "total": total, "active": total - idle}


def encode_tiles(params: Params, tiles: Array, config: ModelConfig, *, dtype: jnp.dtype) -> Array:
    """Image tokens of tiles: uint8[n, r, r, 3] -> dtype[n, T, D]."""
    features = Encoder(config.encoder, dtype).apply({"params": params["encoder"]}, tiles)
    return Connector(config).apply({"params": params["connector"]}, features)


def embed_batch(
    params: Params, batch: Mapping[str, Array], config: ModelConfig, dtype: jnp.dtype
) -> Array:
    """Rows with image tokens in their places: dtype[B, S, D]."""
    table = params["decoder"]["embedding"]
    table = gathered(table, ("vocab", "embed"), dtype, looked_up=True)
    x = constrain(embed(table, batch["tokens"], dtype), ("batch", "sequence", "act_embed"))
    tiles = batch["tiles"]
    B, N = tiles.shape[:2]
    if N == 0:
        return x
    tiles = constrain(tiles.reshape(B * N, *tiles.shape[2:]), ("tiles", None, None, None))
    vision = encode_tiles(params, tiles, config, dtype=dtype).reshape(B, -1, x.shape[-1])
    vision = constrain(vision, ("batch", None, "act_embed"))
    # A row looks up its own tiles only, so rows stay on their devices. Tokens of invalid tiles
    # are in no index and so reach nothing.
    x = place_vision(x, vision, batch["vision_index"])
    return constrain(x, ("batch", "sequence", "act_embed"))


@jax.named_scope("place_vision")
def place_vision(x_BSD: Array, vision_BMD: Array, index_BS: Array) -> Array:
    """Puts vision token index[b, s] of row b at place s, where the index is not -1."""
    gathered = jax.vmap(lambda rows, index: jnp.take(rows, index, axis=0, mode="clip"))(
        vision_BMD, jnp.maximum(index_BS, 0)
    )
    return jnp.where((index_BS >= 0)[..., None], gathered, x_BSD)


def forward(
    params: Params,
    batch: Mapping[str, Array],
    config: ModelConfig,
    *,
    dtype: jnp.dtype,
    exact: bool = False,
) -> tuple[Array, Auxiliary | None]:
    """Hidden states after the final norm, and what experts report.

    Args:
        params: Of `init_params`.
        batch: tokens, segment_ids, positions, vision_index int32[B, S]; tiles uint8[B, N, r, r, 3].
            N may be 0: then no encoder runs, and the vision index is not read.
        config: The model.
        dtype: Compute dtype.
        exact: Whether experts drop nothing, see `Decoder`.

    Returns:
        dtype[B, S, D], and losses and figures of the layers with experts, stacked (None for a dense
        decoder); they are means over the batch's tokens, without padding.
    """
    hidden, _, auxiliary = Decoder(config.decoder).apply(
        {"params": params["decoder"]},
        embed_batch(params, batch, config, dtype),
        batch["positions"],
        segment_ids=batch["segment_ids"],
        exact=exact,
    )
    return hidden, auxiliary


def output_table(params: Params, config: ModelConfig) -> Array:
    """The embedding that hidden states are compared with, float32[V, D]."""
    name = "embedding" if config.decoder.tie_embeddings else "output_embedding"
    return params["decoder"][name]


def unembed(params: Params, hidden: Array, config: ModelConfig) -> Array:
    """Logits float32[..., V] of hidden states [..., D]."""
    return logits_of(output_table(params, config), hidden)


def prefill(
    params: Params,
    batch: Mapping[str, Array],
    config: ModelConfig,
    *,
    cache_length: int,
    dtype: jnp.dtype,
) -> tuple[Array, Cache]:
    """Runs prompts, one example a row, padded on the right.

    Args:
        params: Of `init_params`.
        batch: As for `forward`; segment_ids are 1 for a prompt's tokens, then 0.
        config: The model.
        cache_length: C, prompt and answer together.
        dtype: Compute dtype.

    Returns:
        Logits of each row's last prompt token float32[B, V], and the cache.

    Raises:
        ValueError: If the prompts do not fit in the cache.
    """
    S = batch["tokens"].shape[1]
    if cache_length < S:
        raise ValueError(f"cache_length is {cache_length}, expected at least the prompts' {S}")
    lengths = jnp.sum(batch["segment_ids"] > 0, axis=1, dtype=jnp.int32)
    hidden, kept, _ = Decoder(config.decoder).apply(
        {"params": params["decoder"]},
        embed_batch(params, batch, config, dtype),
        batch["positions"],
        segment_ids=batch["segment_ids"],
        keep=True,
        exact=True,
    )
    room = ((0, 0), (0, 0), (0, cache_length - S), (0, 0), (0, 0))
    layers = KeysValues(*(jnp.pad(x, room) for x in kept))
    last = jnp.maximum(lengths - 1, 0)
    hidden = jnp.take_along_axis(hidden, last[:, None, None], axis=1)[:, 0]
    return unembed(params, hidden, config), Cache(layers, lengths)


def decode_step(
    params: Params, cache: Cache, tokens: Array, config: ModelConfig, *, dtype: jnp.dtype
) -> tuple[Array, Cache]:
    """Appends one token to each row.

    Args:
        params: Of `init_params`.
        cache: Of `prefill` or the step before. A full row's new token is not kept: the caller
            sizes the cache for prompt and answer.
        tokens: int32[B].
        config: The model.
        dtype: Compute dtype.

    Returns:
        Logits that follow the token float32[B, V], and the cache with it.
    """
    x = embed(params["decoder"]["embedding"], tokens[:, None], dtype)
    hidden, new, _ = Decoder(config.decoder).apply(
        {"params": params["decoder"]},
        x,
        cache.lengths[:, None],
        cache=cache.layers,
        lengths=cache.lengths,
        keep=True,
        exact=True,
    )
    rows = jnp.arange(tokens.shape[0])
    layers = KeysValues(
        *(
            old.at[:, rows, cache.lengths].set(add[:, :, 0], mode="drop")
            for old, add in zip(cache.layers, new, strict=True)
        )
    )
    return unembed(params, hidden[:, 0], config), Cache(layers, cache.lengths + 1)
