"""Every data set that `mm15 prepare` knows, by name."""

from __future__ import annotations

import functools

from mm15_jax.config.names import unknown
from mm15_jax.data import miniature, open_corpus
from mm15_jax.data.preparation import Preparation


@functools.cache
def all_preparations() -> dict[str, Preparation]:
    """Preparations by name, the generated miniature first."""
    found: dict[str, Preparation] = {}
    for preparation in (*miniature.PREPARATIONS, *open_corpus.PREPARATIONS):
        assert preparation.name not in found, f"two preparations named {preparation.name!r}"
        found[preparation.name] = preparation
    return found


def get(name: str) -> Preparation:
    """The preparation called `name`; ValueError with the nearest names otherwise."""
    if name not in all_preparations():
        raise unknown("data set", name, all_preparations())
    return all_preparations()[name]
