"""Decoder: a causal transformer with RMSNorm, grouped-query attention, QK-norm, RoPE and SwiGLU.

With experts (`config.moe`), the last layer of each group of `every` has a mixture of experts in its
SwiGLU's place; groups are scanned as layers are without.

Embeddings are not scaled on the way in. They start with stddev 1 / sqrt(D), so that the tied output
gives logits of unit variance for unit hidden states (first loss near ln V + 0.5), and the first
norm lifts them to unit scale for the layers.

Legend: B rows, S sequence, D width, H query heads, K key/value heads, h head dim, F FFN width,
V vocabulary, L layers, C cache length, E experts.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mm15_jax.config.schema import DecoderConfig
from mm15_jax.model import params as p
from mm15_jax.model.attention import apply_rope, attention, cache_attention, rope_tables
from mm15_jax.model.layers import Linear, RMSNorm
from mm15_jax.model.moe import Auxiliary, MoE
from mm15_jax.model.remat import saveable


class Context(NamedTuple):
    """What all layers share."""

    cos: Array  # float32[B, S, h / 2], rotary tables
    sin: Array
    segment_ids: Array | None  # int32[B, S] for whole rows
    lengths: Array | None  # int32[B] for one new token a row, over a cache


class KeysValues(NamedTuple):
    """Rotated keys, and values: [B, S, K, h] of one layer, [L, B, S, K, h] of all."""

    keys: Array
    values: Array


class DecoderAttention(nn.Module):
    """Grouped-query self-attention."""

    config: DecoderConfig

    @nn.compact
    def __call__(
        self, x: Array, cache: KeysValues | None, context: Context
    ) -> tuple[Array, KeysValues]:
        """[B, S, D] -> [B, S, D], and x's keys and values; a cache is only read."""
        c = self.config
        S, D = x.shape[1:]

        def project(name: str, heads: int, axis: str) -> Array:
            size = heads * c.head_dim
            split = (heads, c.head_dim)
            linear = Linear(D, size, ("embed", axis), use_bias=False, split_out=split, name=name)
            return linear(x)

        query = project("q", c.heads, "heads")
        key = project("k", c.kv_heads, "kv_heads")
        value = project("v", c.kv_heads, "kv_heads")
        if c.qk_norm:  # its backward pass needs what comes in; a rotation's does not
            query, key, value = (saveable(x, "qkv") for x in (query, key, value))
            query = RMSNorm(c.head_dim, c.norm_eps, "head_dim", name="q_norm")(query)
            key = RMSNorm(c.head_dim, c.norm_eps, "head_dim", name="k_norm")(key)
        query = apply_rope(query, context.cos, context.sin)
        key = apply_rope(key, context.cos, context.sin)
        if cache is None:
            out = attention(
                query,
                key,
                value,
                segment_ids=context.segment_ids,
                causal=True,
                name=None if c.qk_norm else "qkv",
            )
        else:
            assert S == 1, S
            out = cache_attention(query[:, 0], key[:, 0], value[:, 0], *cache, context.lengths)
            out = out[:, None]
        size = c.heads * c.head_dim
        out = Linear(
            size,
            D,
            ("heads", "embed"),
            use_bias=False,
            initializer=p.fan_in(size, c.layers),
            split_in=(c.heads, c.head_dim),
            name="o",
        )(out)
        return out, KeysValues(key, value)


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)) (Shazeer 2020)."""

    config: DecoderConfig

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., D] -> [..., D]."""
        D, F = self.config.width, self.config.ffn_width
        gate = Linear(D, F, ("embed", "mlp"), use_bias=False, name="gate")(x)
        up = Linear(D, F, ("embed", "mlp"), use_bias=False, name="up")(x)
        gate, up = saveable(gate, "hidden"), saveable(up, "hidden")
        down = p.fan_in(F, self.config.layers)
        return Linear(F, D, ("mlp", "embed"), use_bias=False, initializer=down, name="down")(
            jax.nn.silu(gate) * up
        )


class DecoderLayer(nn.Module):
    """Pre-norm transformer block."""

    config: DecoderConfig
    keep: bool  # whether to return keys and values
    exact: bool = False  # whether experts take all that comes, whatever their dispatch
    experts: bool = False  # whether a mixture of experts takes the SwiGLU's place

    @nn.compact
    def __call__(
        self, x: Array, cache: KeysValues | None, context: Context
    ) -> tuple[Array, tuple[KeysValues | None, Auxiliary | None]]:
        """[B, S, D] -> [B, S, D], x's keys and values if `keep`, and what experts report."""
        c = self.config
        y = RMSNorm(c.width, c.norm_eps, name="attention_norm")(x)
        y, keys_values = DecoderAttention(c, name="attention")(y, cache, context)
        x = saveable(x + y, "residual")
        y = RMSNorm(c.width, c.norm_eps, name="mlp_norm")(x)
        auxiliary = None
        if self.experts:
            mask = None if context.segment_ids is None else context.segment_ids > 0
            y, auxiliary = MoE(c, name="moe")(y, mask, exact=self.exact)
        else:
            y = SwiGLU(c, name="mlp")(y)
        return x + y, (keys_values if self.keep else None, auxiliary)


class LayerGroup(nn.Module):
    """`moe.every` layers, the last of them with experts: what is scanned where there are any."""

    config: DecoderConfig
    keep: bool
    exact: bool

    @nn.compact
    def __call__(
        self, x: Array, cache: KeysValues | None, context: Context
    ) -> tuple[Array, tuple[KeysValues | None, Auxiliary | None]]:
        """As `DecoderLayer`, with caches, keys and values of all layers: [every, B, S, K, h]."""
        c = self.config
        layer = p.rematerialised(DecoderLayer, c.remat)
        kept, auxiliary = [], None
        for i in range(c.moe.every):
            last = i == c.moe.every - 1
            own = None if cache is None else KeysValues(cache.keys[i], cache.values[i])
            x, (keys_values, auxiliary) = layer(c, self.keep, self.exact, last, name=f"layer{i}")(
                x, own, context
            )
            kept.append(keys_values)
        stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *kept) if self.keep else None
        return x, (stacked, auxiliary)


class Decoder(nn.Module):
    """The transformer over already embedded rows; it also declares the token embedding."""

    config: DecoderConfig

    @nn.compact
    def __call__(
        self,
        x: Array,
        positions: Array,
        *,
        segment_ids: Array | None = None,
        cache: KeysValues | None = None,
        lengths: Array | None = None,
        keep: bool = False,
        exact: bool = False,
    ) -> tuple[Array, KeysValues | None, Auxiliary | None]:
        """Runs the layers and the final norm.

        Args:
            x: [B, S, D], embedded tokens; S is 1 with a cache.
            positions: int32[B, S].
            segment_ids: int32[B, S]; without a cache.
            cache: [L, B, C, K, h] of earlier tokens; `lengths` int32[B] of them count.
            lengths: See cache.
            keep: Whether to return keys and values of x.
            exact: Whether experts drop nothing: an answer, or the score of one, must not depend on
                the rest of the batch.

        Returns:
            Hidden states [B, S, D] in x's dtype; [L, B, S, K, h] if keep, else None; losses and
            figures of the layers with experts, stacked, or None.
        """
        c = self.config
        # Declared here, used by `embed` and `logits_of` before and after the layers.
        tables = ("embedding",) if c.tie_embeddings else ("embedding", "output_embedding")
        for name in tables:
            size = (c.vocab_size, c.width)
            p.declare(self, name, size, ("vocab", "embed"), p.fan_in(c.width))
        cos, sin = rope_tables(positions, c.head_dim, c.rope_theta)
        context = Context(cos, sin, segment_ids, lengths)
        kept, auxiliary = None, None
        if c.layers:
            x, (kept, auxiliary) = self._run_layers(x, cache, context, keep, exact)
        elif keep:
            empty = jnp.zeros((0, *x.shape[:2], c.kv_heads, c.head_dim), x.dtype)
            kept = KeysValues(empty, empty)
        return RMSNorm(c.width, c.norm_eps, name="final_norm")(x), kept, auxiliary

    def _run_layers(
        self, x: Array, cache: KeysValues | None, context: Context, keep: bool, exact: bool
    ):
        """All layers, or all groups of them, as one scan: as one layer, each output stacked."""
        c = self.config
        in_axes = (nn.broadcast if cache is None else 0, nn.broadcast)
        if not c.moe.experts:
            layers = p.scanned(DecoderLayer, length=c.layers, remat=c.remat, in_axes=in_axes)
            return layers(c, keep, name="layers")(x, cache, context)
        count, every = c.layers // c.moe.every, c.moe.every
        groups = p.scanned_as_is(
            LayerGroup, length=count, unroll=p.unrolls(count, c.remat), in_axes=in_axes
        )
        if cache is not None:
            cache = jax.tree.map(lambda a: a.reshape(count, every, *a.shape[1:]), cache)
        x, (kept, auxiliary) = groups(c, keep, exact, name="groups")(x, cache, context)
        if keep:
            kept = jax.tree.map(lambda a: a.reshape(c.layers, *a.shape[2:]), kept)
        return x, (kept, auxiliary)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def embed(table_VD: Array, tokens: Array, dtype: jnp.dtype) -> Array:
    """Rows of the table, [..., D] in dtype; the gradient of a row is summed in float32.

    A frequent token stands thousands of times in a batch: of a sum in bfloat16 its last addends
    would be lost.
    """
    return jnp.take(table_VD, tokens, axis=0, mode="clip").astype(dtype)


def _embed_forward(table_VD: Array, tokens: Array, dtype: jnp.dtype):
    # An empty slice has the table's dtype and width, and keeps nothing of it alive.
    return embed(table_VD, tokens, dtype), (table_VD[:0], table_VD.shape[0], tokens)


def _embed_backward(dtype: jnp.dtype, kept, gradient: Array):
    none_D, vocab, tokens = kept
    total = jnp.zeros((vocab, *none_D.shape[1:]), jnp.float32)
    total = total.at[tokens].add(gradient.astype(jnp.float32), mode="clip")
    return total.astype(none_D.dtype), None


embed.defvjp(_embed_forward, _embed_backward)


def logits_of(table_VD: Array, hidden: Array) -> Array:
    """Hidden [..., D] @ table^T -> float32[..., V]."""
    return jnp.einsum(
        "...d,vd->...v", hidden, table_VD.astype(hidden.dtype), preferred_element_type=jnp.float32
    )
