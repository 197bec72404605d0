"""Worker processes that start clean and never outlive the program; how many threads decode."""

from __future__ import annotations

import concurrent.futures
import math
import multiprocessing
import os
import signal
import threading
from pathlib import Path

# A thread holds a decoded picture, its copies and its tiles: 25 MB for a page of 150 dpi, 80 MB for
# one of 300. Sixteen make 3,700 tiles a second from pages, more than the step of a host takes.
_MOST_DECODE_THREADS = 16
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "200000 100000": two CPUs; "max 100000": all


def available_cpus() -> int:
    """CPUs that this process may use: by its affinity, and by its container's quota."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        return min(cpus, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max"
        return cpus


def decode_threads(wanted: int) -> int:
    """How many threads decode pictures: as many as wanted; for 0 one a CPU, up to sixteen."""
    return wanted or min(available_cpus(), _MOST_DECODE_THREADS)


def spawn_pool(workers: int) -> concurrent.futures.ProcessPoolExecutor:
    """A pool of fresh processes; its tasks must be importable functions.

    Spawned, not forked: a fork would copy the locks of threads that JAX may have started. An
    interrupt ends the workers at once and without a traceback each, and so does the end of the
    parent, however it ends: the executor's own workers would wait for ever after a SIGKILL.
    """
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker
    )


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "not a worker process"
    parent.join()
    os._exit(1)
