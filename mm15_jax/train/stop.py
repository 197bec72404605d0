"""SIGTERM and SIGINT as a request that the loop answers between two steps."""

from __future__ import annotations

import signal


class StopRequest:
    """Inside the context the first signal is remembered; a second one acts as usual."""

    def __init__(self):
        self.signal: int | None = None
        self._earlier = {}

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self._earlier[number] = signal.signal(number, self._request)
        return self

    def _request(self, number, frame):
        self.signal = number
        signal.signal(number, self._earlier[number])

    def __exit__(self, *unused):
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
