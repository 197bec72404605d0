"""The train step, whole: from a batch to the next state.

B rows, S sequence, V vocabulary, C categories.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mm15_jax.config import ModelConfig
from mm15_jax.model import mllm


class TrainState(NamedTuple):
    """All that a step changes."""

    step: jax.Array  # int32[], steps done
    params: Any  # nested dict, float32
    opt_state: Any


def next_token_loss(params, batch, model: ModelConfig, *, dtype, num_categories: int):
    """Weighted cross-entropy of each token given those before it in its segment.

    `loss_weights[t]` weighs the prediction of `tokens[t]`, which is read off position t - 1; the
    first token of a segment has weight 0, so nothing is predicted across segments. The loss is the
    sum over the GLOBAL batch divided by the GLOBAL sum of weights: how rows fall on devices does
    not change it.

    Returns:
      (loss float32[], {"loss_sum": float32[C], "weight": float32[C], "correct": float32[C]})
    """
    hidden, _ = mllm.forward(params, batch, model, dtype=dtype)  # [B, S, D]
    logits_BSV = mllm.unembed(params, hidden[:, :-1], model)
    targets_BS = batch["tokens"][:, 1:]
    weights_BS = batch["loss_weights"][:, 1:]
    nll_BS = optax.softmax_cross_entropy_with_integer_labels(logits_BSV, targets_BS)
    total = jnp.maximum(
        weights_BS.sum(), 1.0
    )  # a batch without any loss token must not divide by 0
    categories = batch["category_ids"][:, 1:].reshape(-1)

    def by_category(values_BS):
        return jax.ops.segment_sum(values_BS.reshape(-1), categories, num_categories)

    correct_BS = (logits_BSV.argmax(-1) == targets_BS) * weights_BS
    sums = {
        "loss_sum": by_category(nll_BS * weights_BS),
        "weight": by_category(weights_BS),
        "correct": by_category(correct_BS),
    }
    return (nll_BS * weights_BS).sum() / total, sums


def train_step(state: TrainState, batch, *, model: ModelConfig, optimizer, dtype, num_categories):
    """One step. Returns (new state, metrics: loss, grad_norm, and sums by category)."""
    (loss, sums), grads = jax.value_and_grad(next_token_loss, has_aux=True)(
        state.params, batch, model, dtype=dtype, num_categories=num_categories
    )
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    metrics = {"loss": loss, "grad_norm": optax.tree.norm(grads), **sums}
    return TrainState(state.step + 1, params, opt_state), metrics
