"""The commands that give a result: exactly its draws of each row, and no others."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from mm15_jax.ablations.runs import Draw
from mm15_jax.config.ablation import Ablation


def commands(
    ablation: Ablation, draws: Mapping[str, Iterable[Draw]], overrides: Sequence[str] = ()
) -> tuple[str, ...]:
    """What to run, one after the other, to have these draws.

    Where rows differ in how often they are drawn, or starts in how many seeds they have, it takes
    a command for each combination, and one more that puts all together.

    Args:
      ablation: whose result it is.
      draws: of each row that has run, by its key.
      overrides: of --set, for every run.
    """
    words = ["mm15", "ablate", ablation.name, "--scale", ablation.scale]
    wanted: dict[tuple[int, int], list[str]] = {}
    for key, drawn in draws.items():
        for corner in _corners(drawn):
            wanted.setdefault(corner, []).append(key)
    ends = ["--set", *overrides] if overrides else []
    found = []
    for corner, keys in sorted(wanted.items(), reverse=True):
        chosen = ["--rows", ",".join(keys)] if len(keys) < len(ablation.rows) else []
        found.append(shlex.join([*words, *_counts(*corner), *chosen, *ends]))
    if len(found) > 1:
        most = (max(starts for starts, _ in wanted), max(seeds for _, seeds in wanted))
        found.append(shlex.join([*words, *_counts(*most), "--collect", *ends]))
    return tuple(found)


def _corners(draws: Iterable[Draw]) -> list[tuple[int, int]]:
    """(starts, seeds) of `mm15 ablate` whose draws together are these."""
    seeds: dict[int, int] = {}
    for start, seed in draws:
        seeds[start] = max(seeds.get(start, 0), seed + 1)
    corners: list[tuple[int, int]] = []
    for start in sorted(seeds, reverse=True):
        if not corners or seeds[start] > corners[-1][1]:
            corners.append((start + 1, seeds[start]))
    return corners


def _counts(starts: int, seeds: int) -> list[str]:
    named = (("--starts", starts), ("--seeds", seeds))
    return [word for flag, count in named if count > 1 for word in (flag, str(count))]
