"""Programs of others, such as sbatch, gcloud and kubectl: run, and their failures told."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence

from mm15_jax.launch.stopping import Stop

LOOK_UP_SECONDS = 180.0  # in which a question is answered, or counts as not answered
WORK_SECONDS = 1800.0  # in which machines are set up, sent something, or given back
TIMED_OUT = 124  # exit code of a program that had to be ended, as timeout(1) has it
_POLL_SECONDS = 0.5
_GRACE_SECONDS = 5.0  # from SIGTERM to SIGKILL
_INSTALL = {
    "sbatch": "launch from a login node of the cluster",
    "squeue": "launch from a login node of the cluster",
    "gcloud": "install the Google Cloud CLI, and gcloud auth login",
    "kubectl": "install it with gcloud components install kubectl",
    "xpk": "install it in an environment of its own, with uv tool install xpk",
}
_LAST_CHARACTERS = 800


class ProgramError(ValueError):
    """A program ended with an error; the message has its last words."""

    def __init__(self, message: str, code: int, said: str):
        super().__init__(message)
        self.code, self.said = code, said


def output_of(
    words: Sequence[str],
    *,
    text: str = "",
    seconds: float = LOOK_UP_SECONDS,
    stop: Stop | None = None,
) -> str:
    """What a program prints on stdout.

    It has a session of its own, so that all that it started ends with it; it cannot ask for a
    password in the terminal.

    Args:
        words: The command.
        text: For its stdin.
        seconds: After which it is ended, and has failed.
        stop: By which it is ended earlier.

    Raises:
        ProgramError: If it fails; ValueError if it is not installed.
        StopRequestedError: If `stop` asks for it.
    """
    check_installed(words[0])
    stop = stop or Stop()  # that nothing asks
    stop.check()
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )
    try:
        out, errors = _communicate(process, text, seconds, stop)
        code = process.returncode
    except subprocess.TimeoutExpired:
        out, errors = _end(process)
        code, errors = TIMED_OUT, f"{errors}\nno end after {seconds:g} s"
    except BaseException:
        _end(process)
        raise
    if code:
        said = (errors or out).strip()[-_LAST_CHARACTERS:]
        raise ProgramError(
            f"{' '.join(words[:4])} ... ended with {code}: {said or 'no message'}", code, said
        )
    return out


def _communicate(
    process: subprocess.Popen[str], text: str, seconds: float, stop: Stop
) -> tuple[str, str]:
    """As Popen's, in short pieces: between two of them it is seen whether to stop."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return process.communicate(text, timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            text = ""  # it is on its way
            stop.check()
            if time.monotonic() > deadline:
                raise


def _end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Ends a program and what it started; what they said."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            return process.communicate(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return "", ""


def show(words: Sequence[str]) -> int:
    """Runs a program that prints to the user's own terminal; its exit code."""
    check_installed(words[0])
    return subprocess.run(words, check=False).returncode


def check_installed(program: str) -> None:
    """ValueError, with what to do, where a program is not on the path."""
    if shutil.which(program) is None:
        hint = _INSTALL.get(program, "install it")
        raise ValueError(f"{program} is not on this machine: {hint}")
