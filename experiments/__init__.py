"""Experiments: one Python function each; a variant is a `replace` of its parent.

`EXPERIMENTS` maps each name to a function without arguments that returns the whole config.
"""

from collections.abc import Callable

from mm15_jax.config import ExperimentConfig
from mm15_jax.experiments import family, nano, open_corpus

EXPERIMENTS: dict[str, Callable[[], ExperimentConfig]] = {
    **family.EXPERIMENTS,
    **nano.EXPERIMENTS,
    **open_corpus.EXPERIMENTS,
}
