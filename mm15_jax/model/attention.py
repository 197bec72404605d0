"""Attention of encoder and decoder, and rotary positions.

`attention` is one function on every platform; which kernel computes it is decided here, while a
step is traced, and nowhere else.

Legend: B rows, S queries, H query heads, K key and value heads, h head dim, C cache length.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from mm15_jax.model.attention_gpu import cudnn_attention, cudnn_takes
from mm15_jax.model.attention_xla import MASKED, xla_attention
from mm15_jax.model.remat import saveable
from mm15_jax.parallel.rules import platform_in_force


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


def apply_rope(x_BSHh: Array, cos: Array, sin: Array, *, by_matmul: bool | None = None) -> Array:
    """Rotates the pairs (i, i + h/2) of each head, in float32, returned in x's dtype.

    A TPU has a head in its lanes and takes halves apart slowly: there a signed permutation, a small
    and exact matmul, swaps them, which saves 6% of a dense decoder's cycles (docs/performance.md).

    Args:
        x_BSHh: Queries or keys.
        cos: float32[B, S, h / 2].
        sin: The same.
        by_matmul: Whether to swap halves by a matmul; None: where a TPU will run it.
    """
    cos, sin = cos[:, :, None], sin[:, :, None]
    if platform_in_force() == "tpu" if by_matmul is None else by_matmul:
        x32, swapped = x_BSHh.astype(jnp.float32), _swapped(x_BSHh)
        rotated = x32 * jnp.tile(cos, 2) + swapped * jnp.tile(sin, 2)
    else:
        first, second = jnp.split(x_BSHh.astype(jnp.float32), 2, axis=-1)
        rotated = jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return rotated.astype(x_BSHh.dtype)


def _swapped(x_BSHh: Array) -> Array:
    """Halves (-second, first) of each head, float32."""
    h = x_BSHh.shape[-1]
    to = (np.arange(h) + h // 2) % h
    matrix_hh = np.zeros((h, h), np.float32)
    matrix_hh[to, np.arange(h)] = np.where(np.arange(h) < h // 2, -1, 1)
    # In 16 bits one pass of the matrix unit is exact, since each sum has one term.
    precision = "highest" if x_BSHh.dtype == jnp.float32 else None
    return jnp.einsum(
        "bskh,hi->bski",
        x_BSHh,
        jnp.asarray(matrix_hh, x_BSHh.dtype),
        precision=precision,
        preferred_element_type=jnp.float32,
    )


def attention(
    query_BSHh: Array,
    key_BSKh: Array,
    value_BSKh: Array,
    *,
    segment_ids: Array | None = None,
    causal: bool = False,
    rows: str = "batch",
    name: str | None = None,
) -> Array:
    """Grouped-query attention of whole rows, with a float32 softmax.

    On TPU it is the splash kernel, on an NVIDIA GPU cuDNN's where that takes the arrays, elsewhere
    plain JAX. None of them holds the scores of a whole row.

    Args:
        query_BSHh: Queries; head k * G + g uses key head k.
        key_BSKh: Keys.
        value_BSKh: Values.
        segment_ids: int32[B, S]; a query sees keys of its own segment only (padding, segment 0,
            sees padding). None: it sees all.
        causal: Whether a query sees only keys at or before its own place in the row.
        rows: Logical axis of B, "batch" or "tiles": says how a mesh divides it.
        name: What remat policies know queries, keys and values by, in the form in which the kernel
            takes them: it spares another copy of each.

    Returns:
        [B, S, H, h] in the queries' dtype.
    """
    platform = platform_in_force()
    if platform == "tpu":
        # Pallas takes half a second to import, and only this branch needs it.
        from mm15_jax.model.attention_tpu import splash_attention

        return splash_attention(
            query_BSHh,
            key_BSKh,
            value_BSKh,
            segment_ids=segment_ids,
            causal=causal,
            rows=rows,
            name=name,
        )
    if name:
        query_BSHh, key_BSKh, value_BSKh = (
            saveable(x, name) for x in (query_BSHh, key_BSKh, value_BSKh)
        )
    if platform == "gpu" and cudnn_takes(query_BSHh):
        return cudnn_attention(
            query_BSHh, key_BSKh, value_BSKh, segment_ids=segment_ids, causal=causal
        )
    out = xla_attention(query_BSHh, key_BSKh, value_BSKh, segment_ids=segment_ids, causal=causal)
    return saveable(out, "context")


def attention_with_token(
    patches: tuple[Array, Array, Array], tokens: tuple[Array, Array, Array], *, rows: str = "tiles"
) -> tuple[Array, Array]:
    """Bidirectional attention over patches and one token that is kept apart from them.

    The same as `attention` over the token and the patches in one row.

    Args:
        patches: Queries, keys and values [B, S, H, h].
        tokens: Queries, keys and values [B, 1, H, h].
        rows: As in `attention`.

    Returns:
        [B, S, H, h] of the patches, and [B, 1, H, h] of the token.
    """
    if platform_in_force() == "tpu":
        from mm15_jax.model.attention_tpu import splash_attention_with_token

        return splash_attention_with_token(patches, tokens, rows=rows)
    both = (jnp.concatenate(pair, axis=1) for pair in zip(tokens, patches, strict=True))
    out = attention(*both, rows=rows)
    return out[:, 1:], out[:, :1]


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
    old = jnp.where(visible[:, None, None], old, MASKED)
    own = jnp.einsum("bkgh,bkh->bkg", query, key_BKh, preferred_element_type=jnp.float32)
    weights = jax.nn.softmax(jnp.concatenate([old, own[..., None]], axis=-1), axis=-1)
    weights = weights.astype(value_BKh.dtype)
    out = jnp.einsum("bkgc,bckh->bkgh", weights[..., :C], cached_values_BCKh)
    return (out + weights[..., C:] * value_BKh[:, :, None]).reshape(B, H, h)
