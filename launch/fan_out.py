"""Runs jobs that wait for one another, several at once, on targets that know no such order.

What ended well is remembered in a file beside the launch's logs, so that the same command again
starts only what is left: on a pod even finding out that a run is complete would be paid for.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from mm15_jax.config.jobs import Job
from mm15_jax.launch import names
from mm15_jax.launch.stopping import Stop

FOLDER = Path("runs/launches")  # a folder a launch: logs, and what is known of it
_DONE = "done.json"
_POLL_SECONDS = 0.5

STOPPED = 143  # exit code of what was told to stop, and saved
RunJob = Callable[[Job, Stop], int]


class EndedFromOutsideError(ValueError):
    """Somebody took a job away on purpose."""


def run(name: str, jobs: Sequence[Job], run_job: RunJob, *, at_once: int = 1) -> int:
    """Runs jobs, each after those it waits for.

    A job that fails keeps back those that wait for it; others go on. Once somebody ended a job from
    outside nothing more is started.

    Args:
        name: Of the launch.
        jobs: To run.
        run_job: Runs one to its end, or until it is asked to stop; its exit code.
        at_once: Jobs that may run at the same time.

    Returns:
        0 if all ended well, now or in an earlier launch of this name; else the first failure's
        exit code, or 128 + the signal that stopped this program.

    Raises:
        ValueError: What `run_job` raises of a single job; of several, it counts as a failure.
    """
    with Stop() as stop:
        if len(jobs) == 1:
            return run_job(jobs[0], stop)
        return _FanOut(name, check_order(jobs), run_job, stop).run(at_once)


def check_order(jobs: Sequence[Job]) -> Sequence[Job]:
    """The jobs, whose names are unique and which wait only for those before them."""
    before: set[str] = set()
    for job in jobs:
        assert job.name not in before, f"two jobs are called {job.name}"
        assert before.issuperset(job.after), f"{job.name} waits for a job that does not come before"
        before.add(job.name)
    return jobs


class _FanOut:
    def __init__(self, name: str, jobs: Sequence[Job], run_job: RunJob, stop: Stop):
        self._name, self._jobs, self._run_job, self._stop = name, jobs, run_job, stop
        self._path = FOLDER / names.job_name(name) / _DONE
        self._receipts = json.loads(self._path.read_text()) if self._path.exists() else {}
        self._codes: dict[str, int] = {}  # of jobs that have ended
        self._first_failure, self._ended_from_outside = 0, False

    def run(self, at_once: int) -> int:
        for job in self._jobs:
            if self._receipts.get(job.name) == _digest(job):
                self._codes[job.name] = 0
        left = [job for job in self._jobs if job.name not in self._codes]
        running: dict[concurrent.futures.Future, Job] = {}
        with concurrent.futures.ThreadPoolExecutor(max(at_once, 1)) as pool:
            while left or running:
                if self._stop.signal or self._ended_from_outside:
                    left = []
                for job in [j for j in left if self._ready(j)][: at_once - len(running)]:
                    left.remove(job)
                    run_job = _run_here if job.alone else self._run_job
                    running[pool.submit(run_job, job, self._stop)] = job
                left = self._without_hopeless(left)
                self._tell(running.values())
                for future in _first_ended(running):
                    self._ended(running.pop(future), future)
        return self._first_failure or self._stop.exit_code

    def _ready(self, job: Job) -> bool:
        return all(self._codes.get(name) == 0 for name in job.after)

    def _without_hopeless(self, left: list[Job]) -> list[Job]:
        kept = []
        for job in left:
            failed = [name for name in job.after if self._codes.get(name)]
            if failed:
                print(f"{job.name} is not started: {failed[0]} failed", file=sys.stderr)
                self._codes[job.name] = 1
            else:
                kept.append(job)
        return kept

    def _ended(self, job: Job, future: concurrent.futures.Future) -> None:
        try:
            code = future.result()
        except ValueError as error:
            print(f"{job.name}: {error}", file=sys.stderr)
            code = STOPPED if isinstance(error, EndedFromOutsideError) else 2
        if code == STOPPED:
            self._ended_from_outside = True
        self._codes[job.name] = code
        if code:
            print(f"{job.name} ended with {code}", file=sys.stderr)
            self._first_failure = self._first_failure or code
            return
        self._receipts[job.name] = _digest(job)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".tmp")
        draft.write_text(json.dumps(self._receipts, indent=1))
        draft.replace(self._path)

    def _tell(self, running) -> None:
        done = sum(code == 0 for code in self._codes.values())
        names_ = ", ".join(job.name for job in running) or "nothing"
        print(
            f"{self._name}: {done} of {len(self._jobs)} jobs done; running {names_}",
            file=sys.stderr,
        )


def _first_ended(running: Collection[concurrent.futures.Future]) -> set[concurrent.futures.Future]:
    """Waits for one to end, if there is one."""
    ended: set[concurrent.futures.Future] = set()
    # In short pieces: a signal that another thread gets, or this one just before it waits, does not
    # wake it, and its handler runs in this thread only.
    while running and not ended:
        ended, _ = concurrent.futures.wait(
            running, _POLL_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
        )
    return ended


def here(command: Sequence[str]) -> list[str]:
    """A command of mm15 for this machine."""
    return [sys.executable, "-m", "mm15_jax.cli.main", *command]


def _run_here(job: Job, stop: Stop) -> int:
    """A job that needs no accelerator."""
    for command in job.commands:
        code = subprocess.run(here(command), check=False).returncode
        if code:
            return code
    return stop.exit_code


def _digest(job: Job) -> str:
    return hashlib.sha256(json.dumps(job.commands).encode()).hexdigest()[:16]
