"""Convolutions and pooling against XLA's own convolution and numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mm15_jax.model.convolution import (
    adaptive_average_pool,
    depthwise_conv3x3,
    halving_conv3x3,
    pooling_matrix,
)

LAYOUT = ("NHWC", "HWIO", "NHWC")


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("height, width", [(8, 8), (4, 10)])
def test_halving_convolution_equals_xlas(height, width):
    x, kernel, bias = draw(0, 2, height, width, 3), draw(1, 27, 5), draw(2, 5)

    def xlas(x, kernel, bias):
        kernel = kernel.reshape(3, 3, 3, 5)
        pads = ((1, 1), (1, 1))
        out = jax.lax.conv_general_dilated(x, kernel, (2, 2), pads, dimension_numbers=LAYOUT)
        return out + bias

    assert_same_function(halving_conv3x3, xlas, x, kernel, bias)


@pytest.mark.parametrize("height, width", [(6, 6), (1, 3), (5, 2)])
def test_depthwise_convolution_equals_xlas(height, width):
    def xlas(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel.reshape(3, 3, 1, 4),
            (1, 1),
            "SAME",
            dimension_numbers=LAYOUT,
            feature_group_count=4,
        )

    assert_same_function(depthwise_conv3x3, xlas, draw(0, 2, height, width, 4), draw(1, 9, 4))


def test_gradients_in_bfloat16_are_summed_in_float32():
    x = np.abs(draw(0, 4, 64, 64, 3))  # of one sign: a sum in bfloat16 stands still at 256 or so
    kernel, matrix, bias = draw(1, 9, 3), draw(2, 27, 2), draw(3, 2)

    def gradients(dtype):
        def total(kernel, bias):
            convolved = depthwise_conv3x3(x.astype(dtype), kernel)
            halved = halving_conv3x3(x.astype(dtype), matrix, bias)
            return jnp.sum(convolved.astype(jnp.float32)) + jnp.sum(halved.astype(jnp.float32))

        return jax.grad(total, argnums=(0, 1))(kernel, bias)

    for found, wanted in zip(gradients(jnp.bfloat16), gradients(jnp.float32), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0.005)


def assert_same_function(ours, theirs, *args):
    """Same values and same gradients."""
    np.testing.assert_allclose(ours(*args), theirs(*args), atol=1e-5)
    places = tuple(range(len(args)))
    grads = [
        jax.grad(lambda *a, f=f: jnp.sum(f(*a) ** 2), argnums=places)(*args) for f in (ours, theirs)
    ]
    for mine, other in zip(*grads, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "size_in, size_out", [(27, 12), (48, 9), (48, 12), (27, 9), (6, 4), (3, 5)]
)
def test_pooling_windows_cover_everything_and_average(size_in, size_out):
    matrix = pooling_matrix(size_in, size_out)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)
    assert np.all(matrix.sum(axis=0) > 0)
    if size_in % size_out == 0:
        assert np.all((matrix > 0).sum(axis=0) == 1)


def test_pooling_27_to_12_overlaps_as_torch_does():
    """27 * i / 12 = 2.25 i: windows 0-3, 2-5, 4-7, 6-9, then again from 9."""
    windows = [np.flatnonzero(row).tolist() for row in pooling_matrix(27, 12)[:5]]
    assert windows == [[0, 1, 2], [2, 3, 4], [4, 5, 6], [6, 7, 8], [9, 10, 11]]


def test_exact_pooling_is_the_mean_of_blocks():
    x = draw(0, 2, 6, 6, 3)
    expected = x.reshape(2, 3, 2, 3, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(adaptive_average_pool(jnp.asarray(x), 3), expected, atol=1e-6)
