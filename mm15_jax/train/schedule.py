"""Learning-rate schedules (section 3.2 of the paper; MM1 for the pre-training one)."""

from __future__ import annotations

import optax

from mm15_jax.config import OptimizerConfig

WSD_DECAY_SHARE = 0.4  # of the steps after warm-up, in which "wsd" falls linearly


def learning_rate(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Linear warm-up to the peak, then `config.schedule` down to `end_ratio` of it at `steps`."""
    peak, end = config.peak_learning_rate, config.peak_learning_rate * config.end_ratio
    warmup = min(config.warmup_steps, max(steps - 1, 0))
    after = max(steps - warmup, 1)
    if config.schedule == "cosine":
        decay = optax.cosine_decay_schedule(peak, after, alpha=config.end_ratio)
    elif config.schedule == "wsd":
        falling = max(round(after * WSD_DECAY_SHARE), 1)
        decay = optax.linear_schedule(peak, end, falling, transition_begin=after - falling)
    else:
        decay = optax.constant_schedule(peak)
    if not warmup:
        return decay
    # From peak / warmup rather than 0: a first step that changes nothing is a wasted step.
    rise = optax.linear_schedule(peak / warmup, peak, warmup - 1)
    return optax.join_schedules([rise, decay], [warmup])
