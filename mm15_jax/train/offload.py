"""Optimizer state in the host's memory: on the device it is only while parameters are updated.

It costs a copy to the device and back each step, and saves what AdamW and Muon remember (8 and 4
bytes a parameter) while activations are on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

HOST = "pinned_host"  # JAX's name of memory of the host that devices copy from and to
LEAST = 2**16  # elements of a device: fewer are not worth a transfer

Update = Callable[[Any, Any, Any], tuple[Any, Any]]  # params, state, gradients -> params, state


def in_host_memory(opt_state: Any) -> Any:
    """An abstract optimizer state, its large arrays in the host's memory.

    Args:
        opt_state: `jax.ShapeDtypeStruct` leaves with shardings.
    """

    def place(x: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        if math.prod(x.sharding.shard_shape(x.shape)) < LEAST:
            return x
        return x.update(sharding=x.sharding.with_memory_kind(HOST))

    return jax.tree.map(place, opt_state)


def on_host(opt_state: Any) -> list[jax.ShapeDtypeStruct]:
    """The leaves of an abstract optimizer state that are in the host's memory."""
    return [x for x in jax.tree.leaves(opt_state) if x.sharding.memory_kind == HOST]


def is_offloaded(shardings: Any) -> bool:
    """Whether any array with one of these shardings is in the host's memory."""
    return any(sharding.memory_kind == HOST for sharding in jax.tree.leaves(shardings))


def through_device(update: Update, shardings: Any, after: Array) -> Update:
    """An update of a state that lies as `shardings` say; for use inside a compiled step.

    A compiler that sees the copies is free to begin them while activations still need the memory.
    So the update is a branch that is taken once `after` is known: always, but the compiler cannot
    tell. With four leaves of an eighth of the state each it began half of them early without.

    Args:
        update: Of parameters, by a state on the device.
        shardings: Of the state between updates.
        after: float32[], of the gradients: their norm.
    """
    there = jax.tree.map(lambda sharding: sharding.with_memory_kind("device"), shardings)

    def on_device(params: Any, opt_state: Any, grads: Any) -> tuple[Any, Any]:
        params, opt_state = update(params, jax.device_put(opt_state, there), grads)
        return params, jax.device_put(opt_state, shardings)

    def left_alone(params: Any, opt_state: Any, grads: Any) -> tuple[Any, Any]:
        del grads
        return params, opt_state

    def branch(params: Any, opt_state: Any, grads: Any) -> tuple[Any, Any]:
        always = (after >= 0) | jnp.isnan(after)
        return jax.lax.cond(always, on_device, left_alone, params, opt_state, grads)

    return branch
