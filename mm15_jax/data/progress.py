"""How far a preparation is, for people who wait."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mm15_jax.data.parts import Receipt
    from mm15_jax.data.preparation import Part

_QUIET = 30.0  # seconds between lines in a log


@dataclasses.dataclass(frozen=True)
class Event:
    """How far the preparation of a split is."""

    name: str
    split: str
    done: int  # records read, kept and bad ones included
    total: int | None  # that there should be; None: unknown
    bad: int
    share: float  # of the work, 0 to 1
    seconds_left: float  # estimate; nan before the first shard is made
    last: bool  # all is made


Progress = Callable[[Event], None]


class Reckoner:
    """Adds up what is done of a split and reckons how much is left.

    By records where all parts say how many they have; else by what their ranges cover, bytes or
    pages; else by parts.
    """

    def __init__(self, name: str, split: str, parts: Sequence[Part], limit: int | None):
        """Of the parts of a split, up to a limit of examples."""
        self._name, self._split = name, split
        self._began = time.monotonic()
        self._share_before = 0.0
        counts = [part.records for part in parts]
        known = sum(count or 0 for count in counts) if None not in counts else None
        self._total = known if limit is None else min(limit, limit if known is None else known)
        spans = [part.stop - part.start for part in parts]
        weights = spans if all(span > 0 for span in spans) else [1] * len(parts)
        self._weights = {part.name: w for part, w in zip(parts, weights, strict=True)}
        self._whole = max(sum(self._weights.values()), 1)
        self._done: dict[str, tuple[int, int]] = {}  # good and bad records of each part
        self._good = self.bad = self._weight = 0

    def add(self, receipt: Receipt, *, kept: bool = False) -> None:
        """Counts a shard; `kept`: of an earlier run, which says nothing of this one's pace."""
        good, bad = self._done.get(receipt.part, (0, 0))
        if receipt.part not in self._done:
            self._weight += self._weights[receipt.part]
        self._done[receipt.part] = receipt.shard.records, receipt.bad_records
        self._good += receipt.shard.records - good
        self.bad += receipt.bad_records - bad
        if kept:
            self._share_before = self._share

    @property
    def _share(self) -> float:
        if self._total is not None:
            return min(1.0, (self._good + self.bad) / max(self._total, 1))
        return self._weight / self._whole

    @property
    def expected(self) -> float:
        """How many records there should be in all, bad ones included."""
        seen = self._good + self.bad
        if self._total is not None:
            return max(self._total, seen)
        return seen / self._share if self._share else seen

    def event(self, *, last: bool = False) -> Event:
        """How far it is now."""
        made = self._share - self._share_before
        left = 1.0 - self._share
        seconds = (time.monotonic() - self._began) / made * left if made > 0 else math.nan
        return Event(
            self._name,
            self._split,
            self._good + self.bad,
            self._total,
            self.bad,
            1.0 if last else self._share,
            0.0 if last else seconds,
            last,
        )


class ProgressLine:
    """Progress on stderr: one line, renewed on a terminal; in a log, one now and then."""

    def __init__(self, stream=None, quiet: float = _QUIET):
        """Writes to `stream`, by default stderr; to a log at most every `quiet` seconds."""
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._quiet = quiet
        self._shown = -math.inf

    def __call__(self, event: Event) -> None:
        """Shows an event."""
        now = time.monotonic()
        if not self._terminal and not event.last and now - self._shown < self._quiet:
            return
        self._shown = now
        line = f"{event.name} {event.split}: {event.done:,}"
        if event.last:
            line += " records"
        elif event.total is not None:
            line += f" of {event.total:,} records"
        else:
            line += f" records, {event.share:.0%}"
        if event.bad:
            line += f", {event.bad:,} bad"
        if not event.last and not math.isnan(event.seconds_left):
            line += f", {duration(event.seconds_left)} left"
        end = "\n" if event.last or not self._terminal else ""
        start = "\r\x1b[K" if self._terminal else ""
        self._stream.write(start + line + end)
        self._stream.flush()


def duration(seconds: float) -> str:
    """`1:02:03`, `4:05` or `12s`."""
    if not math.isfinite(seconds):
        return "unknown"
    seconds = round(max(seconds, 0))
    hours, minutes = seconds // 3600, seconds // 60 % 60
    if hours:
        return f"{hours}:{minutes:02d}:{seconds % 60:02d}"
    return f"{minutes}:{seconds % 60:02d}" if minutes else f"{seconds}s"
