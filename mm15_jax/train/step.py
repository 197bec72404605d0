"""The train step, whole: from a batch to the next state, on any mesh."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from mm15_jax.config import ExperimentConfig
from mm15_jax.parallel.mesh import batch_divisor, replicated
from mm15_jax.parallel.rules import constrain, rules_of, use_rules
from mm15_jax.train.loss import loss_weight, next_token_loss
from mm15_jax.train.offload import is_offloaded, through_device
from mm15_jax.train.optimizer import without_frozen
from mm15_jax.train.state import (
    TrainState,
    abstract_batch,
    abstract_state,
    compute_dtype,
    matmul_precision,
    optimizer_of,
)

__all__ = ["TrainState", "abstract_batch", "abstract_state", "build_step", "train_step"]


def build_step(config: ExperimentConfig, mesh: Mesh, num_categories: int, *, donate: bool = True):
    """The compiled step of an experiment: (state, batch) -> (state, metrics).

    State and batch are divided as `abstract_state` and `abstract_batch` say, metrics are whole on
    every device. Raises ValueError where the batch's rows do not divide over the mesh.

    Args:
      config: of the experiment; `config.mesh` names the rules, `mesh` is what they are used on.
      mesh: of `parallel.mesh.make_mesh`; its devices may be those of a topology without hardware.
      num_categories: of the data, whose losses are summed apart.
      donate: whether the new state takes the memory of the old one.
    """
    state, batch = abstract_state(config, mesh), abstract_batch(config, mesh)
    shardings = jax.tree.map(lambda x: x.sharding, (state, batch))
    platform = mesh.devices.flat[0].platform
    dtype = compute_dtype(config.train.compute_dtype, platform)
    precision = matmul_precision(dtype, platform)
    loss = functools.partial(
        next_token_loss,
        model=config.model,
        dtype=dtype,
        num_categories=num_categories,
        chunk=config.train.loss_chunk,
    )
    rules, optimizer = rules_of(config.mesh.strategy), optimizer_of(config)

    def step(state: TrainState, batch):
        with use_rules(mesh, rules), jax.default_matmul_precision(precision):
            return train_step(
                state,
                batch,
                loss=loss,
                optimizer=optimizer,
                parts=config.train.accumulation,
                devices=batch_divisor(mesh),
                shardings=shardings[0],
                frozen=config.optimizer.frozen,
            )

    return jax.jit(
        step,
        in_shardings=shardings,
        out_shardings=(shardings[0], replicated(mesh)),
        donate_argnums=0 if donate else (),
    )


def train_step(state: TrainState, batch, *, loss, optimizer, parts, devices, shardings, frozen=()):
    """One step. Returns (new state, metrics: loss, grad_norm, and sums by category).

    With `parts` above 1 the rows run in so many parts, one after the other, and gradients are
    summed: each part's loss is divided by the whole batch's weight, so the sum is the gradient of
    the batch. A part takes rows of each of the `devices`, so that none of them moves. `shardings`
    are the state's; gradients are divided as the parameters. `grad_norm` is of what is not
    `frozen`, so that nobody asks for the gradients of what is, and the compiler leaves them out.
    """
    total = loss_weight(batch)

    def gradients(params, rows):
        part = functools.partial(loss, share=1 / parts)
        found, grads = jax.value_and_grad(part, has_aux=True)(params, rows, total)
        return found, jax.lax.with_sharding_constraint(grads, shardings.params)

    if parts == 1:
        (value, sums), grads = gradients(state.params, batch)
    else:

        def add_part(summed, part):
            part = jax.tree.map(lambda x: constrain(x, ("batch", *[None] * (x.ndim - 1))), part)
            return jax.tree.map(jnp.add, summed, gradients(state.params, part)), None

        rows = jax.tree.map(functools.partial(_parts, parts=parts, devices=devices), batch)
        shapes, _ = jax.eval_shape(gradients, state.params, batch)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        no_grads = jax.lax.with_sharding_constraint(
            jax.tree.map(jnp.zeros_like, state.params), shardings.params
        )
        ((value, sums), grads), _ = jax.lax.scan(add_part, (zeros, no_grads), rows)

    def update(params, opt_state, grads):
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    grad_norm = optax.tree.norm(without_frozen(grads, frozen))
    if is_offloaded(shardings.opt_state):
        update = through_device(update, shardings.opt_state, after=grad_norm)
    params, opt_state = update(state.params, state.opt_state, grads)
    metrics = {"loss": value, "grad_norm": grad_norm, **sums}
    return TrainState(state.step + 1, params, opt_state), metrics


def _parts(x_B: Any, *, parts: int, devices: int) -> jax.Array:
    """[B, ...] -> [parts, B / parts, ...], each part with rows of every device."""
    rows = x_B.reshape(devices, parts, -1, *x_B.shape[1:]).swapaxes(0, 1)
    return rows.reshape(parts, -1, *x_B.shape[1:])
