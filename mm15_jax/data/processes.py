"""Worker processes that start clean and never outlive the program."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import threading


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
