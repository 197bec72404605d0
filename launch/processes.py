"""Several processes on this machine as one: logs by process, the first failure stops the rest."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from mm15_jax.launch.stopping import Stop

_POLL_SECONDS = 0.1


class Group:
    """Processes of one run.

    Each has a session of its own, so that Ctrl-C in the terminal reaches this program alone, which
    tells them in its own way: SIGTERM, by which training saves, and SIGKILL after `grace` seconds.
    """

    def __init__(self, logs: Sequence[Path], grace: float, stop: Stop):
        """Nothing is started yet.

        Args:
            logs: The processes' files, one each, appended to.
            grace: Seconds from SIGTERM to SIGKILL.
            stop: Whether they are to be stopped.
        """
        self._logs, self._grace, self._stop = logs, grace, stop
        self._processes: list[subprocess.Popen[bytes]] = []
        self._readers: list[threading.Thread] = []

    @property
    def pids(self) -> list[int]:
        """Of the processes, in their order."""
        return [process.pid for process in self._processes]

    def start(self, commands: Iterable[Sequence[str]], environments: Iterable[Mapping]) -> None:
        """Starts all of them; their output goes to the logs, and here with the process's number."""
        for number, (command, environment) in enumerate(zip(commands, environments, strict=True)):
            process = subprocess.Popen(
                command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            assert process.stdout is not None
            arguments = (number, process.stdout, self._logs[number])
            reader = threading.Thread(target=_copy, args=arguments, daemon=True)
            reader.start()
            self._processes.append(process)
            self._readers.append(reader)

    def wait(self) -> int:
        """Until all have ended; the exit code of the first that failed, 0 where none did.

        A process that a signal killed has 128 + its number, as in a shell.
        """
        try:
            code = self._watch()
        finally:
            self.kill()
            for reader in self._readers:
                reader.join()
        return code

    def kill(self) -> None:
        """At once; processes that have ended stay as they are."""
        for process in self._processes:
            if process.poll() is None:
                _signal(process, signal.SIGKILL)
        for process in self._processes:
            process.wait()

    def _watch(self) -> int:
        deadline, first = math.inf, 0
        while running := [p for p in self._processes if p.poll() is None]:
            first = first or self._first_code()
            if deadline == math.inf and (first or self._stop.signal):
                why = f"a process ended with {first}" if first else f"signal {self._stop.signal}"
                print(f"{why}: stopping the other {len(running)}", file=sys.stderr)
                for process in running:
                    _signal(process, signal.SIGTERM)
                deadline = time.monotonic() + self._grace
            if time.monotonic() > deadline:
                print(f"killing what has not ended in {self._grace:g} s", file=sys.stderr)
                self.kill()
            time.sleep(_POLL_SECONDS)
        return first or self._first_code()

    def _first_code(self) -> int:
        """Of the processes that have ended with an error; 0 if none has."""
        codes = [exit_code(p.returncode) for p in self._processes if p.returncode]
        return codes[0] if codes else 0


def exit_code(returncode: int) -> int:
    """As a shell has it."""
    return 128 - returncode if returncode < 0 else returncode


def _signal(process: subprocess.Popen, number: int) -> None:
    """To the process alone, which knows its children; SIGKILL to them too."""
    try:
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    except ProcessLookupError:
        pass


def _copy(number: int, source: IO[bytes], path: Path) -> None:
    with path.open("ab") as log:
        for line in source:
            log.write(line)
            log.flush()
            sys.stdout.write(f"[{number}] {line.decode(errors='replace')}")
            sys.stdout.flush()
