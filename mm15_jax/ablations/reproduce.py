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
        around = _Block(
            min(block.start for block in wanted),
            max(block.start_end for block in wanted),
            min(block.seed for block in wanted),
            max(block.seed_end for block in wanted),
        )
        found.append(shlex.join([*words, *around.flags, "--collect", *ends]))
    return tuple(found)


class _Block(NamedTuple):
    """Draws of one command: seeds from `seed` to before `seed_end`, of each start alike."""

    start: int
    start_end: int
    seed: int
    seed_end: int

    @property
    def flags(self) -> list[str]:
        """Words of `mm15 ablate`, without what is usual."""
        starts = _range(self.start, self.start_end)
        seeds = _range(self.seed, self.seed_end)
        named = (("--starts", starts), ("--seeds", seeds))
        return [word for flag, given in named if given != "1" for word in (flag, given)]


def _range(first: int, end: int) -> str:
    """As --starts and --seeds take it."""
    return f"{first}:{end}" if first else str(end)


def _blocks(draws: Iterable[Draw]) -> list[_Block]:
    """Blocks that together are these draws, of seeds that follow one another.

    Where starts have the first seeds, some more of them than others, those that all have are one
    command; any other seeds are a block with the starts that have just these.
    """
    of_start: dict[int, list[int]] = {}
    for start, seed in sorted(draws):
        of_start.setdefault(start, []).append(seed)
    wanted: dict[tuple[int, int], set[int]] = {}  # seeds -> starts that have all of them
    for start, seeds in of_start.items():
        for block in _runs(seeds):
            wanted.setdefault(block, set()).add(start)
    blocks = []
    for (first, end), starts in wanted.items():
        enough = set(starts)
        if not first:  # others, with more seeds, have these too
            enough |= {s for (f, e), more in wanted.items() if not f and e > end for s in more}
        for lowest, highest in _runs(sorted(enough)):
            if starts & set(range(lowest, highest)):  # else others have all of it
                blocks.append(_Block(lowest, highest, first, end))
    return blocks


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """[first, end) of each run of numbers that follow one another; they are given rising."""
    runs = []
    for _, run in itertools.groupby(enumerate(numbers), lambda item: item[1] - item[0]):
        values = [value for _, value in run]
        runs.append((values[0], values[-1] + 1))
    return runs
