"""Memory and time of a step by arithmetic: rough, and quick enough to prune a search by.

Arguments of the step are exact, activations are what each remat policy keeps plus the widest layer.
A compiled program decides in the end.

Legend: as in `plan.arithmetic`; t tokens and n tiles of a device that run at once.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from mm15_jax.config.schema import (
    DecoderConfig,
    EncoderConfig,
    ExperimentConfig,
    MeshConfig,
    ModelConfig,
    replace_nested,
)
from mm15_jax.plan import arithmetic
from mm15_jax.plan.topology import Topology

BF16, F32 = 2, 4
# Forward FLOPs that a policy computes again, as a share of the forward pass's matmuls; attention's
# scores are `arithmetic.attention_passes`.
_RECOMPUTED = {"full": 1.0, "offload_context": 1.0, "context": 1.0, "attention": 0.75}


@dataclass(frozen=True)
class Estimate:
    """Of one device, bytes; seconds of a step."""

    arguments: int
    temp: int
    compute: float
    interconnect: float

    @property
    def memory(self) -> int:
        """All of it."""
        return self.arguments + self.temp

    @property
    def seconds(self) -> float:
        """Of the resource that binds."""
        return max(self.compute, self.interconnect)


def row_ways(mesh: MeshConfig) -> int:
    """Devices that the batch's rows are divided over."""
    return mesh.slice * mesh.data * mesh.fsdp * mesh.expert


@functools.lru_cache(maxsize=64)
def _parameters(model: ModelConfig) -> tuple[tuple[tuple[int, ...], tuple[str | None, ...]], ...]:
    from mm15_jax.model.mllm import describe_parameters

    return tuple((shape, axes) for _, shape, axes, _ in describe_parameters(model))


def parameter_bytes(model: ModelConfig, mesh: MeshConfig) -> int:
    """float32 parameters of one device."""
    plain: dict[str, object] = {
        "encoder.remat": "full",
        "decoder.remat": "full",
    }  # one entry of the cache for all
    return _parameter_bytes(replace_nested(model, plain), mesh)


@functools.lru_cache(maxsize=4096)
def _parameter_bytes(model: ModelConfig, mesh: MeshConfig) -> int:
    from jax.sharding import AbstractMesh

    from mm15_jax.parallel.rules import MESH_AXES, rules_of

    rules = rules_of(mesh.strategy)
    abstract = AbstractMesh(tuple(getattr(mesh, axis) for axis in MESH_AXES), MESH_AXES)
    total = 0
    for shape, axes in _parameters(model):
        total += math.prod(rules.parameter(abstract, axes, shape).shard_shape(shape))
    return total * F32


def optimizer_bytes(config: ExperimentConfig, parameters: int) -> int:
    """Of one device, from its bytes of parameters; AdaFactor's means over axes are left out."""
    rule = config.optimizer
    if rule.offload:
        return 0  # but while parameters are updated, when activations are gone
    copies = {"adamw": 2, "muon": 1, "adafactor": 1 if rule.b1 else 0}[rule.name]
    return copies * parameters


def decoder_kept(config: DecoderConfig, policy: str, tensor: int) -> float:
    """Bytes that a layer keeps of one token for the backward pass, on average over layers."""
    D, h, F = config.width, config.head_dim, config.ffn_width / tensor
    heads, kv_heads = config.heads * h / tensor, config.kv_heads * h / tensor
    qkv = heads + 2 * kv_heads
    # Shares of layers with an MLP, and places in boxes of experts for each token.
    moe = config.moe
    dense, boxes = 1.0, 0.0
    if moe.experts:
        dense, boxes = 1 - 1 / moe.every, moe.top_k * moe.capacity_factor / moe.every
    # What JAX saves: a norm's input, two products of it in float32, and its output; of an MLP each
    # step of silu; of experts their weighted products in float32 too.
    all_of_it = (
        (heads + 7 * (heads + kv_heads) + kv_heads + 14 * D) + 6 * F * dense + (9 * F + D) * boxes
    )
    kept = {
        "full": 0.0,
        "offload_context": 0.0,
        "context": heads,
        "attention": heads + qkv + D,
        "matmuls": heads + qkv + D + 2 * F * (dense + boxes) + D * boxes,
        "activations": all_of_it,
        "none": all_of_it,
    }
    return BF16 * (D + kept[policy])


def encoder_kept(config: EncoderConfig, policy: str, tensor: int) -> float:
    """Bytes that a layer keeps of one place of one tile for the backward pass."""
    W, hidden = config.width, config.mlp_width / tensor
    all_of_it = 4 * W / tensor + 15 * W + 4 * hidden  # as in `decoder_kept`
    kept = {
        "full": 0.0,
        "offload_context": 0.0,
        "context": W / tensor,
        "attention": 4 * W / tensor + W,
        "matmuls": 4 * W / tensor + W + hidden,
        "activations": all_of_it,
        "none": all_of_it,
    }
    return BF16 * (W + kept[policy])


def estimate(config: ExperimentConfig, topology: Topology) -> Estimate:
    """Of an experiment whose mesh fits the topology."""
    mesh, model = config.mesh, config.model
    parameters = parameter_bytes(model, mesh)
    batch = _batch_bytes(config)
    arguments = parameters + optimizer_bytes(config, parameters) + batch // row_ways(mesh)
    compute = _compute_seconds(config, topology)
    return Estimate(
        arguments, _temp_bytes(config, parameters), compute, _wire_seconds(config, topology)
    )


def _batch_bytes(config: ExperimentConfig) -> int:
    """Of the global batch: six int32 or float32 a token, uint8 pixels."""
    tokens = arithmetic.tokens_per_step(config)
    tiles = config.train.batch_rows * config.inputs.tiles_per_row
    return 6 * F32 * tokens + tiles * config.model.encoder.resolution**2 * 3


def _temp_bytes(config: ExperimentConfig, parameters: int) -> int:
    mesh, model = config.mesh, config.model
    encoder, decoder, tensor = model.encoder, model.decoder, config.mesh.tensor
    rows = config.train.batch_rows / row_ways(mesh) / config.train.accumulation
    t, n = rows * config.inputs.sequence_length, rows * config.inputs.tiles_per_row
    places = n * arithmetic.encoder_places(encoder)
    kept = decoder.layers * t * decoder_kept(decoder, decoder.remat, tensor)
    working = t * BF16 * (4 * decoder.ffn_width / tensor + 8 * decoder.width)
    if n:
        kept += encoder.layers * places * encoder_kept(encoder, encoder.remat, tensor)
        blocks = 2 * model.connector.depth
        kept += blocks * n * encoder.grid**2 * model.connector.hidden * BF16 / 2
        seen = BF16 * (4 * encoder.mlp_width / tensor + 10 * encoder.width)
        working = max(working, places * seen)
    chunk = min(config.train.loss_chunk or t, t)
    logits = chunk * decoder.vocab_size * (F32 + BF16) / tensor
    # Gradients, twice while they are summed over parts; parameters in the compute dtype.
    gradients = parameters * (2 if config.train.accumulation > 1 else 1)
    table = decoder.vocab_size * decoder.width * F32 / tensor
    return int(kept + max(working, logits + table) + gradients + parameters // 2)


def recomputed_flops(config: ExperimentConfig) -> float:
    """Of a step, all devices: what the remat policies add to the model's own."""
    flops = arithmetic.forward_flops(config)
    vision = flops.encoder * _RECOMPUTED.get(config.model.encoder.remat, 0.0) + flops.connector
    language = flops.decoder * _RECOMPUTED.get(config.model.decoder.remat, 0.0)
    if arithmetic.attention_passes(config.model.encoder.remat) > 1:
        vision += flops.encoder_attention
    if arithmetic.attention_passes(config.model.decoder.remat) > 1:
        language += flops.decoder_attention
    return vision + language


def _compute_seconds(config: ExperimentConfig, topology: Topology) -> float:
    flops = arithmetic.forward_flops(config).step + recomputed_flops(config)
    return flops / topology.chips / topology.chip.peak_flops


def _wire_seconds(config: ExperimentConfig, topology: Topology) -> float:
    """Gathers of parameters, reductions of gradients, products over `tensor`, experts' tokens."""
    mesh, decoder, chip = config.mesh, config.model.decoder, topology.chip
    links = sum(2 if ring else 1 for ring in topology.wrap)
    whole = parameter_bytes(config.model, MeshConfig(1, 1, 1, mesh.expert, mesh.tensor))
    parts = config.train.accumulation
    seconds = dcn = 0.0
    if mesh.fsdp > 1:
        gathered = whole / F32 * BF16
        seconds += 3 * parts * gathered / (links * chip.link_bandwidth)  # forward, backward, grads
    rows = config.train.batch_rows / row_ways(mesh)
    t = rows * config.inputs.sequence_length
    places = rows * config.inputs.tiles_per_row * arithmetic.encoder_places(config.model.encoder)
    if mesh.tensor > 1:
        stream = BF16 * (
            decoder.layers * t * decoder.width
            + config.model.encoder.layers * places * config.model.encoder.width
        )
        share = 2 * (mesh.tensor - 1) / mesh.tensor
        seconds += 6 * stream * share / (2 * chip.link_bandwidth)
    sparse = arithmetic.moe_layers(decoder)
    if mesh.expert > 1 and sparse:
        moe = decoder.moe
        tokens = t * moe.top_k * (moe.capacity_factor if moe.dispatch == "capacity" else 1.0)
        crossing = 2 * 4 * sparse * tokens * decoder.width * BF16
        seconds += crossing * mesh.expert ** (1 / chip.dimensions) / (8 * chip.link_bandwidth)
    copies = mesh.slice * mesh.data
    if copies > 1:
        reduced = 2 * (copies - 1) / copies * parameter_bytes(config.model, mesh)
        if mesh.slice > 1:
            dcn += reduced / chip.dcn_bandwidth
        else:
            seconds += reduced / (2 * chip.link_bandwidth)
    return max(seconds, dcn)
