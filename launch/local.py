"""Processes on this machine: what a pod does, for tests and debugging, with virtual devices."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mm15_jax.config.jobs import Job
from mm15_jax.launch import fan_out, names
from mm15_jax.launch.fan_out import FOLDER
from mm15_jax.launch.hardware import Hardware
from mm15_jax.launch.options import AT_ONCE, ENVIRONMENT, GRACE, option
from mm15_jax.launch.processes import Group
from mm15_jax.launch.stopping import Stop
from mm15_jax.parallel.environment import (
    COORDINATOR,
    CPU_DEVICES,
    DISTRIBUTED,
    PROCESS,
    PROCESSES,
)

_STATE = "launch.json"


@dataclass(frozen=True)
class Local:
    """N processes of M virtual devices."""

    processes: int = option(2, "processes to start", least=1)
    devices: int = option(
        1, "virtual devices of each process, where there is no accelerator", least=1
    )
    grace: float = GRACE
    at_once: int = AT_ONCE
    env: tuple[str, ...] = ENVIRONMENT

    def hardware(self) -> Hardware:
        """Nothing is planned: virtual devices have the host's memory."""
        return Hardware()

    def missing(self) -> tuple[str, ...]:
        """Nothing has to be given."""
        return ()

    def start(self, name: str, jobs: Sequence[Job], *, dry_run: bool) -> int:
        """Runs the jobs to their end; the exit code of the first that failed."""
        if dry_run:
            for job in jobs:
                print("\n".join(self._rendered(job)))
            return 0
        launch = names.job_name(name)

        def run(job: Job, stop: Stop) -> int:
            return self._run(job, launch, stop)

        return fan_out.run(name, jobs, run, at_once=self.at_once)

    def status(self, name: str) -> int:
        """Prints what is known of a launch's jobs, of a job, or of all."""
        found = _jobs_of(name)
        if not found:
            print(f"nothing was launched from here ({FOLDER}/ is empty)")
        for each, state in found.items():
            if _runs(state):
                text = f"running, process ids {' '.join(map(str, state['pids']))}"
            elif state["exit_code"] is None:
                text = "ended from outside"
            else:
                text = f"ended with {state['exit_code']}"
            print(f"{each}: {text}; logs in {FOLDER / each}/")
        return 0

    def logs(self, name: str, *, worker: int, follow: bool) -> int:
        """Prints a process's log; with `follow` as it grows, until the launch ends."""
        _read(name)
        path = FOLDER / name / f"process_{worker}.log"
        if not path.exists():
            count = len(list(path.parent.glob("process_*.log")))
            raise ValueError(f"{name} has no process {worker}; expected 0 to {count - 1}")
        with path.open(errors="replace") as log:
            while True:
                ended = not _runs(_read(name))  # before reading: what it wrote last is read too
                print(log.read(), end="", flush=True)
                if not follow or ended:
                    return 0
                time.sleep(0.5)

    def stop(self, name: str) -> int:
        """Asks a launch, or one of its jobs, to stop, and waits until it has."""
        jobs = _jobs_of(name)
        running = [job for job, state in jobs.items() if _runs(state)]
        # The launcher tells all jobs, and starts no more.
        pids = {state["launcher"] for state in jobs.values() if _lives(state)}
        if all(state.get("launch", name) != name for state in jobs.values()):
            pids = {pid for job in running for pid in jobs[job]["pids"]}
        if not pids:
            print(f"{name} does not run")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, signal.SIGTERM)
        for job in running:
            while _runs(state := _read(job)):
                time.sleep(0.2)
            print(f"{job} ended with {state['exit_code']}")
        return 0

    def _run(self, job: Job, launch: str, stop: Stop) -> int:
        name = names.job_name(job.name)
        folder = FOLDER / name
        if (folder / _STATE).exists() and _runs(_read(name)):
            raise ValueError(f"{name} runs already: mm15 launch local stop {name}, or give --name")
        folder.mkdir(parents=True, exist_ok=True)
        logs = [folder / f"process_{i}.log" for i in range(self.processes)]
        for log in logs:
            log.write_bytes(b"")
        state: dict[str, Any] = {"launch": launch, "launcher": os.getpid()}
        state["began"] = _start_time(os.getpid())
        state |= {"commands": [list(c) for c in job.commands], "pids": [], "exit_code": None}
        code = 0
        for command in job.commands:
            group = Group(logs, self.grace, stop)
            group.start(self._commands(command), self._environments(_free_port()))
            state["pids"] = group.pids
            _write(folder, state)
            code = group.wait() or stop.exit_code
            if code:
                break
        _write(folder, state | {"exit_code": code})
        return code

    def _commands(self, command: Sequence[str]) -> list[list[str]]:
        return [fan_out.here(command)] * self.processes

    def _environments(self, port: int) -> list[dict[str, str]]:
        plain = {k: v for k, v in os.environ.items() if k not in (COORDINATOR, DISTRIBUTED)}
        return [plain | self._variables(i, port) for i in range(self.processes)]

    def _variables(self, process: int, port: int) -> dict[str, str]:
        own = {CPU_DEVICES: str(self.devices), "PYTHONUNBUFFERED": "1"}
        if self.processes > 1:
            own |= {COORDINATOR: f"127.0.0.1:{port}", PROCESSES: str(self.processes)}
            own |= {PROCESS: str(process)}
        return own | names.variables(self.env)

    def _rendered(self, job: Job) -> list[str]:
        lines = [f"# {names.job_name(job.name)}"]
        for command in job.commands:
            if job.alone:
                lines.append(shlex.join(fan_out.here(command)))
                continue
            port = _free_port()
            for process, words in enumerate(self._commands(command)):
                variables = self._variables(process, port).items()
                assignments = " ".join(f"{key}={shlex.quote(value)}" for key, value in variables)
                background = " &" if process < self.processes - 1 else ""
                lines.append(f"{assignments} {shlex.join(words)}{background}")
        return lines


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _read(name: str) -> dict:
    path = FOLDER / name / _STATE
    if not path.exists():
        known = sorted(p.parent.name for p in FOLDER.glob(f"*/{_STATE}"))
        raise ValueError(f"no launch {name!r} was made here; known are: {', '.join(known) or '-'}")
    return json.loads(path.read_text())


def _jobs_of(name: str) -> dict[str, dict]:
    """What is known of the jobs of a launch, or of the one so named; of all where it is empty."""
    jobs = {job: _read(job) for job in sorted(p.parent.name for p in FOLDER.glob(f"*/{_STATE}"))}
    if not name:
        return jobs
    found = {job: state for job, state in jobs.items() if name in (job, state.get("launch"))}
    return found or {name: _read(name)}  # which says what is known


def _write(folder: Path, state: dict) -> None:
    draft = folder / f".{_STATE}"
    draft.write_text(json.dumps(state, indent=1))
    draft.replace(folder / _STATE)


def _runs(state: dict) -> bool:
    return state["exit_code"] is None and _lives(state)


def _lives(state: dict) -> bool:
    """Whether the launcher does; another process may have its number by now."""
    return _start_time(state["launcher"]) == state["began"]


def _start_time(pid: int) -> str:
    """Of a process, in ticks since the machine started; empty if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _start_time_by_ps(pid)
    fields = stat.rpartition(")")[2].split()
    # A process that has ended stays until its parent asks for its exit code.
    return "" if fields[0] == "Z" else fields[19]


def _start_time_by_ps(pid: int) -> str:
    """Where there is no /proc."""
    import subprocess

    try:
        command = ["ps", "-o", "lstart=", "-p", str(pid)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
