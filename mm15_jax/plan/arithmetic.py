"""FLOPs and bytes of a step by arithmetic alone: what the model needs, whatever the program does.

A FLOP count is of matmuls: 2 for each multiply-add. Nothing is counted twice for being recomputed.
A backward pass costs twice its forward pass. Causal attention is counted by the triangle that a
query can see in an unpacked row; padded places of a row and empty tile slots are counted in full,
since shapes are static.

Legend: P patches of a tile, W encoder width, S sequence or patches with the class token, D decoder
width, F FFN width, H query heads, K key/value heads, h head dim, E experts, V vocabulary, T vision
tokens of a tile, r resolution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mm15_jax.config.schema import (
    ConnectorConfig,
    DecoderConfig,
    EncoderConfig,
    ExperimentConfig,
)

BACKWARD = 2  # FLOPs of a backward pass for each of its forward pass: dx and dW


@dataclass(frozen=True)
class ForwardFlops:
    """FLOPs of one forward pass over a global batch, by part."""

    encoder: int  # without attention's scores
    encoder_attention: int
    connector: int
    decoder: int  # without attention's scores and the output
    decoder_attention: int
    output: int  # hidden states to logits

    @property
    def total(self) -> int:
        """Of the forward pass."""
        return self.vision + self.language

    @property
    def vision(self) -> int:
        """Of encoder and connector."""
        return self.encoder + self.encoder_attention + self.connector

    @property
    def language(self) -> int:
        """Of decoder and output."""
        return self.decoder + self.decoder_attention + self.output

    @property
    def attention(self) -> int:
        """Of scores and weighted sums, which custom kernels compute."""
        return self.encoder_attention + self.decoder_attention

    @property
    def step(self) -> int:
        """Of a whole step: forward and backward."""
        return (1 + BACKWARD) * self.total


def encoder_places(config: EncoderConfig) -> int:
    """S: patches of a tile, with the class token where there is one."""
    return config.grid**2 + config.class_token


def encoder_flops(config: EncoderConfig) -> int:
    """Of one tile, without attention's scores."""
    P, S, W = config.grid**2, encoder_places(config), config.width
    if config.stem == "conv":
        channels = (3, *config.stem_channels, W)
        stem = 2 * P * W * W
        for i in range(len(channels) - 1):
            side = config.resolution // 2 ** (i + 1)
            stem += 2 * side**2 * 9 * channels[i] * channels[i + 1]
    else:
        stem = 2 * P * config.patch_size**2 * 3 * W
    return stem + config.layers * 2 * S * (4 * W * W + 2 * W * config.mlp_width)


def encoder_attention_flops(config: EncoderConfig) -> int:
    """Of one tile: scores and weighted sums over all places."""
    return config.layers * 4 * encoder_places(config) ** 2 * config.width


def connector_flops(config: ConnectorConfig, encoder: EncoderConfig, width_out: int) -> int:
    """Of one tile; depthwise convolutions are no matmuls. Pooling is: two small ones."""
    P, W, c, D = encoder.grid**2, encoder.width, config.hidden, width_out
    if config.kind == "linear":
        return 2 * P * W * D

    def block(places: int, c_in: int) -> int:
        squeeze = round(0.25 * c_in)
        pointwise = c_in * c + c * c + (c_in * c if c_in != c else 0)
        return 2 * places * pointwise + 2 * 2 * c * squeeze

    side = math.isqrt(config.tokens)
    first = sum(block(P, W if i == 0 else c) for i in range(config.depth))
    pooled_from = c if config.depth else W
    pool = 2 * pooled_from * side * (encoder.grid**2 + side * encoder.grid)
    second = config.depth * block(config.tokens, c)
    return first + pool + second + 2 * config.tokens * (c * D + D * D)


def moe_layers(config: DecoderConfig) -> int:
    """Layers whose FFN is a mixture of experts."""
    return config.layers // config.moe.every if config.moe.experts else 0


def decoder_flops(config: DecoderConfig) -> int:
    """Of one token through all layers, without attention's scores and the output."""
    D, h = config.width, config.head_dim
    attention = 2 * D * h * (2 * config.heads + 2 * config.kv_heads)
    ffn = 2 * 3 * D * config.ffn_width
    sparse = moe_layers(config)
    flops = config.layers * attention + (config.layers - sparse) * ffn
    if sparse:
        flops += sparse * (config.moe.top_k * ffn + 2 * D * config.moe.experts)
    return flops


def decoder_attention_flops(config: DecoderConfig, sequence: int) -> int:
    """Of one row: the causal triangle."""
    seen = sequence * (sequence + 1) // 2
    return config.layers * 4 * seen * config.heads * config.head_dim


def forward_flops(config: ExperimentConfig) -> ForwardFlops:
    """Of one forward pass over the global batch."""
    rows, S = config.train.batch_rows, config.inputs.sequence_length
    tiles = rows * config.inputs.tiles_per_row
    encoder, decoder = config.model.encoder, config.model.decoder
    return ForwardFlops(
        encoder=tiles * encoder_flops(encoder),
        encoder_attention=tiles * encoder_attention_flops(encoder),
        connector=tiles * connector_flops(config.model.connector, encoder, decoder.width),
        decoder=rows * S * decoder_flops(decoder),
        decoder_attention=rows * decoder_attention_flops(decoder, S),
        output=rows * S * 2 * decoder.vocab_size * decoder.width,
    )


def tokens_per_step(config: ExperimentConfig) -> int:
    """Places of the decoder's rows, padding included."""
    return config.train.batch_rows * config.inputs.sequence_length


def attention_passes(policy: str) -> int:
    """How often a program computes attention's forward pass: again where a layer is recomputed.

    Every policy but "full" keeps attention's output and log-sum-exp.
    """
    return 2 if policy == "full" else 1


def bytes_per_device(tree: Any) -> int:
    """Of the arrays of an abstract tree with shardings, on one device.

    Args:
        tree: `jax.ShapeDtypeStruct` leaves; a leaf without a sharding is whole on every device.
    """
    import jax

    total = 0
    for leaf in jax.tree.leaves(tree):
        sharding = getattr(leaf, "sharding", None)
        shape = leaf.shape if sharding is None else sharding.shard_shape(leaf.shape)
        total += math.prod(shape) * leaf.dtype.itemsize
    return total
