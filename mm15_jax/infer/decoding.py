"""The loop that extends a batch of prompts, token by token, on the device.

Axes: B rows, M room for new tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from mm15_jax.config.schema import ModelConfig
from mm15_jax.infer.sampling import Sampling, choose
from mm15_jax.model import mllm


def decode_tokens(
    params: Any,
    cache: Any,
    logits: jax.Array,
    finished: jax.Array,
    blocked: jax.Array,
    limit: jax.Array,
    seed: jax.Array,
    streams: jax.Array,
    *,
    config: ModelConfig,
    dtype: Any,
    eos_id: int,
    room: int,
    sampling: Sampling,
) -> tuple[jax.Array, jax.Array]:
    """Extends every row until all have ended or have `limit` new tokens.

    Args:
      params: the model's parameters.
      cache: what `mllm.prefill` returned; donated by the caller's jit.
      logits: float32[B, V] after each row's last prompt token.
      finished: bool[B], rows that hold no prompt and need no answer.
      blocked: bool[V], tokens that are never produced.
      limit: int32, 1 to M: data, so that benchmarks with short and long answers share a program.
      seed: uint32, for sampling.
      streams: uint32[B], for sampling.
      config: the model.
      dtype: of the computation.
      eos_id: ends a row.
      room: M.
      sampling: greedy or nucleus.

    Returns:
      tokens int32[B, M], `eos_id` from each row's end on, and the number of new tokens int32[B],
      the end token included.
    """

    def pick(logits, finished, step):
        logits = jnp.where(blocked, -jnp.inf, logits.astype(jnp.float32))
        return jnp.where(finished, eos_id, choose(logits, sampling, key, streams, step))

    def unfinished(state):
        step, _, _, finished, _ = state
        return (step < limit) & ~jnp.all(finished)

    def extend(state):
        step, token, tokens, finished, cache = state
        logits, cache = mllm.decode_step(params, cache, token, config, dtype=dtype)
        token = pick(logits, finished, step)
        tokens = tokens.at[:, step].set(token)
        return step + 1, token, tokens, finished | (token == eos_id), cache

    rows, key = logits.shape[0], jax.random.key(seed)
    token = pick(logits, finished, jnp.int32(0))
    tokens = jnp.full((rows, room), eos_id, jnp.int32).at[:, 0].set(token)
    state = (jnp.int32(1), token, tokens, finished | (token == eos_id), cache)
    _, _, tokens, _, _ = jax.lax.while_loop(unfinished, extend, state)
    ended = jnp.argmax(tokens == eos_id, axis=1) + 1
    counts = jnp.where(jnp.any(tokens == eos_id, axis=1), jnp.minimum(ended, limit), limit)
    return tokens, jnp.where(finished, 0, counts)
