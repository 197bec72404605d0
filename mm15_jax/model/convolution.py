"""Convolutions and pooling over NHWC grids, written as matmuls and shifted sums.

XLA for CPU runs the backward pass of `lax.conv_general_dilated` many times slower than these
forms, and grouped convolutions worst of all; on TPU they map to the same units.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp
import numpy as np
from jax import Array

from mm15_jax.model.layers import add_bias


def halving_conv3x3(x_nhwc: Array, kernel: Array, bias: Array) -> Array:
    """3x3 convolution with stride 2 and padding 1, as torch's Conv2d(c, d, 3, 2, 1).

    Args:
        x_nhwc: [n, h, w, c], h and w even.
        kernel: [9 c, d], taps in row-major order, channels fastest.
        bias: [d].

    Returns:
        [n, h / 2, w / 2, d].
    """
    _, h, w, _ = x_nhwc.shape
    assert h % 2 == 0 and w % 2 == 0, (h, w)
    padded = jnp.pad(x_nhwc, ((0, 0), (1, 0), (1, 0), (0, 0)))
    taps = [padded[:, i : i + h : 2, j : j + w : 2] for i in range(3) for j in range(3)]
    windows = jnp.concatenate(taps, axis=-1)
    return add_bias(jnp.matmul(windows, kernel.astype(x_nhwc.dtype)), bias)


def depthwise_conv3x3(x_nhwc: Array, kernel_9c: Array) -> Array:
    """3x3 depthwise convolution, stride 1, padding 1, no bias; taps in row-major order.

    Args:
        x_nhwc: [n, h, w, c].
        kernel_9c: float32[9, c].

    Returns:
        [n, h, w, c] in x's dtype, summed in float32, and so is the kernel's gradient.
    """
    _, h, w, _ = x_nhwc.shape
    padded = jnp.pad(x_nhwc, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [
        padded[:, i : i + h, j : j + w].astype(jnp.float32) * kernel_9c[3 * i + j]
        for i in range(3)
        for j in range(3)
    ]
    return sum(taps[1:], taps[0]).astype(x_nhwc.dtype)


@functools.cache
def pooling_matrix(size_in: int, size_out: int) -> np.ndarray:
    """float32[size_out, size_in]: torch's adaptive average pooling along one axis.

    Window i is floor(i in / out) .. ceil((i + 1) in / out); windows overlap where out does not
    divide in.
    """
    matrix = np.zeros((size_out, size_in), np.float32)
    for i in range(size_out):
        start = i * size_in // size_out
        stop = -(-(i + 1) * size_in // size_out)
        matrix[i, start:stop] = 1.0 / (stop - start)
    return matrix


def adaptive_average_pool(x_nhwc: Array, size: int) -> Array:
    """torch.nn.AdaptiveAvgPool2d((size, size)): [n, h, w, c] -> [n, size, size, c]."""
    _, h, w, _ = x_nhwc.shape
    rows = jnp.asarray(pooling_matrix(h, size), x_nhwc.dtype)
    columns = jnp.asarray(pooling_matrix(w, size), x_nhwc.dtype)
    x = jnp.einsum("nhwc,ph->npwc", x_nhwc, rows)
    return jnp.einsum("npwc,qw->npqc", x, columns)
