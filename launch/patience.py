"""What is asked again and again and need not be answered each time: a cloud, a cluster, hosts."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable

from mm15_jax.data.progress import duration
from mm15_jax.launch.programs import ProgramError

_FORGIVEN = 20  # failures in a row
# What waiting does not mend, as gcloud and kubectl have it. Later than the first time it is as
# good as silence: a login that ran out may be renewed while the job goes on.
_REFUSED = re.compile(
    r"PERMISSION_DENIED|UNAUTHENTICATED|INVALID_ARGUMENT|auth login|not properly specified|"
    r"Forbidden|Unauthorized|context was not found|have a resource type"
)

# What may be otherwise the next time, of a service or the way to it.
_PASSING = re.compile(
    r"UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|INTERNAL|\b50[0234]\b|[Tt]imed out|timeout|"
    r"[Cc]onnection|Failed to resolve"
)


def may_pass(error: ProgramError) -> bool:
    """Whether what failed was not refused, so that the same may be asked again."""
    return bool(_PASSING.search(error.said))


class Patience:
    """Of one who asks about a job: failures in a row are told, and many of them raise."""

    def __init__(self, name: str, what_stays: str):
        """Nothing has been asked yet.

        Args:
            name: Of the job.
            what_stays: For who reads the error: what is still paid for.
        """
        self._name, self._what_stays = name, what_stays
        self._failures, self._since, self._ever = 0, 0.0, False

    def ask(self, question: Callable[[], str]) -> str | None:
        """The answer; None where a program failed that was to get it.

        Raises:
            ValueError: As `failed` does.
        """
        try:
            answer = question()
        except ProgramError as error:
            self.failed(error)
            return None
        self.answered()
        return answer

    def answered(self) -> None:
        """Failures are forgiven again."""
        self._failures, self._ever = 0, True

    def failed(self, error: ProgramError) -> None:
        """Tells of a failure.

        Raises:
            ValueError: After too many in a row, or at the first where it is of no use to go on.
        """
        said = last_line(error.said)
        if not self._ever and _REFUSED.search(error.said):
            raise ValueError(f"{error}; {self._what_stays}") from None
        self._since = self._since if self._failures else time.monotonic()
        self._failures += 1
        if self._failures > _FORGIVEN:
            since = duration(time.monotonic() - self._since)
            raise ValueError(
                f"no answer of {self._name} for {since}: {said}; {self._what_stays}"
            ) from None
        print(f"{self._name}: no answer: {said}", file=sys.stderr, flush=True)


def last_line(text: str) -> str:
    """Of what a program said."""
    return (text.strip().splitlines() or ["no message"])[-1]
