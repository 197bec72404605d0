"""Runs commands in processes of their own, several at once, each on a core of its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from mm15_jax.ablations.tasks import Task
from mm15_jax.parallel.signals import PARENT, stop_signals

LOGS = "logs"
COMMAND = ("-m", "mm15_jax.cli.main")  # `mm15`, by the same Python
_GRACE_SECONDS = 60.0  # in which a training run that is told to stop saves
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Ended:
    """How a command ended: with 0 where it is done."""

    task: Task
    code: int
    seconds: float
    log: pathlib.Path


class Stopped(Exception):  # noqa: N818  -- no error: the user's wish
    """A signal asked to stop; the commands under way have saved and ended."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


def run_all(
    tasks: Sequence[Task],
    *,
    workers: int,
    log_dir: pathlib.Path,
    started: Callable[[Task], None],
    ended: Callable[[Ended], None],
    environment: Mapping[str, str] | None = None,
) -> list[Ended]:
    """Runs every task whose predecessors ended well; what is done already is not in `tasks`.

    Args:
      tasks: in the order that they are to begin; what is not among them counts as done.
      workers: commands at once.
      log_dir: of a file for each command's output.
      started: called with each task as it begins.
      ended: called with how each ended.
      environment: of the commands, beside this process's own.

    Returns:
      Those that failed, and those left out because they wait for one that failed (code -1).

    Raises:
      Stopped: on SIGINT, SIGTERM or SIGHUP, when all processes have ended.
    """
    log_dir.mkdir(parents=True, exist_ok=True)
    cores: queue.Queue[set[int]] = queue.Queue()
    for share in _shares(workers):
        cores.put(share)
    stop = threading.Event()
    env = {**os.environ, **(environment or {}), PARENT: str(os.getpid())}
    with _signals(stop) as signals, ThreadPoolExecutor(workers) as pool:
        left = list(tasks)
        failed: list[Ended] = []
        names = {task.name for task in tasks}
        well: set[str] = set()
        running: dict[Future[Ended], Task] = {}
        while left or running:
            bad = {end.task.name for end in failed}
            for task in [t for t in left if bad & set(t.after)]:
                left.remove(task)
                failed.append(Ended(task, -1, 0.0, log_dir))
                bad.add(task.name)
            ready = [t for t in left if all(n in well or n not in names for n in t.after)]
            # After a wish to stop nothing new is started.
            for task in [] if stop.is_set() else ready[: workers - len(running)]:
                left.remove(task)
                started(task)
                running[pool.submit(_run, task, cores, log_dir, env, stop)] = task
            finished, _ = wait(running, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            for future in finished:
                del running[future]
                end = future.result()
                if stop.is_set():
                    continue
                if end.code:
                    failed.append(end)
                else:
                    well.add(end.task.name)
                ended(end)
            if stop.is_set() and not running:
                raise Stopped(signals[0])
    return failed


def _run(
    task: Task,
    cores: queue.Queue[set[int]],
    log_dir: pathlib.Path,
    env: Mapping[str, str],
    stop: threading.Event,
) -> Ended:
    share = cores.get()
    log = log_dir / f"{task.name.replace('/', '_').replace(' ', '_')}.log"
    began = time.monotonic()
    try:
        with log.open("a") as output:
            command = [sys.executable, *COMMAND, *task.command]
            process = subprocess.Popen(
                command, env=env, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches us alone; we pass it on
            )  # fmt: skip
            if share and hasattr(os, "sched_setaffinity"):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(process.pid, share)
            code = _wait(process, stop)
    finally:
        cores.put(share)
    return Ended(task, code, time.monotonic() - began, log)


def _wait(process: subprocess.Popen, stop: threading.Event) -> int:
    """Until it ends; after a wish to stop it is told so, and killed if it does not follow."""
    while process.poll() is None and not stop.is_set():
        time.sleep(_POLL_SECONDS)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def _shares(workers: int) -> list[set[int]]:
    """The process's cores, divided; none where there are fewer cores than workers."""
    if not hasattr(os, "sched_getaffinity"):
        return [set() for _ in range(workers)]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < workers:
        return [set() for _ in range(workers)]
    return [set(cores[i::workers]) for i in range(workers)]


@contextlib.contextmanager
def _signals(stop: threading.Event):
    """Sets `stop` at a signal to end; yields the list of those that came."""
    came: list[int] = []

    def handle(number: int, _) -> None:
        came.append(number)
        stop.set()

    before = {number: signal.signal(number, handle) for number in stop_signals()}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def log_tail(path: pathlib.Path) -> str:
    """The last line of a command's log that says something."""
    try:
        lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return "no log"
    return next((line for line in reversed(lines) if line), "no output")
