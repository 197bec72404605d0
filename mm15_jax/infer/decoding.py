"""The loop that extends a batch of prompts, token by token, on the device.

Axes: B rows, M room for new tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from mm15_jax.config.schema import ModelConfig
from mm15_jax.infer.sampling import Sampling, choose
from mm15_jax.infer.stops import Stops
from mm15_jax.model import mllm


def decode_tokens(
    params: Any,
    cache: Any,
    logits: jax.Array,
    finished: jax.Array,
    blocked: jax.Array,
    stops: Stops,
    limit: jax.Array,
    seed: jax.Array,
    streams: jax.Array,
    *,
    config: ModelConfig,
    dtype: Any,
    eos_id: int,
    room: int,
    sampling: Sampling,
) -> tuple[jax.Array, jax.Array, Any]:
    """Extends every row until all have ended or have `limit` new tokens.

    Args:
      params: the model's parameters.
      cache: what `mllm.prefill` returned; donated by the caller's jit.
      logits: float32[B, V] after each row's last prompt token.
      finished: bool[B], rows that hold no prompt and need no answer.
      blocked: bool[V], tokens that are never produced.
      stops: tokens that end a row as `eos_id` does.
      limit: int32, 1 to M: data, so that benchmarks with short and long answers share a program.
      seed: uint32, for sampling.
      streams: uint32[B], for sampling.
      config: the model.
      dtype: of the computation.
      eos_id: ends a row.
      room: M.
      sampling: greedy or nucleus.

    Returns:
      tokens int32[B, M], `eos_id` from each row's end on; the number of new tokens int32[B], the
      one that ends a row included; the cache, so that the donated one is written and not copied.
    """

    def pick(logits, finished, step):
        logits = jnp.where(blocked, -jnp.inf, logits.astype(jnp.float32))
        return jnp.where(finished, eos_id, choose(logits, sampling, key, streams, step))

    def ends(token, begun):
        return (token == eos_id) | stops.ended(token, begun)

    def unfinished(state):
        step, *_, finished, _ = state
        return (step < limit) & ~jnp.all(finished)

    def extend(state):
        step, token, tokens, counts, begun, finished, cache = state
        logits, cache = mllm.decode_step(params, cache, token, config, dtype=dtype)
        token = pick(logits, finished, step)
        tokens = tokens.at[:, step].set(token)
        counts += ~finished
        finished |= ends(token, begun)
        return step + 1, token, tokens, counts, stops.begun(token, begun), finished, cache

    rows, key = logits.shape[0], jax.random.key(seed)
    token = pick(logits, finished, jnp.int32(0))
    tokens = jnp.full((rows, room), eos_id, jnp.int32).at[:, 0].set(token)
    counts = (~finished).astype(jnp.int32)
    nothing = jnp.zeros(rows, bool)
    finished |= ends(token, nothing)
    begun = stops.begun(token, nothing)
    state = (jnp.int32(1), token, tokens, counts, begun, finished, cache)
    _, _, tokens, counts, *_, cache = jax.lax.while_loop(unfinished, extend, state)
    return tokens, counts, cache
