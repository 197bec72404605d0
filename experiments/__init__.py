"""Experiments: one Python function each; a variant is a `replace` of its parent.

`EXPERIMENTS` maps each name to a function without arguments that returns the whole config.
"""

import dataclasses
import functools
from collections.abc import Callable

from mm15_jax.config import ExperimentConfig
from mm15_jax.experiments import (
    ablations,
    family,
    hardware,
    nano,
    open_corpus,
    text_only,
    ui,
    video,
)

_FUNCTIONS: dict[str, Callable[[], ExperimentConfig]] = {
    **family.EXPERIMENTS,
    **nano.EXPERIMENTS,
    **open_corpus.EXPERIMENTS,
    **text_only.EXPERIMENTS,
    **ui.EXPERIMENTS,
    **video.EXPERIMENTS,
    **ablations.EXPERIMENTS,
}


def _with_hardware(name: str) -> ExperimentConfig:
    return dataclasses.replace(_FUNCTIONS[name](), meshes=hardware.TABLE.get(name, ()))


EXPERIMENTS: dict[str, Callable[[], ExperimentConfig]] = {
    name: functools.partial(_with_hardware, name) for name in _FUNCTIONS
}
