"""Connector: from patch features to the decoder's image tokens.

C-Abstractor of Honeybee (Cha et al. 2023, `honeybee/projectors/projectors.py`), whose blocks are
timm's RegNet bottlenecks: stage of `depth` blocks, adaptive average pooling to a square of
tokens, another stage, two linear layers.

Legend: n tiles, P patches, T tokens of a tile, D decoder width.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mm15_jax.config.schema import ModelConfig
from mm15_jax.model import params as p
from mm15_jax.model.convolution import adaptive_average_pool, depthwise_conv3x3
from mm15_jax.model.layers import LayerNorm, Linear

NORM_EPS = 1e-5  # timm's LayerNormAct2d


class DepthwiseConv(nn.Module):
    """See `depthwise_conv3x3`."""

    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[n, h, w, channels] -> the same shape."""
        kernel = p.declare(self, "kernel", (9, self.channels), ("taps", "mlp"), p.fan_in(9))
        return depthwise_conv3x3(x, kernel)


class SqueezeExcite(nn.Module):
    """Channel gates from the mean over the grid (Hu et al. 2018)."""

    channels: int
    squeeze: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[n, h, w, channels] -> the same shape."""
        mean = jnp.mean(x, axis=(1, 2), dtype=jnp.float32).astype(x.dtype)
        y = Linear(self.channels, self.squeeze, ("mlp", "squeeze"), name="down")(mean)
        y = Linear(self.squeeze, self.channels, ("squeeze", "mlp"), name="up")(jax.nn.silu(y))
        return x * jax.nn.sigmoid(y)[:, None, None, :]


class RegBlock(nn.Module):
    """timm 0.9.8's Bottleneck with depthwise groups, SiLU and channel LayerNorm."""

    channels_in: int
    channels_out: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[n, h, w, channels_in] -> [n, h, w, channels_out]."""
        c_in, c_out = self.channels_in, self.channels_out

        def pointwise(size_in: int, axes: tuple[str | None, str], name: str) -> Linear:
            return Linear(size_in, c_out, axes, use_bias=False, name=name)

        def norm(name: str, axis: str, scale: p.Initializer = p.ONES) -> LayerNorm:
            return LayerNorm(c_out, NORM_EPS, axis, scale, name=name)

        y = pointwise(c_in, ("embed", "mlp"), "conv1")(x)
        y = jax.nn.silu(norm("norm1", "mlp")(y))
        y = jax.nn.silu(norm("norm2", "mlp")(DepthwiseConv(c_out, name="conv2")(y)))
        # timm: a quarter of the block's INPUT channels, unlike most squeeze-and-excitation.
        y = SqueezeExcite(c_out, round(0.25 * c_in), name="se")(y)
        # From zero, as timm's RegNet starts: a block is its shortcut first, so that what the
        # encoder knows reaches the decoder from the first step.
        y = norm("norm3", "embed", p.ZEROS)(pointwise(c_out, ("mlp", "embed"), "conv3")(y))
        if c_in != c_out:
            x = pointwise(c_in, (None, "embed"), "shortcut")(x)
            x = norm("shortcut_norm", "embed")(x)
        return jax.nn.silu(x + y)


class Connector(nn.Module):
    """C-Abstractor, or one linear map a patch."""

    config: ModelConfig

    @nn.compact
    def __call__(self, features: Array) -> Array:
        """[n, P, encoder width] -> [n, T, D]; T is P for kind "linear"."""
        c, width = self.config.connector, self.config.encoder.width
        out = self.config.decoder.width
        if c.kind == "linear":
            return Linear(width, out, (None, "embed"), name="linear")(features)
        n, P, _ = features.shape
        grid = math.isqrt(P)
        table = p.declare(
            self, "position_table", (P, width), ("positions", "embed"), p.normal(0.02)
        )
        x = (features + table.astype(features.dtype)).reshape(n, grid, grid, width)
        block = p.rematerialised(RegBlock, self.config.encoder.remat, in_scan=False)
        for i in range(c.depth):
            x = block(width if i == 0 else c.hidden, c.hidden, name=f"stage1_block{i}")(x)
        x = adaptive_average_pool(x, math.isqrt(c.tokens))
        for i in range(c.depth):
            x = block(c.hidden, c.hidden, name=f"stage2_block{i}")(x)
        x = x.reshape(n, c.tokens, c.hidden)
        x = jax.nn.silu(Linear(c.hidden, out, ("embed", "mlp"), name="linear1")(x))
        return Linear(out, out, ("mlp", "embed"), name="linear2")(x)


def tokens_per_tile(config: ModelConfig) -> int:
    """T: image tokens that one tile takes in the sequence."""
    return config.encoder.grid**2 if config.connector.kind == "linear" else config.connector.tokens
