"""Mixtures of data sets as data: groups with a weight each, data sets inside a group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mm15_jax.config.names import unknown


@dataclass(frozen=True)
class Group:
    """Data sets that share one weight of a mixture. Weights count examples, not tokens.

    Without `shares` the data sets divide the group's weight in proportion to their number of
    examples (their natural sizes); `shares` fixes the proportions instead.
    """

    category: str
    weight: float
    datasets: tuple[str, ...]
    shares: tuple[float, ...] = ()

    def __post_init__(self):
        assert not self.shares or len(self.shares) == len(self.datasets), self


Mixture = tuple[Group, ...]


def find(name: str, known: Mapping[str, Mixture]) -> Mixture:
    """The mixture called `name`; ValueError with the nearest names otherwise."""
    if name not in known:
        raise unknown("mixture", name, known)
    return known[name]


def dataset_weights(mixture: Mixture, counts: Mapping[str, int]) -> dict[str, float]:
    """Share of each data set in the examples of a mixture, summing to 1.

    Args:
      mixture: its groups.
      counts: number of training examples of each data set that is present; a data set that is
        not in it gets nothing, and its group's weight goes to the group's others. A group with
        no data set present loses its weight to the other groups.

    Raises:
      ValueError: if no data set of the mixture is present.
    """
    weights: dict[str, float] = {}
    for group in mixture:
        shares = group.shares or tuple(float(counts.get(name, 0)) for name in group.datasets)
        present = {
            n: s for n, s in zip(group.datasets, shares, strict=True) if n in counts and s > 0
        }
        total = sum(present.values())
        for name, share in present.items():
            weights[name] = weights.get(name, 0.0) + group.weight * share / total
    total = sum(weights.values())
    if total <= 0:
        names = ", ".join(name for group in mixture for name in group.datasets)
        raise ValueError(f"none of the mixture's data sets is prepared: {names}")
    return {name: weight / total for name, weight in weights.items()}


def dataset_names(mixture: Mixture) -> tuple[str, ...]:
    """Every data set of a mixture, in order, once."""
    return tuple(dict.fromkeys(name for group in mixture for name in group.datasets))
