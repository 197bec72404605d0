"""Attention in plain JAX, for CPU and for what no kernel takes: memory bounded by query blocks.

Legend: B rows, S queries, T keys, H query heads, K key and value heads, G = H / K queries that
share one key head, h head dim.
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

MASKED = -1e30  # finite: a row without any visible key stays finite


def xla_attention(
    query_BSHh: Array,
    key_BSKh: Array,
    value_BSKh: Array,
    *,
    segment_ids: Array | None = None,
    causal: bool = False,
    query_block: int = QUERY_BLOCK,
) -> Array:
    """`attention.attention` without a kernel; keys are never repeated for their group.

    Args:
        query_BSHh: Queries; head k * G + g uses key head k.
        key_BSKh: Keys.
        value_BSKh: Values.
        segment_ids: int32[B, S]; a query sees keys of its own segment only. None: it sees all.
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
        scores = jnp.where(visible[:, None, None], scores, MASKED)
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
