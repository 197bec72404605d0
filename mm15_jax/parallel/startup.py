"""What JAX is told before it is first used: one place for all commands."""

from __future__ import annotations

import functools
import os
import pathlib

import jax

CACHE_DIR = "MM15_COMPILE_CACHE"  # environment: folder of compiled programs
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"


@functools.cache
def start_jax(batch_rows: int | None = None) -> None:
    """Turns on the cache of compiled programs, and divides a CPU into devices for training.

    With the cache a second run of a shape starts in seconds; its programs are, to the bit, those
    that were compiled (tests/train). For training each core of a CPU becomes a device with a part
    of the batch's rows, rather than a thread of one device: it is faster, and sums do not depend
    on which thread is first.

    Args:
      batch_rows: of the training batch; None where only one device is wanted.
    """
    if batch_rows and "JAX_NUM_CPU_DEVICES" not in os.environ:
        os.environ["JAX_NUM_CPU_DEVICES"] = str(devices_for(batch_rows, len(_cores())))
        jax.config.update("jax_num_cpu_devices", int(os.environ["JAX_NUM_CPU_DEVICES"]))
        flags = os.environ.get("XLA_FLAGS", "")
        if "xla_cpu_multi_thread_eigen" not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} {_ONE_THREAD}".strip()
    folder = os.environ.get(CACHE_DIR) or pathlib.Path("~/.cache/mm15_jax/compiled").expanduser()
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


def devices_for(batch_rows: int, cores: int) -> int:
    """The most devices, one a core at most, that a batch's rows divide over."""
    return max(n for n in range(1, max(cores, 1) + 1) if batch_rows % n == 0)


def _cores() -> range | set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)
