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

import math
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
def from_slots(y_ND: Array, gates_TK: Array, slots: Slots) -> Array:
    """Sum over a token's choices of gate times slot, [T, D]; summed in float32.

    Args:
        y_ND: What the experts made of each slot.
        gates_TK: float32.
        slots: Of `assign_slots`.
    """
    out_TD = jnp.zeros((gates_TK.shape[0], y_ND.shape[1]), jnp.float32)
    for j in range(gates_TK.shape[1]):
        out_TD += _read(y_ND, slots.slot[:, j]).astype(jnp.float32) * gates_TK[:, j, None]
    return out_TD.astype(y_ND.dtype)


def _from_slots_backward(saved, g_TD: Array):
    y_ND, gates_TK, slots = saved
    gate_N = jnp.where(slots.filled, gates_TK.reshape(-1)[slots.choice], 0)
    dy_ND = g_TD[slots.token].astype(jnp.float32) * gate_N[:, None]
    dgates = [
        jnp.sum(_read(y_ND, slots.slot[:, j]).astype(jnp.float32) * g_TD, axis=-1)
        for j in range(gates_TK.shape[1])
    ]
    return dy_ND.astype(y_ND.dtype), jnp.stack(dgates, axis=-1), None


from_slots.defvjp(lambda *args: (from_slots(*args), args), _from_slots_backward)


class ExpertAxis(NamedTuple):
    """The mesh axis that experts are divided over, inside `shard_map`."""

    name: str
    size: int


def run_experts(
    x_BSD: Array,
    experts_BSK: Array,
    gates_BSK: Array,
    kernels: Kernels,
    moe: MoEConfig,
    *,
    platform: str,
    axis: ExpertAxis | None = None,
) -> tuple[Array, Array]:
    """Each token through its experts, summed with its gates.

    Args:
        x_BSD: Rows, of this device inside `shard_map`.
        experts_BSK: int32, the experts of each token; E for a token that goes to none.
        gates_BSK: float32.
        kernels: Of this device's experts: all E, or E / axis.size; in x's dtype.
        moe: The experts, and how to dispatch.
        platform: See `grouped_matmul`.
        axis: None: all experts are here.

    Returns:
        [B, S, D] in x's dtype, and which choices found a place, bool[B, S, k].
    """
    B, S, D = x_BSD.shape
    devices = axis.size if axis else 1
    run = _by_capacity if moe.dispatch == "capacity" else _dropless
    y_TD, kept_TK = run(x_BSD, experts_BSK, gates_BSK, kernels, moe, devices, axis, platform)
    return y_TD.reshape(B, S, D), kept_TK.reshape(experts_BSK.shape)


def _by_capacity(x_BSD, experts_BSK, gates_BSK, kernels, moe, devices, axis, platform):
    del platform, devices
    B, S, D = x_BSD.shape
    E, k, C = moe.experts, moe.top_k, capacity_of(S, moe)
    slots = assign_slots(experts_BSK, E, boxes=E, size=C)
    boxes = to_slots(x_BSD.reshape(B * S, D), slots).reshape(E, B * C, D)
    if axis:  # -> this device's experts, boxes of all devices of the axis
        boxes = jax.lax.all_to_all(boxes, axis.name, split_axis=0, concat_axis=1, tiled=True)
    boxes = saveable(boxes, "dispatched")
    gate = saveable(jnp.einsum("emd,edf->emf", boxes, kernels.gate), "hidden")
    up = saveable(jnp.einsum("emd,edf->emf", boxes, kernels.up), "hidden")
    boxes = jnp.einsum("emf,efd->emd", jax.nn.silu(gate) * up, kernels.down)
    if axis:
        boxes = jax.lax.all_to_all(boxes, axis.name, split_axis=1, concat_axis=0, tiled=True)
    y_TD = from_slots(boxes.reshape(-1, D), gates_BSK.reshape(-1, k), slots)
    return y_TD, slots.slot >= 0


def _dropless(x_BSD, experts_BSK, gates_BSK, kernels, moe, devices, axis, platform):
    B, S, D = x_BSD.shape
    T, E, k = B * S, moe.experts, moe.top_k
    # One box a device. The most that can go to one device is all that this one has.
    size = T * min(k, E // devices)
    if axis and moe.buffer_factor:
        size = min(size, math.ceil(moe.buffer_factor * T * k / devices / 8) * 8)
    slots = assign_slots(experts_BSK.reshape(1, T, k), E, boxes=devices, size=size)
    rows = to_slots(x_BSD.reshape(T, D), slots)
    counts = slots.counts[0]
    if axis is None:
        rows = grouped_ffn(rows, kernels, counts, platform)
    else:
        here = E // devices
        rows = _exchange(rows.reshape(devices, size, D), axis).reshape(-1, D)
        counts = _exchange(counts.reshape(devices, here), axis)  # [from device, expert here]
        # Boxes arrive sorted by expert, each for itself: sort them together.
        ends = jnp.cumsum(counts, axis=1)
        expert = jnp.sum(jnp.arange(size)[:, None] >= ends[:, None], axis=-1, dtype=jnp.int32)
        merged = assign_slots(expert.reshape(1, -1, 1), here, boxes=1, size=devices * size)
        rows = grouped_ffn(to_slots(rows, merged), kernels, merged.counts[0], platform)
        rows = from_slots(rows, jnp.ones((devices * size, 1), jnp.float32), merged)
        rows = _exchange(rows.reshape(devices, size, D), axis).reshape(-1, D)
    return from_slots(rows, gates_BSK.reshape(-1, k), slots), slots.slot >= 0


def _exchange(boxes: Array, axis: ExpertAxis) -> Array:
    """Box i goes to device i of the axis; what arrives is in the order of the senders."""
    return jax.lax.all_to_all(boxes, axis.name, split_axis=0, concat_axis=0, tiled=True)


def grouped_ffn(x_MD: Array, kernels: Kernels, sizes_E: Array, platform: str) -> Array:
    """SwiGLU of rows sorted by expert; rows beyond the groups are zero."""
    x_MD = saveable(x_MD, "dispatched")
    gate = saveable(grouped_matmul(x_MD, kernels.gate, sizes_E, platform), "hidden")
    up = saveable(grouped_matmul(x_MD, kernels.up, sizes_E, platform), "hidden")
    return grouped_matmul(jax.nn.silu(gate) * up, kernels.down, sizes_E, platform)
