"""Signals that ask a program to end, and the end of the program that started it."""

from __future__ import annotations

import os
import signal
import threading
import time

PARENT = "MM15_PARENT"  # in the environment: the process with which this one is to end
_POLL_SECONDS = 0.5


def stop_signals() -> tuple[signal.Signals, ...]:
    """Ctrl-C, a scheduler's wish, and a terminal that closes, unless that is ignored (`nohup`)."""
    asked = (signal.SIGINT, signal.SIGTERM)
    if not hasattr(signal, "SIGHUP") or signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return asked
    return (*asked, signal.SIGHUP)


def watch_parent() -> None:
    """Where PARENT names a process, asks this one to end (SIGTERM) once that has, however it did.

    A SIGKILL of the parent reaches nobody else: its commands would go on beside those of the next.
    """
    parent = os.environ.pop(PARENT, "")  # not for what this process starts
    if parent:
        threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
