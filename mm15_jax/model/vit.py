"""Image encoder: CLIP's vision transformer (Radford et al. 2021), over square tiles.

Legend: n tiles, r resolution, P patches of a tile, W width.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from mm15_jax.config.schema import EncoderConfig
from mm15_jax.model import params as p
from mm15_jax.model.attention import attention, attention_with_token
from mm15_jax.model.convolution import halving_conv3x3
from mm15_jax.model.layers import LayerNorm, Linear, activation, made_whole
from mm15_jax.model.remat import saveable
from mm15_jax.parallel.rules import constrain

# Per channel, of pixels scaled to 0..1 (OpenAI's CLIP).
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def normalize(pixels: Array, dtype: jnp.dtype) -> Array:
    """uint8[..., 3] to zero mean and unit variance by CLIP's constants."""
    scale = jnp.asarray([1 / (255 * std) for std in CLIP_STD], jnp.float32)
    shift = jnp.asarray(
        [mean / std for mean, std in zip(CLIP_MEAN, CLIP_STD, strict=True)], jnp.float32
    )
    return (pixels.astype(jnp.float32) * scale - shift).astype(dtype)


def patches_of(tiles: Array, patch_size: int) -> Array:
    """[n, r, r, c] -> [n, P, patch_size^2 c], patches and their pixels in row-major order."""
    n, r, _, c = tiles.shape
    g = r // patch_size
    blocks = tiles.reshape(n, g, patch_size, g, patch_size, c).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(n, g * g, patch_size * patch_size * c)


class HalvingConv(nn.Module):
    """See `halving_conv3x3`."""

    channels_in: int
    channels_out: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[n, h, w, channels_in] -> [n, h / 2, w / 2, channels_out]."""
        size = 9 * self.channels_in
        kernel = p.declare(
            self, "kernel", (size, self.channels_out), ("pixels", "mlp"), p.fan_in(size)
        )
        bias = p.declare(self, "bias", (self.channels_out,), ("mlp",), p.ZEROS)
        return halving_conv3x3(x, kernel, bias)


class ConvStem(nn.Module):
    """3x3 stride-2 convolutions with GELU between, then a linear map (Xiao et al. 2021)."""

    config: EncoderConfig

    @nn.compact
    def __call__(self, pixels: Array) -> Array:
        """[n, r, r, 3] -> [n, P, W]."""
        channels = (3, *self.config.stem_channels, self.config.width)
        x = pixels
        for i, (c_in, c_out) in enumerate(itertools.pairwise(channels)):
            x = jax.nn.gelu(HalvingConv(c_in, c_out, name=f"conv{i}")(x), approximate=False)
        x = x.reshape(x.shape[0], -1, self.config.width)
        return Linear(
            self.config.width, self.config.width, (None, "embed"), use_bias=False, name="linear"
        )(x)


class Streams(NamedTuple):
    """What the layers pass on: the patches, and the class token where there is one.

    Apart, because 48 x 48 patches fill the tiles and blocks of a TPU, and one more does not.
    """

    patches: Array  # [n, P, W]
    token: Array | None  # [n, 1, W]


class EncoderAttention(nn.Module):
    """Bidirectional self-attention with biases."""

    config: EncoderConfig

    @nn.compact
    def __call__(self, x: Streams) -> Streams:
        """[n, P, W] and [n, 1, W] -> the same shapes."""
        c = self.config
        split = (c.heads, c.width // c.heads)
        into = []
        for name in ("q", "k", "v"):
            linear = Linear(c.width, c.width, ("embed", "heads"), split_out=split, name=name)
            into.append(jax.tree.map(lambda y, f=linear: saveable(f(y), "qkv"), x))
        patches, tokens = zip(*into, strict=True)
        if x.token is None:
            out = Streams(attention(*patches, rows="tiles"), None)
        else:
            out = Streams(*attention_with_token(patches, tokens, rows="tiles"))
        down = p.fan_in(c.width, c.layers)
        linear = Linear(
            c.width, c.width, ("heads", "embed"), initializer=down, split_in=split, name="o"
        )
        return jax.tree.map(linear, out)


class EncoderLayer(nn.Module):
    """Pre-LN transformer block."""

    config: EncoderConfig

    @nn.compact
    def __call__(self, x: Streams) -> tuple[Streams, None]:
        """[n, P, W] and [n, 1, W] -> the same; the second output is what `nn.scan` would stack."""
        c = self.config
        norm1 = LayerNorm(c.width, c.norm_eps, name="norm1")
        norm2 = LayerNorm(c.width, c.norm_eps, name="norm2")
        up = Linear(c.width, c.mlp_width, ("embed", "mlp"), name="up")
        down = Linear(
            c.mlp_width,
            c.width,
            ("mlp", "embed"),
            initializer=p.fan_in(c.mlp_width, c.layers),
            name="down",
        )
        attended = EncoderAttention(c, name="attention")(jax.tree.map(norm1, x))
        x = jax.tree.map(lambda x, y: saveable(x + y, "residual"), x, attended)

        def mlp(x: Array) -> Array:
            y = saveable(up(norm2(x)), "hidden")
            return x + down(activation(c.activation)(made_whole(y)))

        return jax.tree.map(mlp, x), None


class Encoder(nn.Module):
    """The vision transformer; its last layer's patch features go to the connector."""

    config: EncoderConfig
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, tiles: Array, *, clip_output: bool = False) -> Array:
        """Encodes tiles.

        Args:
            tiles: uint8[n, r, r, 3].
            clip_output: Whether to return what CLIP itself uses: post-LN applied, class token
                kept. The connector's features are before the post-LN (Honeybee).

        Returns:
            dtype[n, P, W], or with clip_output and a class token [n, 1 + P, W].
        """
        c = self.config
        if c.stem == "conv":
            x = ConvStem(c, name="stem")(normalize(tiles, self.dtype))
        else:
            patches = normalize_patches(patches_of(tiles, c.patch_size), self.dtype)
            size = c.patch_size**2 * 3
            x = Linear(size, c.width, ("pixels", "embed"), use_bias=False, name="stem")(patches)
        small = p.normal(c.width**-0.5)
        places = c.grid**2 + c.class_token
        token = None
        if c.class_token:
            token = p.declare(self, "class_token", (c.width,), ("embed",), small)
            token = jnp.broadcast_to(token.astype(self.dtype), (x.shape[0], 1, c.width))
        table = p.declare(self, "position_table", (places, c.width), ("positions", "embed"), small)
        table = table.astype(self.dtype)
        x = Streams(x + table[c.class_token :], None if token is None else token + table[:1])
        x = jax.tree.map(lambda y: constrain(y, ("tiles", None, "act_embed")), x)
        x = jax.tree.map(LayerNorm(c.width, c.norm_eps, name="pre_norm"), x)
        layers = p.scanned(EncoderLayer, length=c.layers, remat=c.remat, in_axes=())
        x, _ = layers(c, name="layers")(x)
        # Declared in any case: the parameters of a CLIP checkpoint are kept as a whole.
        normed = jax.tree.map(LayerNorm(c.width, c.norm_eps, name="post_norm"), x)
        if not clip_output:
            return x.patches
        if normed.token is None:
            return normed.patches
        return jnp.concatenate([normed.token, normed.patches], axis=1)


def normalize_patches(patches: Array, dtype: jnp.dtype) -> Array:
    """`normalize` of flattened patches uint8[n, P, pixels x 3]."""
    n, P, size = patches.shape
    return normalize(patches.reshape(n, P, size // 3, 3), dtype).reshape(n, P, size)
