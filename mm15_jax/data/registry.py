"""Every data set that `mm15 prepare` knows, by name."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from mm15_jax.config.names import unknown
from mm15_jax.data import convert, miniature, open_corpus
from mm15_jax.data.preparation import Preparation


@functools.cache
def groups() -> dict[str, tuple[str, ...]]:
    """Names of data sets that are prepared together, by the group's name."""
    return {
        "miniature": tuple(p.name for p in miniature.PREPARATIONS),
        "open": tuple(p.name for p in open_corpus.PREPARATIONS),
    }


@functools.cache
def all_preparations() -> dict[str, Preparation]:
    """Preparations by name, the generated miniature first."""
    found: dict[str, Preparation] = {}
    converted = (p for module in convert.MODULES for p in module.PREPARATIONS)
    for preparation in (*miniature.PREPARATIONS, *open_corpus.PREPARATIONS, *converted):
        name = preparation.name
        assert name not in found and name not in groups(), f"two data sets named {name!r}"
        found[name] = preparation
    return found


def get(name: str) -> Preparation:
    """The preparation called `name`; ValueError with the nearest names otherwise."""
    if name not in all_preparations():
        raise unknown("data set", name, all_preparations())
    return all_preparations()[name]


def expand(names: Iterable[str]) -> list[str]:
    """Names with groups replaced by their data sets, each once; ValueError for an unknown one."""
    known, expanded = all_preparations(), list[str]()
    for name in names:
        if name not in known and name not in groups():
            raise unknown("data set", name, [*known, *groups()])
        expanded += groups().get(name, (name,))
    return list(dict.fromkeys(expanded))
