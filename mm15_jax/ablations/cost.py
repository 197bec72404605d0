"""What an ablation costs before it runs: hours here at nano scale, chip-hours on TPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm15_jax.ablations.runs import Run
from mm15_jax.ablations.tasks import Task
from mm15_jax.plan.chips import GIB
from mm15_jax.plan.estimate import estimate
from mm15_jax.plan.meshes import settled
from mm15_jax.plan.report import nearest
from mm15_jax.plan.search import SLACK
from mm15_jax.plan.topology import parse

# The smallest v5p slice of docs/scaling.md that holds a scale's SFT with full remat.
TOPOLOGIES = {"1b": "v5p:4x4x4", "3b": "v5p:4x4x4", "7b": "v5p:4x4x8", "30b": "v5p:8x8x8"}


@dataclass(frozen=True)
class ChipHours:
    """Of one run on a slice, by arithmetic and at best (docs/planning.md).

    Attributes:
      chips: of the slice.
      hours: of the whole run on the slice.
    """

    chips: int
    hours: float

    @property
    def total(self) -> float:
        """Chip-hours."""
        return self.chips * self.hours


def chip_hours(run: Run, topology: str, *, must_fit: bool = True) -> ChipHours:
    """What a run costs.

    Raises:
      ValueError: an unknown topology, one that no mesh divides, or, unless it need not fit, one
        whose memory does not hold the run by arithmetic, with the smallest that does.
    """
    there = parse(topology)
    config = settled(run.config, there)
    found = estimate(config, there)
    limit = there.chip.hbm_usable
    if must_fit and found.memory > limit * SLACK:
        other = nearest(config, there, 1 / SLACK)
        raise ValueError(
            f"{config.name} does not fit {there}: {found.memory / GIB:.1f} GiB a device of "
            f"{limit / GIB:.1f} by arithmetic; "
            + (f"the nearest that holds it is {other}" if other else "no known topology holds it")
        )
    return ChipHours(there.chips, found.seconds * config.train.steps / 3600)


def wall_seconds(tasks: Sequence[Task], workers: int) -> float:
    """Reckoned time of tasks at nano scale, so many at once: the longest chain or all of them."""
    ends: dict[str, float] = {}
    for task in tasks:
        before = max((ends.get(name, 0.0) for name in task.after), default=0.0)
        ends[task.name] = before + task.seconds
    return max([sum(task.seconds for task in tasks) / workers, *ends.values()])
