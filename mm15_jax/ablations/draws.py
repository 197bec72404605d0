"""Draws of rows: how --starts and --seeds name them, and what each is called."""

from __future__ import annotations

from typing import NamedTuple

MAX_SEEDS = 1000  # of one start


class Draw(NamedTuple):
    """One of several trainings of a row: drawn anew in all that it starts from, or in itself.

    Attributes:
      start: 0 and up, of the stages that rows share.
      seed: 0 and up, of the stages that belong to the row, from that start.
    """

    start: int
    seed: int

    @property
    def suffix(self) -> str:
        """Of names of folders and jobs: nothing for the first, `_seed2`, `_start1_seed2`."""
        start = f"_start{self.start}" if self.start else ""
        return start + (f"_seed{self.seed}" if self.seed else "")

    @property
    def label(self) -> str:
        """For people and files: `start 0 seed 2`."""
        return f"start {self.start} seed {self.seed}"

    @classmethod
    def of_label(cls, label: str) -> Draw:
        """What `label` says."""
        _, start, _, seed = label.split()
        return cls(int(start), int(seed))

    @property
    def train_seed(self) -> int:
        """`train.seed`: no two draws of a row share one."""
        return MAX_SEEDS * self.start + self.seed


def draws_of(starts: int | str, seeds: int | str) -> list[Draw]:
    """By start, then by seed.

    Args:
      starts: as of --starts: how many, or which, `3:7` for 3, 4, 5 and 6.
      seeds: as of --seeds, of each start.

    Raises:
      ValueError: none, or one beyond MAX_SEEDS.
    """
    of_each = _numbers("seeds", seeds)
    return [Draw(start, seed) for start in _numbers("starts", starts) for seed in of_each]


def _numbers(flag: str, given: int | str) -> range:
    first, colon, end = str(given).partition(":")
    bounds = (first, end) if colon else ("0", first)
    if all(bound.isdecimal() for bound in bounds):
        low, high = map(int, bounds)
        if low < high <= MAX_SEEDS:
            return range(low, high)
    raise ValueError(
        f"--{flag} is {given}; expected how many, 1 to {MAX_SEEDS}, or which, 3:7 for 3, 4, 5 and 6"
    )
