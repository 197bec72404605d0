"""Attention of encoder and decoder, and rotary positions.

Legend: B rows, S queries, T keys, H query heads, K key and value heads, G = H / K queries that
share one key head, h head dim, C cache length.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax import Array

# Queries are handled in blocks of at most this many, so that the float32 scores of a 4096-token
# row take [H, 1024, 4096] and not [H, 4096, 4096].
QUERY_BLOCK = 1024

# A causal row has at least this many blocks: block i of n needs the first i / n of the keys only,
# which saves (n - 1) / 2n of the work, 3/8 with four. The shapes stay static.
CAUSAL_BLOCKS = 4

_MASKED = -1e30  # finite: a row without any visible key stays finite


def rope_tables(positions: Array, head_dim: int, theta: float) -> tuple[Array, Array]:
    """Cosine and sine of the rotary angles (Su et al. 2021, halves convention of Llama).

    Args:
        positions: int32[B, S].
        head_dim: Even size of a head.
        theta: Base of the wavelengths.

    Returns:
        Two float32[B, S, head_dim / 2].
    """
    exponents = jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim
    angles = positions[..., None].astype(jnp.float32) / theta**exponents
    return jnp.cos(angles), jnp.sin(angles)


def apply_rope(x_BSHh: Array, cos: Array, sin: Array) -> Array:
    """Rotates the pairs (i, i + h/2) of each head, in float32, returned in x's dtype."""
    first, second = jnp.split(x_BSHh.astype(jnp.float32), 2, axis=-1)
    cos, sin = cos[:, :, None], sin[:, :, None]
    rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return rotated.astype(x_BSHh.dtype)


def attention(
    query_BSHh: Array,
    key_BSKh: Array,
    value_BSKh: Array,
    *,
    segment_ids: Array | None = None,
    causal: bool = False,
    query_block: int = QUERY_BLOCK,
) -> Array:
    """Grouped-query attention with a float32 softmax; keys are never repeated for their group.

    Args:
        query_BSHh: Queries; head k * G + g uses key head k.
        key_BSKh: Keys.
        value_BSKh: Values.
        segment_ids: int32[B, S]; a query sees keys of its own segment only (padding, segment 0,
            sees padding). None: it sees all.
        causal: Whether a query sees only keys at or before its own place in the row.
        query_block: Most queries whose scores are held at once; see QUERY_BLOCK.

    Returns:
        [B, S, H, h] in the queries' dtype.
    """
    B, S, H, h = query_BSHh.shape
    K = key_BSKh.shape[2]
    assert H % K == 0, (H, K)
    query = (query_BSHh * h**-0.5).reshape(B, S, K, H // K, h).transpose(0, 2, 3, 1, 4)
    key, value = key_BSKh.transpose(0, 2, 1, 3), value_BSKh.transpose(0, 2, 1, 3)
    block = min(query_block, -(-S // CAUSAL_BLOCKS) if causal else S)
    blocks = []
    for start in range(0, S, block):
        stop = min(start + block, S)
        seen = stop if causal else S
        attend = functools.partial(_attend_block, start=start, causal=causal)
        if query_block < S:  # long rows keep no block's scores for the backward pass
            attend = jax.checkpoint(attend)
        segments = None
        if segment_ids is not None:
            segments = segment_ids[:, start:stop], segment_ids[:, :seen]
        blocks.append(
            attend(query[:, :, :, start:stop], key[:, :, :seen], value[:, :, :seen], segments)
        )
    out = blocks[0] if len(blocks) == 1 else jnp.concatenate(blocks, axis=3)
    return out.transpose(0, 3, 1, 2, 4).reshape(B, S, H, h)


def _attend_block(
    query_BKGsh: Array,
    key_BKTh: Array,
    value_BKTh: Array,
    segments: tuple[Array, Array] | None,
    *,
    start: int,
    causal: bool,
) -> Array:
    """Attention of the queries at places start .. start + s over the first T keys.

    The queries of a group are rows of one matrix, and the softmax's sum divides the output, which
    is smaller than the weights.
    """
    B, K, G, s, h = query_BKGsh.shape
    T = key_BKTh.shape[2]
    scores = jnp.einsum(
        "bkrh,bkth->bkrt",
        query_BKGsh.reshape(B, K, G * s, h),
        key_BKTh,
        preferred_element_type=jnp.float32,
    ).reshape(B, K, G, s, T)
    visible = None
    if causal:
        visible = (start + jnp.arange(s)[:, None] >= jnp.arange(T)[None, :])[None]
    if segments is not None:
        same = segments[0][:, :, None] == segments[1][:, None, :]
        visible = same if visible is None else visible & same
    if visible is not None:
        scores = jnp.where(visible[:, None, None], scores, _MASKED)
    highest = jax.lax.stop_gradient(jnp.max(scores, axis=-1, keepdims=True))
    weights = jnp.exp(scores - highest)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    out = jnp.einsum(
        "bkrt,bkth->bkrh",
        weights.astype(value_BKTh.dtype).reshape(B, K, G * s, T),
        value_BKTh,
        preferred_element_type=jnp.float32,
    ).reshape(B, K, G, s, h)
    return (out / total).astype(value_BKTh.dtype)


def cache_attention(
    query_BHh: Array,
    key_BKh: Array,
    value_BKh: Array,
    cached_keys_BCKh: Array,
    cached_values_BCKh: Array,
    lengths_B: Array,
) -> Array:
    """Attention of one new token a row over the row's cached tokens and itself.

    The new token's key and value come apart from the cache, so that a layer only reads its cache
    and all layers' caches are written by one scatter afterwards.

    Args:
        query_BHh: Queries of the new token.
        key_BKh: Its keys.
        value_BKh: Its values.
        cached_keys_BCKh: Keys of earlier tokens; of a row's C places the first `lengths` count.
        cached_values_BCKh: Values of earlier tokens.
        lengths_B: int32[B].

    Returns:
        [B, H, h] in the queries' dtype.
    """
    B, H, h = query_BHh.shape
    K = key_BKh.shape[1]
    C = cached_keys_BCKh.shape[1]
    query = (query_BHh * h**-0.5).reshape(B, K, H // K, h)
    old = jnp.einsum("bkgh,bckh->bkgc", query, cached_keys_BCKh, preferred_element_type=jnp.float32)
    visible = jnp.arange(C)[None] < lengths_B[:, None]
    old = jnp.where(visible[:, None, None], old, _MASKED)
    own = jnp.einsum("bkgh,bkh->bkg", query, key_BKh, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(jnp.concatenate([old, own[..., None]], axis=-1), axis=-1)
    weights = weights.astype(value_BKh.dtype)
    out = jnp.einsum("bkgc,bckh->bkgh", weights[..., :C], cached_values_BCKh)
    return (out + weights[..., C:] * value_BKh[:, :, None]).reshape(B, H, h)
