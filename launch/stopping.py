"""SIGINT, SIGTERM and SIGHUP as a request that whoever waits for something answers."""

from __future__ import annotations

import signal
import time

from mm15_jax.parallel.signals import stop_signals


class StopRequestedError(Exception):
    """Whoever waits for something is to let go of it."""


class Stop:
    """A context in which the first signal is remembered, and waiting ends; a second acts as usual.

    To be entered in the main thread; others may read it.
    """

    def __init__(self):
        self.signal: int | None = None
        self._earlier = {}

    @property
    def exit_code(self) -> int:
        """Of a program that stopped because it was asked to; 0 if it was not."""
        return 128 + self.signal if self.signal else 0

    def wait(self, seconds: float) -> bool:
        """Waits, less long when asked to stop; whether it was."""
        # In short pieces: a signal's handler runs between two of them. Not by an event, whose lock
        # the handler would want in the same thread.
        while seconds > 0 and not self.signal:
            time.sleep(min(seconds, 0.5))
            seconds -= 0.5
        return self.signal is not None

    def check(self) -> None:
        """StopRequestedError if asked to stop."""
        if self.signal:
            raise StopRequestedError

    def pause(self, seconds: float) -> None:
        """Waits; StopRequestedError if asked to stop before or meanwhile."""
        self.wait(seconds)
        self.check()

    def __enter__(self) -> Stop:
        for number in stop_signals():
            self._earlier[number] = signal.signal(number, self._request)
        return self

    def _request(self, number: int, frame: object) -> None:
        self.signal = number
        for each, handler in self._earlier.items():
            signal.signal(each, handler)

    def __exit__(self, *unused: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
