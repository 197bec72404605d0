"""Programs of others, such as sbatch, gcloud and kubectl: run, and their failures told."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

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


def output_of(words: Sequence[str], *, text: str | None = None) -> str:
    """What a program prints on stdout.

    Args:
        words: The command.
        text: For its stdin.

    Raises:
        ProgramError: If it fails; ValueError if it is not installed.
    """
    check_installed(words[0])
    done = subprocess.run(words, input=text or "", capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-_LAST_CHARACTERS:]
        raise ProgramError(
            f"{' '.join(words[:4])} ... ended with {done.returncode}: {said or 'no message'}",
            done.returncode,
            said,
        )
    return done.stdout


def show(words: Sequence[str]) -> int:
    """Runs a program that prints to the user's own terminal; its exit code."""
    check_installed(words[0])
    return subprocess.run(words, check=False).returncode


def check_installed(program: str) -> None:
    """ValueError, with what to do, where a program is not on the path."""
    if shutil.which(program) is None:
        hint = _INSTALL.get(program, "install it")
        raise ValueError(f"{program} is not on this machine: {hint}")
