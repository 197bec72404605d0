"""Ablations by name and scale, as `experiments/ablations.py` has them."""

from __future__ import annotations

import importlib
import re

from mm15_jax.config.ablation import Ablation
from mm15_jax.config.names import unknown


def names() -> tuple[str, ...]:
    """Every ablation, in the paper's order."""
    return tuple(_module().ABLATIONS)


def scales_of(name: str) -> tuple[str, ...]:
    """The scales that an ablation has; ValueError for an unknown name."""
    if name not in names():
        if holders := _holders(name):
            raise ValueError(
                f"{name} is no ablation of its own; its rows are in {' and '.join(holders)}"
            )
        raise unknown("ablation", name, names())
    return _module().scales_of(name)


def find(name: str, scale: str) -> Ablation:
    """An ablation at a scale; ValueError with the nearest names where there is none."""
    known = scales_of(name)
    if scale not in known:
        raise ValueError(f"{name} has no scale {scale!r}; it has {', '.join(known)}")
    return _module().ABLATIONS[name](scale)


def _holders(table: str) -> tuple[str, ...]:
    """Ablations that are of several of the paper's tables, this one among them: of "table7"."""
    match = re.fullmatch(r"table_?(\d+)", table.lower())
    if not match:
        return ()
    found = []
    for name in names():
        source = find(name, scales_of(name)[0]).source
        numbers = [int(n) for n in re.findall(r"\d+", source)]
        if source.startswith("table") and numbers[0] <= int(match[1]) <= numbers[-1]:
            found.append(name)
    return tuple(found)


def _module():
    # Late: experiments import the config types, and making all rows takes a moment.
    return importlib.import_module("mm15_jax.experiments.ablations")
