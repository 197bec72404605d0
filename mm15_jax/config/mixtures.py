"""Mixtures of data sets as data: groups with a weight each, data sets inside a group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mm15_jax.config.names import unknown


@dataclass(frozen=True)
class Group:
    """Data sets that share one weight of a mixture.

    Weights and shares are of examples, or of tokens where `data.weigh_by` says so. Without `shares`
    the data sets divide the group's weight by their natural sizes, in the same unit: each example
    of the group then comes equally often.
    """

    category: str
    weight: float
    datasets: tuple[str, ...]
    shares: tuple[float, ...] = ()

    def __post_init__(self):
        group = f"the group {self.category!r} of a mixture"
        if isinstance(self.datasets, str):  # would be taken letter by letter
            raise ValueError(f"{group} has {self.datasets!r}; expected ({self.datasets!r},)")
        if self.shares and len(self.shares) != len(self.datasets):
            raise ValueError(
                f"{group} has {len(self.shares)} shares for {len(self.datasets)} data sets; "
                "expected one each, or none"
            )
        twice = {name for name in self.datasets if self.datasets.count(name) > 1}
        if twice:
            raise ValueError(f"{group} names {min(twice)} twice; expected once, with its share")


Mixture = tuple[Group, ...]


def find(name: str, known: Mapping[str, Mixture]) -> Mixture:
    """The mixture called `name`; ValueError with the nearest names otherwise."""
    if name not in known:
        raise unknown("mixture", name, known)
    return known[name]


def dataset_weights(
    mixture: Mixture, counts: Mapping[str, int], mean_tokens: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Share of each data set in the EXAMPLES of a mixture, summing to 1.

    Args:
      mixture: its groups.
      counts: number of training examples of each data set that is present; a data set that is
        not in it gets nothing, and its group's weight goes to the group's others. A group with
        no data set present loses its weight to the other groups.
      mean_tokens: None where the mixture's weights count examples; where they count tokens, the
        mean length of each present data set's examples, which converts the one to the other.

    Raises:
      ValueError: if no data set of the mixture is present.
    """
    weights: dict[str, float] = {}
    for group in mixture:
        for name, share in _group_shares(group, counts, mean_tokens).items():
            length = mean_tokens[name] if mean_tokens else 1.0
            weights[name] = weights.get(name, 0.0) + group.weight * share / length
    total = sum(weights.values())
    if total <= 0:
        names = ", ".join(name for group in mixture for name in group.datasets)
        raise ValueError(f"none of the mixture's data sets is prepared: {names}")
    return {name: weight / total for name, weight in weights.items()}


def _group_shares(
    group: Group, counts: Mapping[str, int], mean_tokens: Mapping[str, float] | None
) -> dict[str, float]:
    """Share of each present data set in its group, in the mixture's own unit; they sum to 1."""
    shares = group.shares or tuple(
        counts.get(name, 0) * (mean_tokens.get(name, 0.0) if mean_tokens else 1.0)
        for name in group.datasets
    )
    present = {n: s for n, s in zip(group.datasets, shares, strict=True) if n in counts and s > 0}
    total = sum(present.values())
    return {name: share / total for name, share in present.items()}


def group_weights(mixture: Mixture, counts: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Category to (share that the mixture gives it, share with the data sets in `counts` alone)."""
    whole: dict[str, float] = {}
    present: dict[str, float] = {}
    for group in mixture:
        whole[group.category] = whole.get(group.category, 0.0) + group.weight
        if _group_shares(group, counts, None):
            present[group.category] = present.get(group.category, 0.0) + group.weight
    all_weight, left = sum(whole.values()), sum(present.values())
    return {
        name: (weight / all_weight, present.get(name, 0.0) / left if left else 0.0)
        for name, weight in whole.items()
    }


def dataset_names(mixture: Mixture) -> tuple[str, ...]:
    """Every data set of a mixture, in order, once."""
    return tuple(dict.fromkeys(name for group in mixture for name in group.datasets))
