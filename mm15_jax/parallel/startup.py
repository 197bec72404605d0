"""What JAX is told before it is first used: one place for all commands and all processes."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import itertools
import logging
import multiprocessing
import os
import pathlib
from collections.abc import Mapping

import jax
import numpy as np
from jax._src import distributed
from jax.experimental import multihost_utils

from mm15_jax.parallel.environment import (
    COORDINATOR,
    CPU_DEVICES,
    DISTRIBUTED,
    PROCESS,
    PROCESSES,
)
from mm15_jax.parallel.host_memory import keep_freed_memory

log = logging.getLogger(__name__)

LOST = 134  # exit code of a process that another one left alone, which JAX ends by SIGABRT
CACHE_DIR = "MM15_COMPILE_CACHE"  # environment: folder of compiled programs
# How long a process waits for the others to be started. Machines of a slice that was taken back may
# come half an hour after those of the other slices; JAX's 5 minutes would spend a restart each.
_JOIN_SECONDS = 3600
# A process that is lost ends the others after so long: JAX's default of 100 s is paid in chips.
_HEARTBEAT_SECONDS = 30
_SHUTDOWN_SECONDS = 60  # how long the last to finish may be behind the first
_LONG_WORK_SECONDS = 6 * 3600  # how long one process may keep the others waiting
_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"


@functools.cache
def start_jax(batch_rows: int | None = None, *, join: bool = False) -> None:
    """Joins the processes of a run, turns on the compile cache, readies a CPU.

    Processes are joined for training and evaluation; see `join_processes`.

    With the cache a second run of a shape starts in seconds; its programs are, to the bit, those
    that were compiled (tests/train). For training each core of a CPU becomes a device with a part
    of the batch's rows, rather than a thread of one device: it is faster, and sums do not depend
    on which thread is first.

    Args:
      batch_rows: of the training batch; None where a CPU is to stay one device.
      join: whether to join the processes of a run that does not train.
    """
    ignore_absent_tpus()
    if jax.config.jax_platforms == "cpu":
        keep_freed_memory()
    if not batch_rows:
        # The service swallows SIGTERM, which only the training loop asks it for.
        jax.config.update("jax_enable_preemption_service", False)
    processes = join_processes() if batch_rows or join else 1
    if batch_rows and CPU_DEVICES not in os.environ:
        own_rows = max(batch_rows // processes, 1)
        os.environ[CPU_DEVICES] = str(devices_for(own_rows, len(_cores())))
        jax.config.update("jax_num_cpu_devices", int(os.environ[CPU_DEVICES]))
        flags = os.environ.get("XLA_FLAGS", "")
        if "xla_cpu_multi_thread_eigen" not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} {_ONE_THREAD}".strip()
    folder = os.environ.get(CACHE_DIR) or pathlib.Path("~/.cache/mm15_jax/compiled").expanduser()
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


def ignore_absent_tpus() -> None:
    """Keeps libtpu, which `mm15 plan` compiles with, from looking for chips where there are none.

    It complains at length before JAX goes on without it.
    """
    chips = [*pathlib.Path("/dev").glob("accel*"), *pathlib.Path("/dev/vfio").glob("[0-9]*")]
    gpus = any(importlib.util.find_spec(f"jax_{kind}_plugin") for kind in ("cuda12", "cuda13"))
    if not (os.environ.get("JAX_PLATFORMS") or chips or gpus):
        jax.config.update("jax_platforms", "cpu")


@functools.cache  # a chain's stages, which differ in their rows, are of one set of processes
def join_processes() -> int:
    """Joins this process to the others of its run, if it is one of several; returns their number.

    One of several is a process with JAX_COORDINATOR_ADDRESS (host:port of process 0),
    JAX_NUM_PROCESSES and JAX_PROCESS_ID in its environment, or with MM15_DISTRIBUTED=auto on a
    cluster that JAX recognises (TPU pods, Slurm, Kubernetes, Open MPI).

    Raises ValueError for values that cannot be meant.
    """
    if multiprocessing.parent_process() is not None:
        return 1  # a worker of the data pipeline
    limits = {
        "initialization_timeout": _JOIN_SECONDS,
        "heartbeat_timeout_seconds": _HEARTBEAT_SECONDS,
        "shutdown_timeout_seconds": _SHUTDOWN_SECONDS,
    }
    if os.environ.get(COORDINATOR):
        count, index = _whole_number(PROCESSES), _whole_number(PROCESS)
        if not 0 <= index < count:
            raise ValueError(f"{PROCESS} is {index}; expected 0 to {count - 1} ({PROCESSES} - 1)")
        if count == 1:
            return 1
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(
            os.environ[COORDINATOR], count, index, cluster_detection_method="deactivate", **limits
        )
        return count
    wish = os.environ.get(DISTRIBUTED, "")
    if wish not in ("", "auto"):
        raise ValueError(f'{DISTRIBUTED} is {wish!r}; expected "auto", or nothing')
    if wish:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        _join_cluster(limits)
        # `jax.process_count()` would start the backend, before its devices are decided.
        return distributed.global_state.num_processes
    return 1


def _join_cluster(limits: Mapping[str, int]) -> None:
    """Joins the processes that JAX finds; exits as a process that lost one where the first is not.

    A host of TPUs first looks up the name of the first one, which it has once it is started. That
    it never was is no mistake in the command: all of it is to begin anew, as when JAX itself gives
    up waiting for a process.
    """
    try:
        jax.distributed.initialize(**limits)
    except RuntimeError as error:
        if "coordinator address" not in str(error):
            raise
        log.error("the first process was not started in time: %s", error)
        raise SystemExit(LOST) from None


def _whole_number(name: str) -> int:
    text = os.environ.get(name, "")
    if not text.isdecimal():
        raise ValueError(f"{name} is {text!r}; expected a whole number, as {COORDINATOR} is set")
    return int(text)


def devices_for(batch_rows: int, cores: int) -> int:
    """The most devices, one a core at most, that a batch's rows divide over."""
    return max(n for n in range(1, max(cores, 1) + 1) if batch_rows % n == 0)


def _cores() -> range | set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return range(os.cpu_count() or 1)


def is_main() -> bool:
    """Whether this process is the one that writes what all of them know."""
    return jax.process_index() == 0


_places = itertools.count()  # that processes have met at


def wait_for_all(what: str) -> None:
    """Until every process is here; one of them may work for hours before.

    By the coordination service: a collective over CPUs gives up after half a minute, which is less
    than compiling may take longer on one host than on another.

    Args:
        what: Names the place in messages.
    """
    if jax.process_count() > 1:
        place = f"{what}, {next(_places)}"  # a barrier's name serves once
        client = distributed.global_state.client
        client.wait_at_barrier(place, timeout_in_ms=_LONG_WORK_SECONDS * 1000)


def check_alike(what: str, text: str) -> None:
    """ValueError on all processes where they do not have the same text; all of them call it."""
    if jax.process_count() == 1:
        return
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest(), np.int32)
    found = multihost_utils.process_allgather(digest)
    others = np.flatnonzero((found != found[0]).any(axis=1)).tolist()
    if others:
        first = ", ".join(map(str, others[:8])) + (", ..." if len(others) > 8 else "")
        raise ValueError(f"{what} is not the same for all processes: {first} have other than 0")
