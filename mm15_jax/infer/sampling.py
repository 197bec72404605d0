"""The next token of each row: the likeliest, or drawn from the nucleus (top-p)."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

SEEDS = 2**32  # how many there are


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
      temperature: 0 takes the likeliest token (the paper's evaluations); above 0 draws from the
        distribution softmax(logits / temperature).
      top_p: draws only among the fewest tokens whose probabilities sum to at least this; 1 is all.
      seed: two runs with one seed give the same answers, whatever the batch size; 32 bits.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self):
        if not self.temperature >= 0:
            raise ValueError(f"temperature is {self.temperature}, expected a number from 0 up")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, expected a number above 0 and up to 1")
        if not 0 <= self.seed < SEEDS:
            raise ValueError(
                f"the seed of sampling is {self.seed}, expected a number from 0 to {SEEDS - 1}"
            )


GREEDY = Sampling()


def nucleus_logits(logits: jax.Array, top_p: float) -> jax.Array:
    """Sets every token outside the nucleus to -inf (Holtzman et al. 2020, section 3.1).

    The nucleus is the smallest set of likeliest tokens whose probability reaches `top_p`; the
    token that crosses the threshold is in it, so it is never empty.

    Args:
      logits: float32[..., V].
      top_p: in (0, 1].

    Returns:
      float32[..., V].
    """
    order = jnp.argsort(-logits, axis=-1, stable=True)
    ranked = jnp.take_along_axis(jax.nn.softmax(logits, axis=-1), order, axis=-1)
    before = jnp.cumsum(ranked, axis=-1) - ranked
    kept = jnp.put_along_axis(
        jnp.zeros(logits.shape, bool), order, before < top_p, axis=-1, inplace=False
    )
    return jnp.where(kept, logits, -jnp.inf)


def choose(
    logits: jax.Array, sampling: Sampling, key: jax.Array, streams: jax.Array, step: jax.Array
) -> jax.Array:
    """Chooses one token a row.

    Args:
      logits: float32[B, V].
      sampling: temperature and top_p; both are compiled in.
      key: the run's key; not read when greedy.
      streams: uint32[B], a number per example, so that its draws do not depend on its batch.
      step: int32[], tokens the row has already produced.

    Returns:
      int32[B]. Ties go to the smaller id.
    """
    if sampling.temperature == 0:
        return jnp.argmax(logits, axis=-1).astype(jnp.int32)
    logits = logits / sampling.temperature
    if sampling.top_p < 1:
        logits = nucleus_logits(logits, sampling.top_p)
    keys = jax.vmap(lambda stream: jax.random.fold_in(jax.random.fold_in(key, stream), step))(
        streams
    )
    return jax.vmap(jax.random.categorical)(keys, logits).astype(jnp.int32)
