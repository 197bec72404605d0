"""A job: commands of `mm15` that a launcher runs together, and the jobs that it waits for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """Commands that run one after the other on the same machines."""

    name: str  # lower-case letters, digits and underscores; unique among the jobs of one launch
    commands: tuple[tuple[str, ...], ...]  # words after `mm15`; the next runs if one ended with 0
    after: tuple[str, ...] = ()  # names of jobs that must have ended with 0 before
    alone: bool = False  # one process without an accelerator is enough: a comparison, a plot
