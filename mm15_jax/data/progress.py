"""How far a preparation is, for people who wait."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Event:
    """How far the preparation of a split is."""

    name: str
    split: str
    done: int  # examples, kept ones included
    total: int
    bad: int
    seconds_left: float  # estimate; nan before the first shard is made


Progress = Callable[[Event], None]


class ProgressLine:
    """Progress on stderr: one line, renewed on a terminal, at every quarter otherwise."""

    def __init__(self, stream=None):
        """Writes to `stream`, by default stderr."""
        self._stream = stream or sys.stderr
        self._shown = -1

    def __call__(self, event: Event) -> None:
        """Shows an event."""
        share = event.done / max(event.total, 1)
        last = event.done >= event.total
        if not self._stream.isatty():
            if int(share * 4) == self._shown and not last:
                return
            self._shown = int(share * 4)
        left = (
            "" if last or math.isnan(event.seconds_left) else f", {event.seconds_left:.0f} s left"
        )
        bad = f", {event.bad} bad" if event.bad else ""
        line = f"{event.name} {event.split}: {event.done:,} of {event.total:,} examples{bad}{left}"
        end = "\n" if last or not self._stream.isatty() else ""
        start = "\r\x1b[K" if self._stream.isatty() else ""
        self._stream.write(start + line + end)
        self._stream.flush()
