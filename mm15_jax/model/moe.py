"""Mixture of experts: the router, its losses, and the layer that takes the FFN's place.

The recipe is GShard's top-2 gating, as MM1.5 scales its dense models with it (section 4; gates and
losses as in ST-MoE, Zoph et al. 2022, and AXLearn's Top2Gating): gates are a float32 softmax over
all experts, the kept ones are renormalised before anything is dropped.

Legend: B rows, S places, k choices of a token, E experts, D width, F expert width, L MoE layers.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jax.sharding import PartitionSpec

from mm15_jax.config.schema import DecoderConfig, MoEConfig
from mm15_jax.model import params as p
from mm15_jax.model.moe_dispatch import Execution, ExpertAxis, Kernels, run_experts
from mm15_jax.model.remat import keeps
from mm15_jax.parallel.rules import gathered, mesh_axes_of, platform_in_force, rules_in_force


class Auxiliary(NamedTuple):
    """Losses and figures of one MoE layer, or stacked of all: then L leads each shape.

    Tokens of padding count in none of them.
    """

    load_balance: Array  # float32[], E sum_e f_e P_e: 1 where routing is uniform
    router_z: Array  # float32[], mean squared logsumexp of the logits
    load: Array  # float32[E], share of all choices that each expert was, before any drop
    dropped: Array  # float32[], share of choices that found no place
    entropy: Array  # float32[], of a token's gates over all experts, in nats


class Routing(NamedTuple):
    """Where tokens go."""

    experts: Array  # int32[B, S, k]; E for padding, which goes to no expert
    gates: Array  # float32[B, S, k], renormalised over the k kept
    logits: Array  # float32[B, S, E]
    probabilities: Array  # float32[B, S, E]


def route(x_BSD: Array, kernel_DE: Array, mask_BS: Array | None, top_k: int) -> Routing:
    """Chooses each token's experts, in float32 whatever x's dtype is.

    Args:
        x_BSD: Normalised hidden states.
        kernel_DE: The router, float32.
        mask_BS: bool, False for padding; None: there is none.
        top_k: k; equal gates are taken in the order of experts. Gates of several sum to 1; that of
            one is its probability (Switch, Fedus et al. 2021).
    """
    logits = jnp.einsum("bsd,de->bse", x_BSD.astype(jnp.float32), kernel_DE, precision="highest")
    probabilities = jax.nn.softmax(logits, axis=-1)
    E = logits.shape[-1]
    left, experts, gates = jax.lax.stop_gradient(probabilities), [], []
    for _ in range(top_k):  # k is small, and a sort of all experts is not needed
        best = jnp.argmax(left, axis=-1)
        hit = jax.nn.one_hot(best, E, dtype=jnp.bool_)
        experts.append(best.astype(jnp.int32))
        gates.append(jnp.sum(jnp.where(hit, probabilities, 0), axis=-1))
        left = jnp.where(hit, -1.0, left)
    chosen, kept = jnp.stack(experts, axis=-1), jnp.stack(gates, axis=-1)
    if mask_BS is not None:
        chosen = jnp.where(mask_BS[..., None], chosen, E)
    if top_k > 1:  # else the gate would be 1 whatever the router says, and teach it nothing
        kept /= jnp.sum(kept, axis=-1, keepdims=True)
    return Routing(chosen, kept, logits, probabilities)


def auxiliary(routing: Routing, placed_BSK: Array, mask_BS: Array | None) -> Auxiliary:
    """Losses and figures of one layer, over the tokens of the whole batch.

    Load balance is E sum_e f_e P_e, with f_e the share of tokens whose FIRST choice is e, before
    capacity, and P_e the mean gate (GShard; Switch, Fedus et al. 2021, equation 4). Its gradient
    is P's. z is the mean of logsumexp(logits)^2 (ST-MoE, equation 5).

    Args:
        routing: Of `route`.
        placed_BSK: bool, which choices an expert took.
        mask_BS: bool, False for padding, or None.
    """
    experts, probabilities = routing.experts, routing.probabilities
    B, S, k = experts.shape
    E = probabilities.shape[-1]
    weights = jnp.ones((B, S)) if mask_BS is None else mask_BS.astype(jnp.float32)
    tokens = jnp.maximum(jnp.sum(weights), 1.0)

    def mean(values: Array) -> Array:
        return jnp.tensordot(weights, values, 2, precision="highest") / tokens

    hits = jax.nn.one_hot(experts, E)  # E, for padding, is no column: zeros
    first = jnp.sum(hits[:, :, 0], axis=(0, 1)) / tokens
    log_sum = jax.nn.logsumexp(routing.logits, axis=-1)
    log_probabilities = routing.logits - log_sum[..., None]
    return Auxiliary(
        load_balance=E * jnp.sum(first * mean(probabilities)),
        router_z=mean(jnp.square(log_sum)),
        load=jnp.sum(hits, axis=(0, 1, 2)) / (tokens * k),
        dropped=mean(1 - jnp.sum(placed_BSK, axis=-1) / k),
        entropy=-mean(jnp.sum(probabilities * log_probabilities, axis=-1)),
    )


# Logical axes of the kernels of all experts.
INWARD = ("experts", "expert_embed", "expert_mlp")
OUTWARD = ("experts", "expert_mlp", "expert_embed")


def run_on_mesh(
    x_BSD: Array,
    experts_BSK: Array,
    gates_BSK: Array,
    kernels: Kernels,
    moe: MoEConfig,
    *,
    keep_hidden: bool = True,
) -> tuple[Array, Array]:
    """`run_experts` with the mesh in force, if there is one; kernels are float32.

    Every device dispatches its own rows. Kernels are gathered over the axes that divide the batch
    but for the experts' own, in the compute dtype; their gradients are scattered back the same way.
    With `tensor`, each device has a part of every expert's hidden width, and outputs are summed.
    """
    in_force = rules_in_force()
    how = Execution(platform_in_force(), keep_hidden=keep_hidden)
    if in_force is None or in_force[0].size == 1:
        cast = Kernels(*(kernel.astype(x_BSD.dtype) for kernel in kernels))
        return run_experts(x_BSD, experts_BSK, gates_BSK, cast, moe, how)
    mesh, rules = in_force
    ways = mesh.shape["expert"]
    rows = PartitionSpec(rules.sharding(mesh, ("batch", None, None), x_BSD.shape).spec[0])
    axes_of_kernels = (INWARD, INWARD, OUTWARD)
    specs = Kernels(
        *(
            rules.parameter(mesh, axes, kernel.shape).spec
            for axes, kernel in zip(axes_of_kernels, kernels, strict=True)
        )
    )
    split_width = mesh.shape["tensor"] > 1 and "tensor" in mesh_axes_of(specs.gate[2])

    def gather(kernels: Kernels) -> Kernels:
        return Kernels(*map(_gather, kernels, specs, axes_of_kernels))

    how = how._replace(axis=ExpertAxis("expert", ways) if ways > 1 else None, gather=gather)

    def local(x, experts, gates, kernels):
        cast = Kernels(*(kernel.astype(x.dtype) for kernel in kernels))
        y, placed = run_experts(x, experts, gates, cast, moe, how)
        return jax.lax.psum(y, "tensor") if split_width else y, placed

    return jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(rows, rows, rows, specs),
        out_specs=(rows, rows),
        check_vma=False,  # the TPU kernel does not say what its outputs vary over
    )(x_BSD, experts_BSK, gates_BSK, kernels)


def _gather(kernel: Array, spec: PartitionSpec, axes: tuple[str, ...]) -> Array:
    """A device's part of the kernels, whole but for its experts and its part of their width."""
    kept = {"experts": "expert", "expert_mlp": "tensor"}
    for i, (entry, name) in enumerate(zip(spec, axes, strict=False)):
        for axis in reversed(mesh_axes_of(entry)):  # the last axis of an entry divides finest
            if axis != kept.get(name):
                kernel = jax.lax.all_gather(kernel, axis, axis=i, tiled=True)
    return kernel


class Router(nn.Module):
    """Declares the router's kernel."""

    config: DecoderConfig

    @nn.compact
    def __call__(self) -> Array:
        """float32[D, E]. Every device has it whole: it is small, and tokens need all of it."""
        c = self.config
        size = (c.width, c.moe.experts)
        return p.declare(self, "kernel", size, ("embed", None), p.fan_in(c.width))


class ExpertKernel(nn.Module):
    """Declares one matrix of each expert."""

    experts: int
    size_in: int
    size_out: int
    axes: tuple[str, ...]
    initializer: p.Initializer

    @nn.compact
    def __call__(self) -> Array:
        """float32[E, size_in, size_out]."""
        shape = (self.experts, self.size_in, self.size_out)
        return p.declare(self, "kernel", shape, self.axes, self.initializer)


class MoE(nn.Module):
    """Experts in place of a layer's SwiGLU."""

    config: DecoderConfig

    @nn.compact
    def __call__(
        self, x: Array, mask: Array | None, *, exact: bool = False
    ) -> tuple[Array, Auxiliary]:
        """Routes tokens to experts.

        Args:
            x: [B, S, D].
            mask: bool[B, S], False for padding: its output is zero, and it takes no place.
            exact: Whether to drop nothing, whatever the dispatch: an answer must not depend on
                what else is in the batch.

        Returns:
            [B, S, D], and the layer's losses and figures.
        """
        c, moe = self.config, self.config.moe
        D, F, E = c.width, c.ffn_width, moe.experts
        kernels = Kernels(
            ExpertKernel(E, D, F, INWARD, p.fan_in(D), name="gate")(),
            ExpertKernel(E, D, F, INWARD, p.fan_in(D), name="up")(),
            ExpertKernel(E, F, D, OUTWARD, p.fan_in(F, c.layers), name="down")(),
        )
        router = gathered(Router(c, name="router")(), ("embed", None), jnp.float32)
        routing = route(x, router, mask, moe.top_k)
        if exact:
            moe = dataclasses.replace(moe, dispatch="dropless", buffer_factor=0.0)
        y, placed = run_on_mesh(
            x, routing.experts, routing.gates, kernels, moe, keep_hidden=keeps(c.remat, "hidden")
        )
        return y, auxiliary(routing, placed, mask)
