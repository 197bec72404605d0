"""Matmul of sorted rows, each group of rows with a matrix of its own.

One function per platform: the megablox kernel on TPU, XLA's ragged dot on GPU, and on CPU a loop
over blocks of rows, where XLA expands a ragged dot to E times the work (at
eight experts five times slower forward, ten times with gradients).

Legend: M rows, E groups, K and N widths, R rows of a block.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

# Rows of a block on CPU: large enough for a matmul to be fast, small beside a group.
BLOCK_ROWS = 128

# Tiles (rows, K, N) of the TPU kernel. Rows of small inputs are padded to whole tiles.
TPU_TILES = (512, 1024, 1024)


def grouped_matmul(x_MK: Array, kernels_EKN: Array, sizes_E: Array, platform: str) -> Array:
    """Rows of group e times matrix e.

    Args:
        x_MK: Rows sorted by group: the first sizes[0] rows are group 0's, and so on.
        kernels_EKN: One matrix a group, in x's dtype.
        sizes_E: int32[E], rows of each group; their sum is at most M.
        platform: "tpu", "gpu" or "cpu": where the program will run.

    Returns:
        [M, N] in x's dtype; rows beyond the last group are zero, and so are their gradients.
    """
    inside_M1 = (jnp.arange(x_MK.shape[0]) < jnp.sum(sizes_E))[:, None]
    x_MK = jnp.where(inside_M1, x_MK, 0)
    if platform == "tpu":
        y_MN = _megablox(x_MK, kernels_EKN, sizes_E)
    elif platform == "cpu":
        y_MN = blocked_matmul(x_MK, kernels_EKN, sizes_E)
    else:
        y_MN = jax.lax.ragged_dot(x_MK, kernels_EKN, sizes_E)
    # The TPU kernel leaves rows beyond the groups as they were in memory.
    return jnp.where(inside_M1, y_MN, 0)


def _megablox(x_MK: Array, kernels_EKN: Array, sizes_E: Array) -> Array:
    """The Pallas kernel of Gale et al.'s MegaBlocks for TPU, which comes with JAX."""
    from jax.experimental.pallas.ops.tpu.megablox import gmm

    M, K = x_MK.shape
    N = kernels_EKN.shape[2]
    tiles = tuple(
        min(tile, -(-size // 128) * 128) for tile, size in zip(TPU_TILES, (M, K, N), strict=True)
    )
    padded = jnp.pad(x_MK, ((0, -M % tiles[0]), (0, 0)))
    return gmm(padded, kernels_EKN, sizes_E, x_MK.dtype, tiles)[:M]


@jax.custom_vjp
def blocked_matmul(x_MK: Array, kernels_EKN: Array, sizes_E: Array) -> Array:
    """`grouped_matmul` as a loop over blocks of rows, each of one group.

    It does the work of ceil(size / R) blocks a group, and none for an empty one. A block's rows
    beyond its group are written too, and then again by the group that they belong to.
    """
    return _loop(x_MK, kernels_EKN, sizes_E, transpose=False)


def _blocks(rows: int, sizes_E: Array) -> tuple[int, Array, Array, Array]:
    """(R, number of blocks, the blocks before and with each group, first row of each group)."""
    R = min(BLOCK_ROWS, rows)
    through_E = jnp.cumsum(-(-sizes_E // R))
    return R, through_E[-1], through_E, jnp.cumsum(sizes_E) - sizes_E


def _block(i: Array, R: int, sizes_E: Array, through_E: Array, starts_E: Array):
    """(group of block i, its first row)."""
    group = jnp.searchsorted(through_E, i, side="right")
    before = through_E[group] - -(-sizes_E[group] // R)
    return group, starts_E[group] + (i - before) * R


def _loop(x_MK: Array, kernels_EKN: Array, sizes_E: Array, *, transpose: bool) -> Array:
    M = x_MK.shape[0]
    R, count, through_E, starts_E = _blocks(M, sizes_E)
    # The last block may reach beyond the last row; without room the slice would be moved back.
    padded = jnp.pad(x_MK, ((0, R), (0, 0)))
    width = kernels_EKN.shape[1 if transpose else 2]

    def body(i, y):
        group, row = _block(i, R, sizes_E, through_E, starts_E)
        rows = jax.lax.dynamic_slice_in_dim(padded, row, R)
        kernel = jax.lax.dynamic_index_in_dim(kernels_EKN, group, keepdims=False)
        out = rows @ (kernel.T if transpose else kernel)
        return jax.lax.dynamic_update_slice_in_dim(y, out, row, axis=0)

    y = jnp.zeros((M + R, width), x_MK.dtype)
    return jax.lax.fori_loop(0, count, body, y)[:M]


def _kernels_gradient(x_MK: Array, g_MN: Array, sizes_E: Array, dtype: jnp.dtype) -> Array:
    """[E, K, N]: for each group the sum of x^T g over its rows."""
    M = x_MK.shape[0]
    R, count, through_E, starts_E = _blocks(M, sizes_E)
    x, g = (jnp.pad(array, ((0, R), (0, 0))) for array in (x_MK, g_MN))

    def body(i, total):
        group, row = _block(i, R, sizes_E, through_E, starts_E)
        own = row + jnp.arange(R) < starts_E[group] + sizes_E[group]
        rows = jnp.where(own[:, None], jax.lax.dynamic_slice_in_dim(x, row, R), 0)
        product = jnp.matmul(
            rows.T, jax.lax.dynamic_slice_in_dim(g, row, R), preferred_element_type=total.dtype
        )
        before = jax.lax.dynamic_index_in_dim(total, group, keepdims=False)
        return jax.lax.dynamic_update_index_in_dim(total, before + product, group, axis=0)

    zeros = jnp.zeros((sizes_E.shape[0], x_MK.shape[1], g_MN.shape[1]), jnp.float32)
    return jax.lax.fori_loop(0, count, body, zeros).astype(dtype)


def _blocked_forward(x_MK, kernels_EKN, sizes_E):
    return blocked_matmul(x_MK, kernels_EKN, sizes_E), (x_MK, kernels_EKN, sizes_E)


def _blocked_backward(saved, g_MN):
    x_MK, kernels_EKN, sizes_E = saved
    dx_MK = _loop(g_MN, kernels_EKN, sizes_E, transpose=True)
    return dx_MK, _kernels_gradient(x_MK, g_MN, sizes_E, kernels_EKN.dtype), None


blocked_matmul.defvjp(_blocked_forward, _blocked_backward)
