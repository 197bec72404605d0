"""Parameters: a box that names the axes of each and says how it starts.

Linen modules of this package only declare parameters and call free functions. A declared
parameter carries its logical axis names (for sharding) and a text of its initializer (for golden
tests) until it is unboxed, right after initialization.

Logical axes:
    layers       scanned layers, always leading
    embed        model width of the part a parameter belongs to
    heads        query heads x head dim, merged
    kv_heads     key or value heads x head dim, merged
    head_dim     one head
    mlp          hidden width of an MLP or of a convolution block
    vocab        output classes
    positions    patches of a tile, with the class token where there is one
    pixels       values of one patch, or taps x channels of a convolution's window
    taps         taps of a depthwise convolution
    squeeze      bottleneck of squeeze-and-excitation
    experts      experts of a mixture, each with arrays of its own
    expert_embed, expert_mlp
                 widths of an expert; the mesh axis `expert` divides the experts instead
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct
from flax.core import meta
from jax import Array

from mm15_jax.model.remat import check_policy, policy_of

# Without rematerialisation a loop copies what each layer keeps for the backward pass into stacked
# arrays and out again, a tenth of a small model's step on CPU. Parameters stay stacked.
UNROLLED_LAYERS = 4


@dataclasses.dataclass(frozen=True)
class Initializer:
    """How a parameter starts: the function, and the same in words for golden tests."""

    text: str
    function: Callable[[Array, tuple[int, ...]], Array]


def normal(stddev: float) -> Initializer:
    """Normal with mean 0."""
    return Initializer(
        f"normal(stddev={stddev:.6g})",
        lambda key, shape: stddev * jax.random.normal(key, shape, jnp.float32),
    )


def fan_in(size: int, residual_layers: int = 0) -> Initializer:
    """Normal with stddev 1 / sqrt(size), which keeps the scale of unit inputs.

    Args:
        size: Inputs that one output sums over.
        residual_layers: If not 0, the layers of the residual stream this parameter writes to, two
            writes a layer: divides by sqrt(2 residual_layers), so that the stream's variance does
            not grow with depth (GPT-2).
    """
    branches = 2 * residual_layers if residual_layers else 1
    return normal(1.0 / math.sqrt(size * branches))


ZEROS = Initializer("zeros", lambda key, shape: jnp.zeros(shape, jnp.float32))
ONES = Initializer("ones", lambda key, shape: jnp.ones(shape, jnp.float32))


class Box(struct.PyTreeNode, meta.AxisMetadata):
    """A parameter with its logical axes and the text of its initializer."""

    value: Any
    axes: tuple[str | None, ...] = struct.field(pytree_node=False)
    initializer: str = struct.field(pytree_node=False)

    def unbox(self) -> Any:
        """The bare parameter."""
        return self.value

    def replace_boxed(self, value: Any) -> Box:
        """The same box around another value."""
        return self.replace(value=value)

    def add_axis(self, index: int, params: dict[Any, Any]) -> Box:
        """The box of stacked layers: names the axis that a scan puts in front."""
        name = params[meta.PARTITION_NAME]
        return self.replace(axes=(*self.axes[:index], name, *self.axes[index:]))

    def remove_axis(self, index: int, params: dict[Any, Any]) -> Box:
        """The box of one layer; undoes `add_axis`."""
        assert self.axes[index] == params[meta.PARTITION_NAME]
        return self.replace(axes=(*self.axes[:index], *self.axes[index + 1 :]))


def declare(
    module: nn.Module,
    name: str,
    shape: tuple[int, ...],
    axes: tuple[str | None, ...],
    initializer: Initializer,
) -> Array:
    """Declares a float32 parameter of a module and returns its value, unboxed."""
    assert len(shape) == len(axes), (name, shape, axes)
    return module.param(
        name, lambda key: Box(initializer.function(key, shape), axes, initializer.text)
    )


def scanned(layer: type[nn.Module], *, length: int, remat: str, in_axes: tuple) -> type[nn.Module]:
    """Scans a layer over its parameters' leading axis, rematerialised if asked.

    Args:
        layer: A module whose call maps (carry, *inputs) to (carry, output).
        length: Number of layers.
        remat: Name of a policy of `model.remat`: what a layer keeps for the backward pass.
        in_axes: For each input after the carry, 0 (one slice a layer) or `nn.broadcast`.

    Raises:
        ValueError: If there is no such policy.
    """
    return scanned_as_is(
        rematerialised(layer, remat),
        length=length,
        unroll=unrolls(length, remat),
        in_axes=in_axes,
    )


def unrolls(length: int, remat: str) -> bool:
    """Whether a loop over so many layers is written out; see UNROLLED_LAYERS."""
    return remat == "none" and length <= UNROLLED_LAYERS


def scanned_as_is(
    layer: type[nn.Module], *, length: int, unroll: bool, in_axes: tuple
) -> type[nn.Module]:
    """`scanned` for a module that rematerialises its own parts."""
    return nn.scan(
        layer,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=in_axes,
        length=length,
        unroll=length if unroll else 1,
        metadata_params={meta.PARTITION_NAME: "layers"},
    )


def rematerialised(layer: type[nn.Module], remat: str, *, in_scan: bool = True) -> type[nn.Module]:
    """A module that keeps for the backward pass what the policy `remat` says, and its inputs.

    Raises:
        ValueError: If there is no such policy.
    """
    check_policy(remat)
    if remat == "none":
        return layer
    # A scan already keeps XLA from merging the recomputation with the first computation.
    return nn.remat(layer, prevent_cse=not in_scan, policy=policy_of(remat))
