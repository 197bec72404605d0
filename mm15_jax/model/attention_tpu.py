"""Attention by JAX's splash kernel, on TPUs.

The kernel (`jax.experimental.pallas.ops.tpu.splash_attention`) holds one block of scores at a
time, skips the blocks that a causal mask hides, and keeps the log-sum-exp of each query for the
backward pass. It knows one device: on a mesh it runs inside `shard_map`, rows and heads divided.

Legend: B rows, S queries and keys, P the same padded to whole blocks, H query heads, K key and
value heads, h head dim.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as kernels
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks
from jax.sharding import PartitionSpec

from mm15_jax.model.remat import saveable
from mm15_jax.parallel.rules import rules_in_force

LANES = 128  # a row is padded to a multiple of it
SMALLEST_BLOCK = 256  # smaller ones leave the matrix unit waiting
LARGEST_BLOCK = 768  # float32 scores of a block, several at once, live in 16 MiB of scoped VMEM
_PADDING = -1  # segment of padded places; no row has it


def splash_attention(
    query_BSHh: Array,
    key_BSKh: Array,
    value_BSKh: Array,
    *,
    segment_ids: Array | None = None,
    causal: bool = False,
    rows: str = "batch",
    name: str | None = None,
    interpret: bool = False,
) -> Array:
    """`attention.attention` by the splash kernel; the head size is taken as it is, not padded.

    Args:
        query_BSHh: Queries.
        key_BSKh: Keys.
        value_BSKh: Values.
        segment_ids: int32[B, S], or None.
        causal: As in `attention.attention`.
        rows: As in `attention.attention`.
        name: As in `attention.attention`.
        interpret: Whether to interpret the kernel, slowly, on any device: for tests.

    Returns:
        [B, S, H, h] in the queries' dtype.
    """
    attend = functools.partial(_attend, causal=causal, name=name, interpret=interpret)
    arrays = (query_BSHh, key_BSKh, value_BSKh)
    return _on_each_device(attend, arrays, segment_ids, rows)


def splash_attention_with_token(
    patches: tuple[Array, Array, Array],
    tokens: tuple[Array, Array, Array],
    *,
    rows: str = "tiles",
    interpret: bool = False,
) -> tuple[Array, Array]:
    """`attention.attention_with_token`: the kernel over the patches, the token added to it.

    48 x 48 patches are three blocks of 768; with the class token in their row a tenth of each
    array would be padding, and all blocks masked.
    """
    attend = functools.partial(_attend_with_token, interpret=interpret)
    return _on_each_device(attend, (*patches, *tokens), None, rows)


def _on_each_device(
    attend: Callable, arrays: Sequence[Array], segment_ids: Array | None, rows: str
):
    """Runs `attend(*arrays, segment_ids)` on each device's rows and heads.

    Mesh axes divide rows, and heads, as the rules in force say and as far as they do so evenly.

    Args:
        attend: From arrays like `arrays` and segment ids to one array or several like them.
        arrays: [B, S, H or K, h], queries first.
        segment_ids: int32[B, S], or None.
        rows: Logical axis of B.
    """
    B, _, H, _ = arrays[0].shape
    assert all(H % x.shape[2] == 0 for x in arrays), [x.shape for x in arrays]
    in_force = rules_in_force()
    if in_force is None:  # one device
        return attend(*arrays, segment_ids)
    mesh, rules = in_force

    def prefix(axes: Sequence[str], size: int) -> tuple[str, ...]:
        kept: tuple[str, ...] = ()
        for axis in axes:
            if size % math.prod(mesh.shape[a] for a in (*kept, axis)):
                break
            kept += (axis,)
        return kept

    row_axes, head_axes = prefix(getattr(rules, rows), B), prefix(rules.act_heads, H)
    ways = math.prod(mesh.shape[axis] for axis in head_axes)
    # Fewer key heads than devices: each gets a copy of the one that its queries use.
    arrays = [
        jnp.repeat(x, math.lcm(x.shape[2], ways) // x.shape[2], axis=2) if x.shape[2] % ways else x
        for x in arrays
    ]
    by_head = PartitionSpec(row_axes or None, None, head_axes or None, None)
    by_row = None if segment_ids is None else PartitionSpec(row_axes or None, None)
    return jax.shard_map(
        attend,
        mesh=mesh,
        in_specs=(*[by_head] * len(arrays), by_row),
        out_specs=by_head,
        check_vma=False,
    )(*arrays, segment_ids)


def blocks_of(S: int) -> tuple[int, int]:
    """(padded length, block): the block that needs the least padding; of equals, the largest.

    4,096 takes blocks of 512; 2,304 (the patches of a tile of 672 pixels) of 768; 729 (of 378
    pixels) is one of 768.
    """
    least = -(-S // LANES) * LANES
    if least <= LARGEST_BLOCK:
        return least, least
    sizes = range(SMALLEST_BLOCK, LARGEST_BLOCK + 1, LANES)
    return min(((-(-S // size) * size, size) for size in sizes), key=lambda x: (x[0], -x[1]))


def _by_head(x_BSHh: Array, length: int) -> Array:
    """[B, S, H, h] -> [B, H, P, h], as the kernel takes it."""
    x = x_BSHh.transpose(0, 2, 1, 3)
    return jnp.pad(x, ((0, 0), (0, 0), (0, length - x.shape[2]), (0, 0)))


def _attend(
    query_BSHh: Array,
    key_BSKh: Array,
    value_BSKh: Array,
    segment_ids: Array | None,
    *,
    causal: bool,
    name: str | None,
    interpret: bool,
) -> Array:
    """`splash_attention` on one device."""
    _, S, H, h = query_BSHh.shape
    length, _ = blocks_of(S)
    arrays = [_by_head(x, length) for x in (query_BSHh * h**-0.5, key_BSKh, value_BSKh)]
    if name:
        arrays = [saveable(x, name) for x in arrays]
    if segment_ids is not None:
        segment_ids = jnp.pad(segment_ids, ((0, 0), (0, length - S)), constant_values=_PADDING)
    elif not causal:  # a causal row's padding is behind all that is seen
        segment_ids = _segments_of_padding(S, length)
    kernel = _kernel(H, length, causal=causal, interpret=interpret, name="context")
    out = _over_rows(kernel, segment_ids)(*arrays)
    return out[:, :, :S].transpose(0, 2, 1, 3)


def _segments_of_padding(S: int, length: int) -> Array | None:
    """int32[P] that keeps padding from being seen; None where there is none."""
    if length == S:
        return None
    return jnp.asarray(np.where(np.arange(length) < S, 0, _PADDING), jnp.int32)


def _over_rows(function: Callable, segment_ids: Array | None) -> Callable:
    """`function(..., segment_ids=)` of a row to one of rows; ids are [P], [B, P] or None."""
    ids = None if segment_ids is None else kernels.SegmentIds(segment_ids, segment_ids)
    axis = 0 if segment_ids is not None and segment_ids.ndim == 2 else None

    def of_rows(*arrays: Array):
        return jax.vmap(
            lambda ids, *row: function(*row, segment_ids=ids), in_axes=(axis, *[0] * len(arrays))
        )(ids, *arrays)

    return of_rows


def _kernel(
    H: int,
    length: int,
    *,
    causal: bool = False,
    interpret: bool,
    name: str | None = None,
    keep_sums: bool = False,
) -> kernels.SplashAttentionKernel:
    """A splash kernel for one row of `length`, forward and backward in square blocks.

    Args:
        H: Query heads.
        length: P.
        causal: Whether a query sees only what is before it.
        interpret: Whether to interpret it.
        name: What a remat policy knows the output and the log-sum-exp by.
        keep_sums: Whether it returns (output, (log-sum-exp,)) and has no gradient.
    """
    _, block = blocks_of(length)
    mask = (masks.CausalMask if causal else masks.FullMask)((length, length))
    return kernels.make_splash_mha(
        masks.MultiHeadMask([mask] * H),
        block_sizes=kernels.BlockSizes(
            block_q=block,
            block_kv=block,
            block_kv_compute=block,
            block_q_dkv=block,
            block_kv_dkv=block,
            block_kv_dkv_compute=block,
            block_q_dq=block,
            block_kv_dq=block,
        ),
        head_shards=1,
        q_seq_shards=1,
        save_residuals=keep_sums,
        residual_checkpoint_name=name,
        interpret=interpret,
    )


def _attend_with_token(
    query: Array,
    key: Array,
    value: Array,
    token_query: Array,
    token_key: Array,
    token_value: Array,
    segment_ids: None,
    *,
    interpret: bool,
) -> tuple[Array, Array]:
    """`splash_attention_with_token` on one device; arrays are [B, S, H, h] and [B, 1, H, h]."""
    _, S, _, h = query.shape
    length, _ = blocks_of(S)
    query, token_query = query * h**-0.5, token_query * h**-0.5
    key_BHPh, value_BHPh = _by_head(key, length), _by_head(value, length)
    token_key, token_value = token_key[:, 0], token_value[:, 0]
    out_BHPh = _patches_see_token(
        _by_head(query, length), key_BHPh, value_BHPh, token_key, token_value, S, interpret
    )
    # The token sees all patches and itself.
    scores = _products(key_BHPh, token_query[:, 0])
    if length > S:
        scores = jnp.where(jnp.arange(length) < S, scores, kernels.DEFAULT_MASK_VALUE)
    own = jnp.einsum(
        "bhd,bhd->bh", token_query[:, 0], token_key, preferred_element_type=jnp.float32
    )
    weights = jax.nn.softmax(jnp.concatenate([scores, own[..., None]], axis=-1), axis=-1)
    weights = weights.astype(value.dtype)
    token_out = _weighted_sum(weights[..., :-1], value_BHPh) + weights[..., -1:] * token_value
    return out_BHPh[:, :, :S].transpose(0, 2, 1, 3), token_out[:, None]


def _rows(x: Array) -> Array:
    """[B, H, n] -> [B, H, 8, n], the first row and zeros.

    XLA makes no matmul of one row, but sums on the vector unit, which take a TPU seven times as
    long as reading the other operand.
    """
    return jnp.pad(x[:, :, None], ((0, 0), (0, 0), (0, 7), (0, 0)))


def _products(x_BHPh: Array, token_BHh: Array) -> Array:
    """Of each place with its head's vector: float32[B, H, P]."""
    return jnp.einsum(
        "bhnd,bhpd->bhnp", _rows(token_BHh), x_BHPh, preferred_element_type=jnp.float32
    )[:, :, 0]


def _weighted_sum(weights_BHP: Array, x_BHPh: Array) -> Array:
    """Of a head's places: [B, H, h] in x's dtype."""
    weights = _rows(weights_BHP.astype(x_BHPh.dtype))
    return jnp.einsum("bhnp,bhpd->bhnd", weights, x_BHPh)[:, :, 0]


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def _patches_see_token(
    query_BHPh: Array,
    key_BHPh: Array,
    value_BHPh: Array,
    token_key_BHh: Array,
    token_value_BHh: Array,
    S: int,
    interpret: bool,
) -> Array:
    """Attention of patches over patches and one token: [B, H, P, h]; queries are scaled.

    The kernel's output and log-sum-exp over the patches are put together with the token's share.
    Given the output and log-sum-exp of the whole, the kernel's own backward pass is right for the
    patches: a weight is exp(score - log-sum-exp), whatever else was in the sum.
    """
    return _sums_and_output(
        query_BHPh, key_BHPh, value_BHPh, token_key_BHh, token_value_BHh, S, interpret
    )[0]


def _sums_and_output(
    query_BHPh: Array,
    key_BHPh: Array,
    value_BHPh: Array,
    token_key_BHh: Array,
    token_value_BHh: Array,
    S: int,
    interpret: bool,
) -> tuple[Array, Array]:
    """(output [B, H, P, h], log-sum-exp float32[B, H, P]) over patches and token."""
    _, H, length, _ = query_BHPh.shape
    kernel = _kernel(H, length, interpret=interpret, keep_sums=True)
    run = _over_rows(kernel, _segments_of_padding(S, length))
    out, (log_sum,) = run(query_BHPh, key_BHPh, value_BHPh)
    score = _products(query_BHPh, token_key_BHh)
    whole = jnp.logaddexp(log_sum, score)
    out = (
        out * jnp.exp(log_sum - whole)[..., None]
        + jnp.exp(score - whole)[..., None] * token_value_BHh[:, :, None]
    )
    return out.astype(query_BHPh.dtype), whole


def _forward(query, key, value, token_key, token_value, S, interpret):
    """For the backward pass, output and log-sum-exp are kept, by the name "context"."""
    out, whole = _sums_and_output(query, key, value, token_key, token_value, S, interpret)
    out, whole = saveable(out, "context"), saveable(whole, "context")
    return out, (query, key, value, token_key, token_value, out, whole)


def _backward(S, interpret, kept, gradient_BHPh):
    """The kernel's backward pass, and the token's share of each gradient."""
    query, key, value, token_key, token_value, out, whole = kept
    _, H, length, _ = query.shape
    kernel = _kernel(H, length, interpret=interpret)

    def one_row(query, key, value, out, whole, gradient, segment_ids):
        # JAX has no public name for the kernel's backward pass; setup.py holds JAX to 0.10.
        settings = {k: v for k, v in kernel.kwargs.items() if k != "save_residuals"}
        arrays = (query, key, value, segment_ids, None, out, whole)
        residuals = (*arrays, kernel.dq_mask_info, kernel.dkv_mask_info)
        return kernels._splash_attention_bwd(
            save_residuals=False, **settings, res=residuals, do=gradient
        )[3:6]

    run = _over_rows(one_row, _segments_of_padding(S, length))
    d_query, d_key, d_value = run(query, key, value, out, whole, gradient_BHPh)
    weight = jnp.exp(_products(query, token_key) - whole)
    gradient = gradient_BHPh.astype(jnp.float32)
    d_weight = _products(gradient_BHPh, token_value) - jnp.sum(gradient * out, axis=-1)
    d_score = weight * d_weight
    d_query = d_query + (d_score[..., None] * token_key[:, :, None]).astype(query.dtype)
    d_token_key = _weighted_sum(d_score, query)
    d_token_value = _weighted_sum(weight, gradient_BHPh)
    return d_query, d_key, d_value, d_token_key, d_token_value


_patches_see_token.defvjp(_forward, _backward)
