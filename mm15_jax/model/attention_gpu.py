"""Attention by cuDNN's fused kernel, on NVIDIA GPUs.

Legend: B rows, S queries and keys, H query heads, K key and value heads, h head dim.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

_LARGEST_HEAD = 128  # of GPUs before Hopper


def cudnn_takes(query_BSHh: Array) -> bool:
    """Whether cuDNN computes attention of these queries, forward and backward.

    It takes 16-bit floats, head sizes that are multiples of 8, and CUDA devices.
    """
    h = query_BSHh.shape[-1]
    return (
        query_BSHh.dtype in (jnp.bfloat16, jnp.float16)
        and h % 8 == 0
        and h <= _LARGEST_HEAD
        and "cuda" in jax.devices()[0].client.platform_version
    )


def cudnn_attention(
    query_BSHh: Array,
    key_BSKh: Array,
    value_BSKh: Array,
    *,
    segment_ids: Array | None = None,
    causal: bool = False,
    implementation: str = "cudnn",
) -> Array:
    """`attention.attention` by cuDNN, through `jax.nn.dot_product_attention`.

    Segments are a mask of the row in the compute dtype, [B, 1, S, S]: 32 MiB for a row of 4,096.
    With a mask cuDNN wants an even S: an odd row is padded with a segment of its own.

    Args:
        query_BSHh: Queries, float16 or bfloat16.
        key_BSKh: Keys.
        value_BSKh: Values.
        segment_ids: int32[B, S], or None.
        causal: As in `attention.attention`.
        implementation: "cudnn"; "xla" is for tests on other devices.

    Returns:
        [B, S, H, h] in the queries' dtype.
    """
    S = query_BSHh.shape[1]
    mask = None
    if segment_ids is not None:
        if S % 2:
            query_BSHh, key_BSKh, value_BSKh = (
                jnp.pad(x, ((0, 0), (0, 1), (0, 0), (0, 0)))
                for x in (query_BSHh, key_BSKh, value_BSKh)
            )
            segment_ids = jnp.pad(segment_ids, ((0, 0), (0, 1)), constant_values=-1)
        mask = (segment_ids[:, :, None] == segment_ids[:, None, :])[:, None]
    out = jax.nn.dot_product_attention(
        query_BSHh,
        key_BSKh,
        value_BSKh,
        mask=mask,
        is_causal=causal,
        implementation=implementation,
    )
    return out[:, :S]
