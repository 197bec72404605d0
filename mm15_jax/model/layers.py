"""Small layers that encoder, connector and decoder share: matmul, norms, activations.

Parameters are float32 and are cast to the compute dtype where they are used; norms compute in
float32 and return the compute dtype.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mm15_jax.model import params as p
from mm15_jax.parallel.rules import gathered, platform_in_force


def linear(
    x: Array,
    kernel: Array,
    bias: Array | None = None,
    *,
    split_in: tuple[int, ...] = (),
    split_out: tuple[int, ...] = (),
) -> Array:
    """X [..., in] @ kernel [in, out] + bias [out], in x's dtype.

    With split_in x is [..., *split_in], with split_out the result is [..., *split_out], such as
    (heads, head_dim). The kernel is split, not the activations: a TPU lays those out in tiles, and
    would copy them.
    """
    split_in, split_out = split_in or kernel.shape[:1], split_out or kernel.shape[1:]
    kernel = kernel.astype(x.dtype).reshape(*split_in, *split_out)
    y = jnp.tensordot(x, kernel, axes=len(split_in))
    return y if bias is None else add_bias(y, bias.reshape(split_out))


def add_bias(x: Array, bias: Array) -> Array:
    """X [..., out] + bias float32[out], in x's dtype.

    Added in float32, so that the bias's gradient, a sum over all rows, is: in bfloat16 a sum of
    thousands of equal signs stands still, and was 25% off (tests/model/test_layers.py).
    """
    return (x.astype(jnp.float32) + bias).astype(x.dtype)


def layer_norm(x: Array, scale: Array, bias: Array, eps: float) -> Array:
    """LayerNorm over the last axis, in float32, returned in x's dtype."""
    x32 = x.astype(jnp.float32)
    centred = x32 - jnp.mean(x32, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    return (centred * jax.lax.rsqrt(variance + eps) * scale + bias).astype(x.dtype)


def rms_norm(x: Array, scale: Array, eps: float) -> Array:
    """RMSNorm over the last axis, in float32, returned in x's dtype."""
    x32 = x.astype(jnp.float32)
    mean_square = jnp.mean(jnp.square(x32), axis=-1, keepdims=True)
    return (x32 * jax.lax.rsqrt(mean_square + eps) * scale).astype(x.dtype)


def quick_gelu(x: Array) -> Array:
    """CLIP's approximation of GELU: x sigmoid(1.702 x)."""
    return x * jax.nn.sigmoid(1.702 * x)


@jax.custom_vjp
def made_whole(x: Array) -> Array:
    """`x`, which on a TPU is made before what uses it is begun: a barrier, forward alone.

    XLA fuses two matmuls with only an activation between them, and then takes twice as long for
    the pair. In the backward pass it does not, and there a barrier would keep sums apart.
    """
    return jax.lax.optimization_barrier(x) if platform_in_force() == "tpu" else x


made_whole.defvjp(lambda x: (made_whole(x), None), lambda _, gradient: (gradient,))


ACTIVATIONS = {
    "quick_gelu": quick_gelu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
}


def activation(name: str):
    """The activation function of a name.

    Raises:
        ValueError: If there is no such activation.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation is {name!r}, expected one of {sorted(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class Linear(nn.Module):
    """A matmul over the last axis, or axes; see `linear`. `axes` name (in, out)."""

    size_in: int
    size_out: int
    axes: tuple[str | None, str | None]
    use_bias: bool = True
    initializer: p.Initializer | None = None  # None: normal, stddev 1 / sqrt(size_in)
    split_in: tuple[int, ...] = ()
    split_out: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., size_in] -> [..., size_out], either split."""
        initializer = self.initializer or p.fan_in(self.size_in)
        kernel = p.declare(self, "kernel", (self.size_in, self.size_out), self.axes, initializer)
        bias = None
        if self.use_bias:
            bias = p.declare(self, "bias", (self.size_out,), self.axes[1:], p.ZEROS)
        kernel = gathered(kernel, self.axes, x.dtype)
        return linear(x, kernel, bias, split_in=self.split_in, split_out=self.split_out)


class LayerNorm(nn.Module):
    """See `layer_norm`."""

    size: int
    eps: float
    axis: str | None = "embed"
    scale: p.Initializer = p.ONES

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., size] -> the same shape."""
        scale = p.declare(self, "scale", (self.size,), (self.axis,), self.scale)
        bias = p.declare(self, "bias", (self.size,), (self.axis,), p.ZEROS)
        return layer_norm(x, scale, bias, self.eps)


class RMSNorm(nn.Module):
    """See `rms_norm`."""

    size: int
    eps: float
    axis: str | None = "embed"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., size] -> the same shape."""
        scale = p.declare(self, "scale", (self.size,), (self.axis,), p.ONES)
        return rms_norm(x, scale, self.eps)
