"""SIGTERM, SIGINT or SIGHUP as a request that the loop answers between two steps."""

from __future__ import annotations

import contextlib
import os
import signal

import jax
from jax.experimental import multihost_utils

from mm15_jax.parallel.signals import stop_signals

_STDERR = 2
# A first step takes minutes to compile: silence would look like a signal that was not heard.
_SAYS = "stopping after the step under way (a first one also compiles), then saving"


class StopRequest:
    """Inside the context the first signal is remembered; a second one acts as usual.

    Of several processes one may be told first: JAX's preemption service, which then receives
    SIGTERM, names a step that all of them can still reach (`agree`).
    """

    def __init__(self):
        self.signal: int | None = None
        self._earlier = {}

    def __enter__(self):
        if jax.process_count() == 1:
            for number in stop_signals():
                self._earlier[number] = signal.signal(number, self._request)
        return self

    def agree(self, step: int) -> None:
        """Whether any process was told to stop, asked by all of them after the same step."""
        if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(step):
            self.signal = signal.SIGTERM

    def _request(self, number, frame):
        self.signal = number
        for other, handler in self._earlier.items():
            signal.signal(other, handler)
        # Not print: the signal may have come in the middle of one.
        text = f"\n{signal.Signals(number).name}: {_SAYS}; a second one ends at once\n"
        with contextlib.suppress(OSError):  # closed
            os.write(_STDERR, text.encode())

    def __exit__(self, *unused):
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
