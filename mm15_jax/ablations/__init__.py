"""Tables and figures of the paper, run by name at a scale, compared with it, judged by finding."""

from mm15_jax.ablations.fan_out import jobs

__all__ = ["jobs"]
