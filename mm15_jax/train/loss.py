"""Next-token loss, without the logits of all tokens ever existing at once.

B rows, S sequence, D width, V vocabulary, C categories; b rows and v words of one device, t tokens
of a chunk.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import PartitionSpec

from mm15_jax.config import ModelConfig
from mm15_jax.model import mllm
from mm15_jax.parallel.rules import mesh_axes_of, rules_in_force

Sums = dict[str, Any]


def loss_weight(batch) -> Array:
    """What the losses of a global batch are divided by, float32[]: its sum of loss weights."""
    # A batch without any loss token must not divide by 0.
    return jnp.maximum(batch["loss_weights"][:, 1:].sum(), 1.0)


def next_token_loss(
    params: Any,
    batch,
    total: Array,
    model: ModelConfig,
    *,
    dtype,
    num_categories: int,
    chunk: int,
    share: float = 1.0,
) -> tuple[Array, Sums]:
    """Weighted cross-entropy of each token given those before it in its segment.

    `loss_weights[t]` weighs the prediction of `tokens[t]`, which is read off position t - 1; the
    first token of a segment has weight 0, so nothing is predicted across segments. The loss is the
    sum over the batch's rows divided by the GLOBAL sum of weights: neither how rows fall on devices
    nor how a batch is cut for accumulation changes what the parts add up to.

    Args:
      params: of `mllm.init_params`.
      batch: some rows, or all, of a global batch.
      total: `loss_weight` of the global batch.
      model: the config.
      dtype: compute dtype.
      num_categories: C.
      chunk: tokens of a device whose logits exist at once; 0 for all.
      share: of these rows in the global batch; the losses of experts are means over tokens, and
        what several parts add up to is the mean of theirs.

    Returns:
      (loss float32[], {"loss_sum": float32[C], "weight": float32[C], "correct": float32[C]}), and
      with experts, whose losses are added with their weights, "moe": their figures times share.
    """
    hidden_BSD, auxiliary = mllm.forward(params, batch, model, dtype=dtype)

    def of_next(values_BS: Array) -> Array:  # all S places stay: they divide into chunks
        return jnp.pad(values_BS[:, 1:], ((0, 0), (0, 1)))

    weights_BS = of_next(batch["loss_weights"])
    loss, nll_BS, correct_BS = weighted_cross_entropy(
        hidden_BSD,
        mllm.output_table(params, model),
        of_next(batch["tokens"]),
        weights_BS / total,
        chunk,
    )
    # A product, not a scatter: C is small.
    place_BSC = jax.nn.one_hot(of_next(batch["category_ids"]), num_categories)
    sums_3C = jnp.einsum(
        "kbs,bsc->kc",
        jnp.stack([nll_BS, jnp.ones_like(nll_BS), correct_BS]) * weights_BS,
        place_BSC,
        precision="highest",
    )
    sums: Sums = dict(zip(("loss_sum", "weight", "correct"), sums_3C, strict=True))
    if auxiliary is not None:
        sums["moe"] = jax.tree.map(lambda x: x * share, auxiliary)
        moe = model.decoder.moe
        loss += moe.load_balance_weight * jnp.mean(sums["moe"].load_balance)
        loss += moe.router_z_weight * jnp.mean(sums["moe"].router_z)
    return loss, sums


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def weighted_cross_entropy(
    hidden_BSD: Array, table_VD: Array, targets_BS: Array, weights_BS: Array, chunk: int
) -> tuple[Array, Array, Array]:
    """Sum of weighted cross-entropies of `hidden @ table^T`, in chunks of tokens.

    The gradients of hidden states and table are made with the loss, while a chunk's logits exist,
    and are only scaled in the backward pass: logits are computed once and never kept. (As in
    Liger-Kernel's fused linear cross-entropy, Hsu et al. 2024.)

    Under rules (`parallel.rules.use_rules`) each device runs over its own rows and its own part of
    the vocabulary; the table's gradient is summed over devices once, after the last chunk.

    Args:
      hidden_BSD: in the compute dtype.
      table_VD: float32.
      targets_BS: int32.
      weights_BS: float32.
      chunk: tokens of a device at once; 0 for all. What does not divide the tokens is lowered.

    Returns:
      (sum of weights x losses float32[], losses float32[B, S], float32[B, S]: 1 where no word is
      likelier than the target). The first alone has a gradient, with respect to the first two
      arguments.
    """
    return _over_devices(hidden_BSD, table_VD, targets_BS, weights_BS, chunk, gradients=False)[0]


def _forward(hidden_BSD, table_VD, targets_BS, weights_BS, chunk):
    return _over_devices(hidden_BSD, table_VD, targets_BS, weights_BS, chunk, gradients=True)


def _backward(chunk, gradients, cotangents):
    d_hidden_BSD, d_table_VD = gradients
    scale = cotangents[0]
    return d_hidden_BSD * scale.astype(d_hidden_BSD.dtype), d_table_VD * scale, None, None


weighted_cross_entropy.defvjp(_forward, _backward)


def _over_devices(hidden_BSD, table_VD, targets_BS, weights_BS, chunk, *, gradients: bool):
    """`_on_device` on every device of the mesh in force; the outputs and (d_hidden, d_table)."""
    rules = rules_in_force()
    if rules is None:
        local = functools.partial(_on_device, chunk=chunk, gradients=gradients)
        return local(hidden_BSD, table_VD, targets_BS, weights_BS)
    mesh, logical = rules
    rows = logical.spec(("batch", None))
    states = logical.spec(("batch", None, None))
    table = logical.parameter(mesh, ("vocab", "embed"), table_VD.shape).spec
    local = functools.partial(
        _on_device,
        chunk=chunk,
        gradients=gradients,
        table_axes=tuple(_cut(entry, mesh) for entry in table),
        row_axes=_cut(rows[0], mesh),
    )
    return jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(states, table, rows, rows),
        out_specs=((PartitionSpec(), rows, rows), (states, table) if gradients else None),
        check_vma=False,
    )(hidden_BSD, table_VD, targets_BS, weights_BS)


def _cut(entry, mesh) -> tuple[str, ...]:
    """Mesh axes of a spec's entry that divide anything."""
    return tuple(axis for axis in mesh_axes_of(entry) if mesh.shape[axis] > 1)


def _on_device(
    hidden_bSD,
    table,
    targets_bS,
    weights_bS,
    *,
    chunk: int,
    gradients: bool,
    table_axes: tuple[tuple[str, ...], ...] = ((), ()),
    row_axes: tuple[str, ...] = (),
):
    """One device's rows, over its part of the vocabulary.

    `table_axes` are the mesh axes that divide the table's two axes. The words stay divided over
    `vocab_axes`, those that do not divide rows; the rest is gathered.
    """
    vocab_axes = tuple(axis for axis in table_axes[0] if axis not in row_axes)
    gather_axes = tuple(axis for axis in table_axes[0] if axis in row_axes), table_axes[1]
    b, S, D = hidden_bSD.shape
    dtype = hidden_bSD.dtype
    table_vD = table.astype(dtype)
    for dimension, axes in enumerate(gather_axes):
        if axes:
            table_vD = jax.lax.all_gather(table_vD, axes, axis=dimension, tiled=True)
    first_word = jax.lax.axis_index(vocab_axes) * table_vD.shape[0] if vocab_axes else 0

    def over_vocab(reduce, x):
        return reduce(x, vocab_axes) if vocab_axes else x

    def one_chunk(d_table_vD, inputs):
        hidden_tD, targets_t, weights_t = inputs
        logits_tv = jnp.einsum("td,vd->tv", hidden_tD, table_vD, preferred_element_type=jnp.float32)
        words_v = jax.lax.broadcasted_iota(jnp.int32, logits_tv.shape, 1) + first_word
        is_target_tv = words_v == targets_t[:, None]
        highest_t = over_vocab(jax.lax.pmax, logits_tv.max(-1))
        exp_tv = jnp.exp(logits_tv - highest_t[:, None])
        sum_t = over_vocab(jax.lax.psum, exp_tv.sum(-1))
        target_t = over_vocab(jax.lax.psum, jnp.where(is_target_tv, logits_tv, 0).sum(-1))
        nll_t = highest_t + jnp.log(sum_t) - target_t
        correct_t = (target_t >= highest_t).astype(jnp.float32)
        if not gradients:
            return d_table_vD, (nll_t, correct_t, None)
        d_logits_tv = exp_tv * (weights_t / sum_t)[:, None]
        d_logits_tv = jnp.where(is_target_tv, d_logits_tv - weights_t[:, None], d_logits_tv)
        d_logits_tv = d_logits_tv.astype(dtype)
        d_hidden_tD = over_vocab(jax.lax.psum, d_logits_tv @ table_vD)
        d_table_vD += jnp.einsum(
            "tv,td->vd", d_logits_tv, hidden_tD, preferred_element_type=jnp.float32
        )
        return d_table_vD, (nll_t, correct_t, d_hidden_tD)

    t = chunk_size(b * S, chunk)
    inputs = (hidden_bSD.reshape(-1, t, D), targets_bS.reshape(-1, t), weights_bS.reshape(-1, t))
    zeros = jnp.zeros(table_vD.shape, jnp.float32) if gradients else jnp.zeros(())
    if t == b * S:
        d_table_vD, outputs = one_chunk(zeros, jax.tree.map(lambda x: x[0], inputs))
    else:
        d_table_vD, outputs = jax.lax.scan(one_chunk, zeros, inputs)
    nll_bS, correct_bS = (x.reshape(b, S) for x in outputs[:2])
    loss = (nll_bS * weights_bS).sum()
    loss = jax.lax.psum(loss, row_axes) if row_axes else loss
    if not gradients:
        return (loss, nll_bS, correct_bS), None
    # Summed over devices in the compute dtype, as the gradients of all other matrices are.
    d_table = d_table_vD.astype(dtype)
    for dimension, axes in enumerate(gather_axes):
        if axes:
            d_table = jax.lax.psum_scatter(d_table, axes, scatter_dimension=dimension, tiled=True)
    scattered = {axis for axes in gather_axes for axis in axes}
    same = tuple(scattered - set(row_axes))  # devices of the same rows, which were summed as well
    d_table = d_table / jax.lax.axis_size(same) if same else d_table
    rest = tuple(axis for axis in row_axes if axis not in scattered)
    d_table = jax.lax.psum(d_table, rest) if rest else d_table
    return (loss, nll_bS, correct_bS), (outputs[2].reshape(b, S, D), d_table.astype(table.dtype))


def chunk_size(tokens: int, chunk: int) -> int:
    """The largest divisor of a device's tokens that is at most `chunk`; all of them for 0."""
    if chunk == 0 or chunk >= tokens:
        return tokens
    return next(size for size in range(chunk, 0, -1) if tokens % size == 0)
