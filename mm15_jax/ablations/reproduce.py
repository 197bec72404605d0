"""The commands that give a result: exactly its draws of each row, and no others."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mm15_jax.ablations.draws import Draw
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
    wanted: dict[_Block, list[str]] = {}
    for key, drawn in draws.items():
        for block in _blocks(drawn):
            wanted.setdefault(block, []).append(key)
    ends = ["--set", *overrides] if overrides else []
    found = []
    for block, keys in sorted(wanted.items(), reverse=True):
        chosen = ["--rows", ",".join(keys)] if len(keys) < len(ablation.rows) else []
        found.append(shlex.join([*words, *block.flags, *chosen, *ends]))
    if len(found) > 1:
        first, end, seeds = zip(*wanted, strict=True)
        around = _Block(min(first), max(end), max(seeds))
        found.append(shlex.join([*words, *around.flags, "--collect", *ends]))
    return tuple(found)


class _Block(NamedTuple):
    """Draws of one command: `seeds` of every start from `first` to before `end`."""

    first: int
    end: int
    seeds: int

    @property
    def flags(self) -> list[str]:
        """Words of `mm15 ablate`, without what is usual."""
        starts = f"{self.first}:{self.end}" if self.first else str(self.end)
        named = (("--starts", starts), ("--seeds", str(self.seeds)))
        return [word for flag, count in named if count != "1" for word in (flag, count)]


def _blocks(draws: Iterable[Draw]) -> list[_Block]:
    """Blocks that together are these draws: for each number of seeds, starts that have as many."""
    seeds: dict[int, int] = {}
    for start, seed in draws:
        seeds[start] = max(seeds.get(start, 0), seed + 1)
    blocks = []
    for count in set(seeds.values()):
        enough = sorted(start for start in seeds if seeds[start] >= count)
        for _, run in itertools.groupby(enumerate(enough), lambda item: item[1] - item[0]):
            starts = [start for _, start in run]
            if any(seeds[start] == count for start in starts):  # else others have all of it
                blocks.append(_Block(starts[0], starts[-1] + 1, count))
    return blocks
