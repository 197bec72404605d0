"""Compiles steps ahead of time, each in a process of its own, and keeps what was found.

Results are kept in `~/.cache/mm15_jax/plans`, or where MM15_PLAN_CACHE says, by all that decides a
program: the resolved config, the topology, the versions of compiler and JAX, and this package's own
code.
"""

from __future__ import annotations

import ast
import concurrent.futures
import contextlib
import functools
import hashlib
import importlib.metadata
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import mm15_jax
from mm15_jax.config import ExperimentConfig, to_dict
from mm15_jax.parallel.signals import PARENT
from mm15_jax.plan.topology import ENVIRONMENT, Topology
from mm15_jax.plan.worker import versions
from mm15_jax.train.metrics import ProgressLine

CACHE_DIR = "MM15_PLAN_CACHE"
TIMEOUT_SECONDS = 3600.0
# What decides a program, and what is read out of it.
_READING = tuple(f"plan/{n}.py" for n in ("worker", "hlo", "work", "roofline", "topology", "chips"))
_SOURCES = ("config", "model", "parallel", "train", *_READING)
# Nothing here changes a program's shape.
_COMPILER_ENVIRONMENT = ("LIBTPU_INIT_ARGS", "XLA_FLAGS")  # flags of it
_FREE_FIELDS = ("name", "family", "checkpoint", "eval", "init_from", "meshes")
_FREE_TRAIN = ("seed", "log_every")
# Runs `plan.worker`, which ends with this process, however that does: it takes gigabytes.
_WORKER = """
import runpy
from mm15_jax.parallel.signals import watch_parent
watch_parent()
runpy.run_module("mm15_jax.plan.worker", run_name="__main__", alter_sys=True)
"""
_POLL_SECONDS = 0.2
# Python 3.11's parser fails where two threads are in it: several steps are compiled at once.
_PARSING = threading.Lock()
_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class CompileError(RuntimeError):
    """The compiler ended without an answer; the message says how, in one sentence."""


def step_of(
    config: ExperimentConfig,
    topology: Topology,
    *,
    options: dict[str, str] | None = None,
    timeout: float = TIMEOUT_SECONDS,
    memory_limit: int = 0,
    cache: bool = True,
    dump: str = "",
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    """What the compiled step of an experiment needs; see `worker.compile_step`.

    Args:
        config: Whose mesh fits the topology.
        topology: The hardware.
        options: Compiler options.
        timeout: Seconds after which the compiler is ended.
        memory_limit: Bytes of host memory at which it is ended; 0 for none.
        cache: Whether an earlier result will do.
        dump: File that the program's text goes to; such a result is always made anew.
        stop: By which another thread ends the compiler.

    Raises:
        ValueError: If the config cannot be on this topology.
        CompileError: If the compiler fails, or exceeds a limit.
    """
    request = _request(config, topology, options, dump)
    kept = _kept(request)
    if cache and not dump:
        with contextlib.suppress(OSError, ValueError):  # none, or one that a crash cut short
            return {**json.loads(kept.read_text()), "cached": True}
    result = _answer(request, timeout, memory_limit, stop)
    with contextlib.suppress(OSError):  # a plan is worth having without its cache
        kept.parent.mkdir(parents=True, exist_ok=True)
        written = kept.with_suffix(f".{os.getpid()}.{time.monotonic_ns()}")
        written.write_text(json.dumps(result))
        written.replace(kept)
    return {**result, "cached": False}


def program_of(
    config: ExperimentConfig,
    topology: Topology,
    *,
    timeout: float = TIMEOUT_SECONDS,
    memory_limit: int = 0,
    stop: threading.Event | None = None,
    **_: Any,
) -> dict[str, Any]:
    """What `step_of` would compile, in seconds: "program" is a hash of it.

    Args and errors are those of `step_of`.
    """
    request = {**_request(config, topology), "compile": False}
    return {**_answer(request, timeout, memory_limit, stop), "cached": False}


def is_kept(config: ExperimentConfig, topology: Topology) -> bool:
    """Whether `step_of` has an answer without compiling."""
    return _kept(_request(config, topology)).is_file()


def _request(
    config: ExperimentConfig,
    topology: Topology,
    options: dict[str, str] | None = None,
    dump: str = "",
) -> dict[str, Any]:
    return {
        "config": to_dict(config),
        "topology": topology.name,
        "slices": topology.slices,
        "options": dict(options or {}),
        "dump": dump,
        "compile": True,
    }


Result = dict[str, Any] | Exception


def steps_of(
    requests: Sequence[tuple[ExperimentConfig, Topology]],
    *,
    jobs: int,
    found: Callable[[int, Result], None] = lambda number, result: None,
    ask: Callable[..., dict[str, Any]] | None = None,
    **limits: Any,
) -> list[Result]:
    """`step_of` of several, so many at once; a failure stands in its place of the list.

    An interruption (Ctrl-C) ends the compilers and begins none that waits.

    Args:
        requests: What to compile; begun in this order.
        jobs: Compilers at once.
        found: Called with each result and the number of its request, as it comes.
        ask: Instead of `step_of`: `program_of`.
        **limits: As of `step_of`.
    """
    stop = threading.Event()

    def one(request: tuple[ExperimentConfig, Topology]) -> Result:
        try:
            return (ask or step_of)(*request, **limits, stop=stop)
        except (ValueError, CompileError) as error:
            return error

    progress = ProgressLine("plan", len(requests), seconds_between_lines=0)
    results: dict[int, Result] = {}
    began, compiled = time.monotonic(), 0
    with concurrent.futures.ThreadPoolExecutor(max(jobs, 1)) as pool:
        try:
            running = {pool.submit(one, request): i for i, request in enumerate(requests)}
            for future in concurrent.futures.as_completed(running):
                number, result = running[future], future.result()
                results[number] = result
                found(number, result)
                compiled += isinstance(result, Exception) or not result["cached"]
                pace = (time.monotonic() - began) / compiled if compiled else math.nan
                config, topology = requests[number]
                left = len(requests) - len(results)
                text = f"{config.name} on {topology}"
                progress.update(len(results), text, pace * left, final=not left)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[i] for i in range(len(requests))]


def default_jobs() -> int:
    """Compilers at once: each takes one core most of the time, and some gigabytes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, 8))


def _answer(
    request: dict[str, Any], timeout: float, memory_limit: int, stop: threading.Event | None
) -> dict[str, Any]:
    result = _run(request, timeout, memory_limit, stop)
    if "error" in result:
        raise ValueError(result["error"])
    return result


def _run(
    request: dict[str, Any],
    timeout: float,
    memory_limit: int,
    stop: threading.Event | None = None,
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="mm15_plan_") as folder:
        paths = [pathlib.Path(folder) / name for name in ("request", "result", "log")]
        paths[0].write_text(json.dumps(request))
        command = [sys.executable, "-c", _WORKER, *map(str, paths[:2])]
        began = time.monotonic()
        environment = {**os.environ, **ENVIRONMENT, PARENT: str(os.getpid())}
        with paths[2].open("w") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            try:
                reason = _watch(process, began + timeout, memory_limit, stop)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if process.returncode < 0 and not reason:
            reason = f"by signal {-process.returncode}"  # libtpu's trace says less
        if reason:
            raise CompileError(f"compiling {_title(request)} was ended: {reason}")
        result = json.loads(paths[1].read_text()) if paths[1].exists() else {}
        if process.returncode or "failed" in result:
            log_text = paths[2].read_text(errors="replace").strip()
            if os.environ.get("MM15_TRACEBACK"):
                print(log_text, file=sys.stderr)
            said = result.get("failed") or (log_text.splitlines() or ["no message"])[-1].strip()
            raise CompileError(f"compiling {_title(request)} failed: {said}")
        return result


def _title(request: dict[str, Any]) -> str:
    slices = f"{request['slices']} x " if request["slices"] > 1 else ""
    return f"{request['config']['name']} for {slices}{request['topology']}"


def _watch(
    process: subprocess.Popen,
    deadline: float,
    memory_limit: int,
    stop: threading.Event | None = None,
) -> str:
    """Waits for a process; why it has to be ended, or nothing."""
    while process.poll() is None:
        if stop is not None and stop.is_set():
            return "it was interrupted"
        if time.monotonic() > deadline:
            return "it took longer than its time limit"
        used = _resident_bytes(process.pid) if memory_limit else 0
        if used > memory_limit > 0:
            return f"it used {used / 2**30:.1f} GiB of host memory, more than its limit"
        time.sleep(_POLL_SECONDS)
    return ""


def _resident_bytes(pid: int) -> int:
    """Of a process; 0 where the system does not tell."""
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _kept(request: dict[str, Any]) -> pathlib.Path:
    """Where the result of a request is, or would be."""
    return _cache_dir() / f"{_key(request)}.json"


def _cache_dir() -> pathlib.Path:
    return pathlib.Path(os.environ.get(CACHE_DIR) or "~/.cache/mm15_jax/plans").expanduser()


def _key(request: dict[str, Any]) -> str:
    config = {k: v for k, v in request["config"].items() if k not in _FREE_FIELDS}
    config["train"] = {k: v for k, v in config["train"].items() if k not in _FREE_TRAIN}
    config["data"] = config["data"]["mixture"]
    parts = {
        **request,
        "config": config,
        "versions": versions(),
        "libraries": [importlib.metadata.version(name) for name in ("flax", "optax")],
        "environment": {name: os.environ.get(name, "") for name in _COMPILER_ENVIRONMENT},
        "source": source_digest(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@functools.cache
def source_digest() -> str:
    """sha256 of the code that decides a program: comments and docstrings do not."""
    return _digest(_SOURCES)


@functools.cache
def reading_digest() -> str:
    """sha256 of the code that compiles a program and reads figures out of it."""
    return _digest(_READING)


def _digest(names: Sequence[str]) -> str:
    root = pathlib.Path(mm15_jax.__file__).parent
    digest = hashlib.sha256()
    for name in names:
        where = root / name
        for path in [where] if where.is_file() else sorted(where.rglob("*.py")):
            digest.update(_code_of(path.read_text()).encode())
    return digest.hexdigest()


def _code_of(source: str) -> str:
    """A module's source without comments and docstrings."""
    with _PARSING:
        tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
