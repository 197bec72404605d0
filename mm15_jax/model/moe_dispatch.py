"""Tokens to their experts and back, by sorting and gathering.

Two dispatches behind one interface, `run_experts`:

- "capacity" (GShard, Lepikhin et al. 2020): an expert takes at most C tokens of a row, first
  choices before second ones, then in order of place; the rest is dropped. Experts' inputs are
  equal boxes [E, B * C, D], so that plain batched matmuls serve. A row is dispatched by itself,
  whatever device it is on: what is dropped depends neither on the mesh nor on other rows.
- "dropless" (MegaBlocks, Gale et al. 2022): tokens are sorted by expert and a grouped matmul takes
  groups of any size; nothing is dropped.

With experts divided over a mesh axis, both run inside `shard_map` and exchange tokens by
all-to-all. Choices are sorted, never scattered, and no [tokens, experts, capacity] array exists;
the transposes of both gathers are written as gathers too.

Legend: B rows, S places, k choices of a token, E experts, D width, F expert width, C capacity,
G groups that are sorted apart, T tokens of a group, b boxes, N slots of all boxes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from mm15_jax.config.schema import MoEConfig
from mm15_jax.model.moe_grouped import grouped_matmul
from mm15_jax.model.remat import saveable


class Kernels(NamedTuple):
    """An expert's SwiGLU, for all experts: gate and up [E, D, F], down [E, F, D]."""

    gate: Array
    up: Array
    down: Array


class Slots(NamedTuple):
    """Which token is where: N slots of boxes, and the slot of each choice.

    `choice` counts choices in the order (group, token, choice).
    """

    token: Array  # int32[N], of G * T; 0 where the slot is empty
    choice: Array  # int32[N], of G * T * k; 0 where the slot is empty
    filled: Array  # bool[N]
    slot: Array  # int32[G * T, k], -1 where the choice found no slot
    counts: Array  # int32[G, E], choices of each expert that found a slot


def capacity_of(places: int, moe: MoEConfig) -> int:
    """C: tokens of a row that one expert takes, a multiple of 8 and at most all of them."""
    fair = moe.capacity_factor * places * moe.top_k / moe.experts
    return min(places, max(8, -(-math.ceil(fair) // 8) * 8))


def assign_slots(experts_GTK: Array, num_experts: int, boxes: int, size: int) -> Slots:
    """Gives each choice a slot of its expert's box, until the box is full.

    Consecutive experts share a box where there are fewer boxes than experts; inside a box choices
    are sorted by expert, then first choices before second ones, then by place.

    Args:
        experts_GTK: int32[G, T, k]; an expert, or E for a choice that goes nowhere.
        num_experts: E.
        boxes: b, a divisor of E. Boxes of all groups lie together: slot (box, group, place).
        size: Slots of one group's box.

    Returns:
        The slots; N is b * G * size.
    """
    G, T, k = experts_GTK.shape
    E, share = num_experts, num_experts // boxes
    keys = experts_GTK.swapaxes(1, 2).reshape(G, k * T)  # first choices first
    order = jnp.argsort(keys, axis=1, stable=True)
    keys = jnp.take_along_axis(keys, order, axis=1)
    counts = jnp.sum(keys[..., None] == jnp.arange(E), axis=1, dtype=jnp.int32)  # [G, E]
    in_box = counts.reshape(G, boxes, share).sum(-1)
    starts = jnp.cumsum(in_box, axis=1) - in_box  # [G, b], place in the sorted order

    place = jnp.arange(size)
    filled = place < in_box[..., None]  # [G, b, size]
    source = jnp.minimum(starts[..., None] + place, k * T - 1).reshape(G, -1)
    chosen = jnp.take_along_axis(order, source, axis=1).reshape(G, boxes, size)
    token = chosen % T + jnp.arange(G)[:, None, None] * T
    choice = token * k + chosen // T

    box = jnp.minimum(keys // share, boxes - 1)
    rank = jnp.arange(k * T) - jnp.take_along_axis(starts, box, axis=1)
    slot = (box * G + jnp.arange(G)[:, None]) * size + rank
    slot = jnp.where((keys < E) & (rank < size), slot, -1)
    slot = jnp.take_along_axis(slot, jnp.argsort(order, axis=1), axis=1)

    before = jnp.cumsum(counts.reshape(G, boxes, share), axis=2).reshape(G, E) - counts
    kept = jnp.clip(size - before, 0, counts)

    def flat(array: Array) -> Array:
        return jnp.where(filled, array, 0).swapaxes(0, 1).reshape(-1)

    return Slots(
        flat(token),
        flat(choice),
        filled.swapaxes(0, 1).reshape(-1),
        slot.reshape(G, k, T).swapaxes(1, 2).reshape(G * T, k),
        kept,
    )


def _read(x: Array, index: Array) -> Array:
    """Rows of x, zero where the index is negative."""
    rows = jnp.take(x, jnp.maximum(index, 0), axis=0, mode="clip")
    return jnp.where((index >= 0)[:, None], rows, 0)


@jax.custom_vjp
def to_slots(x_TD: Array, slots: Slots) -> Array:
    """Tokens in their slots, [N, D]; empty slots are zero."""
    return _read(x_TD, jnp.where(slots.filled, slots.token, -1))


def _to_slots_backward(slots: Slots, g_ND: Array):
    k = slots.slot.shape[1]
    return sum(_read(g_ND, slots.slot[:, j]) for j in range(k)), None


to_slots.defvjp(lambda x_TD, slots: (to_slots(x_TD, slots), slots), _to_slots_backward)


@jax.custom_vjp
def gates_to_slots(gates_TK: Array, slots: Slots) -> Array:
    """The gate of the choice in each slot, float32[N]; zero in empty slots."""
    return jnp.where(slots.filled, gates_TK.reshape(-1)[slots.choice], 0)


def _gates_to_slots_backward(slots: Slots, g_N: Array):
    return _read(g_N[:, None], slots.slot.reshape(-1)).reshape(slots.slot.shape), None


gates_to_slots.defvjp(
    lambda gates_TK, slots: (gates_to_slots(gates_TK, slots), slots), _gates_to_slots_backward
)


@jax.custom_vjp
def from_slots(y_ND: Array, slots: Slots) -> Array:
    """Sum over a token's choices of their slots, [T, D]; summed in float32."""
    choices = (_read(y_ND, slots.slot[:, j]) for j in range(slots.slot.shape[1]))
    return sum(y_TD.astype(jnp.float32) for y_TD in choices).astype(y_ND.dtype)


def _from_slots_backward(slots: Slots, g_TD: Array):
    return _read(g_TD, jnp.where(slots.filled, slots.token, -1)), None


from_slots.defvjp(lambda y_ND, slots: (from_slots(y_ND, slots), slots), _from_slots_backward)


class ExpertAxis(NamedTuple):
    """The mesh axis that experts are divided over, inside `shard_map`."""

    name: str
    size: int


class Execution(NamedTuple):
    """How experts are run, which changes no result."""

    platform: str  # see `grouped_matmul`
    axis: ExpertAxis | None = None  # None: all experts are here
    # Kernels as they are kept -> whole but for what stays divided; for any number of experts.
    gather: Callable[[Kernels], Kernels] = lambda kernels: kernels
    keep_hidden: bool = True  # whether rematerialisation keeps hidden activations


def run_experts(
    x_BSD: Array,
    experts_BSK: Array,
    gates_BSK: Array,
    kernels: Kernels,
    moe: MoEConfig,
    how: Execution,
) -> tuple[Array, Array]:
    """Each token through its experts, summed with its gates.

    Args:
        x_BSD: Rows, of this device inside `shard_map`.
        experts_BSK: int32, the experts of each token; E for a token that goes to none.
        gates_BSK: float32.
        kernels: Of this device's experts: all E, or E / axis.size; in x's dtype, not yet gathered.
        moe: The experts, and how to dispatch.
        how: Where they are.

    Returns:
        [B, S, D] in x's dtype, and which choices found a place, bool[B, S, k].
    """
    run = _by_capacity if moe.dispatch == "capacity" else _dropless
    y_TD, kept_TK = run(x_BSD, experts_BSK, gates_BSK, kernels, moe, how)
    return y_TD.reshape(x_BSD.shape), kept_TK.reshape(experts_BSK.shape)


def _by_capacity(x_BSD, experts_BSK, gates_BSK, kernels, moe, how):
    B, S, D = x_BSD.shape
    E, k, C = moe.experts, moe.top_k, capacity_of(S, moe)
    slots = assign_slots(experts_BSK, E, boxes=E, size=C)
    boxes = to_slots(x_BSD.reshape(B * S, D), slots).reshape(E, B * C, D)
    weights = gates_to_slots(gates_BSK.reshape(-1, k), slots).reshape(E, B * C, 1)
    if how.axis:  # -> this device's experts, boxes of all devices of the axis
        boxes, weights = (
            jax.lax.all_to_all(sent, how.axis.name, split_axis=0, concat_axis=1, tiled=True)
            for sent in (boxes, weights)
        )
    boxes = saveable(boxes, "dispatched")
    if how.keep_hidden:
        boxes = _ffn(boxes, weights, how.gather(kernels))
    else:
        boxes = _ffn_by_expert(how.gather, boxes, weights, kernels)
    if how.axis:
        boxes = jax.lax.all_to_all(boxes, how.axis.name, split_axis=1, concat_axis=0, tiled=True)
    return from_slots(boxes.reshape(-1, D), slots), slots.slot >= 0


def _ffn(x_EMD: Array, weights_EM1: Array, kernels: Kernels) -> Array:
    """Weighted SwiGLU of equal boxes of tokens."""
    gate = saveable(jnp.einsum("emd,edf->emf", x_EMD, kernels.gate), "hidden")
    up = saveable(jnp.einsum("emd,edf->emf", x_EMD, kernels.up), "hidden")
    hidden = _weighted(jax.nn.silu(gate) * up, weights_EM1)
    return jnp.einsum("emf,efd->emd", hidden, kernels.down)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _ffn_by_expert(
    gather: Callable[[Kernels], Kernels], x_EMD: Array, weights_EM1: Array, kernels: Kernels
) -> Array:
    """`_ffn`, one expert after the other, hidden activations computed again in the backward pass.

    Kernels are gathered, and hidden activations and their gradients exist, for one expert at a
    time. Inside a layer that rematerialises them anyway it costs no further matmul: the layer's
    own recomputation then stops at the boxes.
    """
    return jax.lax.map(functools.partial(_ffn_of_one, gather), (x_EMD, weights_EM1, kernels))


def _ffn_of_one(gather: Callable, expert: tuple) -> Array:
    """`_ffn` for arrays without their leading axis of experts."""
    x_EMD, weights_EM1, kernels = jax.tree.map(lambda leaf: leaf[None], expert)
    return _ffn(x_EMD, weights_EM1, gather(kernels))[0]


def _ffn_by_expert_forward(gather: Callable, *arguments):
    return _ffn_by_expert(gather, *arguments), arguments


def _ffn_by_expert_backward(gather: Callable, arguments, g_EMD: Array):
    def one(expert):
        _, pull_back = jax.vjp(functools.partial(_ffn_of_one, gather), expert[0])
        return pull_back(expert[1])[0]

    return jax.lax.map(one, (arguments, g_EMD))


_ffn_by_expert.defvjp(_ffn_by_expert_forward, _ffn_by_expert_backward)


def _dropless(x_BSD, experts_BSK, gates_BSK, kernels, moe, how):
    B, S, D = x_BSD.shape
    axis, devices, kernels = how.axis, how.axis.size if how.axis else 1, how.gather(kernels)
    T, E, k = B * S, moe.experts, moe.top_k
    # One box a device. The most that can go to one device is all that this one has.
    size = T * min(k, E // devices)
    if axis and moe.buffer_factor:
        size = min(size, math.ceil(moe.buffer_factor * T * k / devices / 8) * 8)
    slots = assign_slots(experts_BSK.reshape(1, T, k), E, boxes=devices, size=size)
    rows = to_slots(x_BSD.reshape(T, D), slots)
    weights = gates_to_slots(gates_BSK.reshape(-1, k), slots)
    counts = slots.counts[0]
    if axis is None:
        rows = grouped_ffn(rows, weights, kernels, counts, how.platform)
    else:
        here = E // devices
        rows = _exchange(rows.reshape(devices, size, D), axis).reshape(-1, D)
        weights = _exchange(weights.reshape(devices, size), axis).reshape(-1, 1)
        counts = _exchange(counts.reshape(devices, here), axis)  # [from device, expert here]
        # Boxes arrive sorted by expert, each for itself: sort them together.
        ends = jnp.cumsum(counts, axis=1)
        expert = jnp.sum(jnp.arange(size)[:, None] >= ends[:, None], axis=-1, dtype=jnp.int32)
        merged = assign_slots(expert.reshape(1, -1, 1), here, boxes=1, size=devices * size)
        rows, weights = to_slots(rows, merged), gates_to_slots(weights, merged)
        rows = from_slots(
            grouped_ffn(rows, weights, kernels, merged.counts[0], how.platform), merged
        )
        rows = _exchange(rows.reshape(devices, size, D), axis).reshape(-1, D)
    return from_slots(rows, slots), slots.slot >= 0


def _exchange(boxes: Array, axis: ExpertAxis) -> Array:
    """Box i goes to device i of the axis; what arrives is in the order of the senders."""
    return jax.lax.all_to_all(boxes, axis.name, split_axis=0, concat_axis=0, tiled=True)


def grouped_ffn(
    x_MD: Array, weights_M: Array, kernels: Kernels, sizes_E: Array, platform: str
) -> Array:
    """Weighted SwiGLU of rows sorted by expert; rows beyond the groups are zero."""
    x_MD = saveable(x_MD, "dispatched")
    gate = saveable(grouped_matmul(x_MD, kernels.gate, sizes_E, platform), "hidden")
    up = saveable(grouped_matmul(x_MD, kernels.up, sizes_E, platform), "hidden")
    hidden = _weighted(jax.nn.silu(gate) * up, weights_M[:, None])
    return grouped_matmul(hidden, kernels.down, sizes_E, platform)


def _weighted(hidden: Array, weights: Array) -> Array:
    """An expert's hidden activations times the token's gate.

    Weighing here and not behind the last matmul gives the same sum, but the gate's gradient then
    needs the hidden activations alone: rematerialisation leaves out that matmul and the exchange
    behind it.
    """
    return (hidden.astype(jnp.float32) * weights).astype(hidden.dtype)
