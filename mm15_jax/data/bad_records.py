"""Records that cannot be read: each is named, and too many of them end the run."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

# A share of bad records is judged over at least so many examples: one bad record among the first
# ten says nothing.
_JUDGED_OVER = 10_000


class BadRecords:
    """Counts examples that were read, and those that could not be."""

    def __init__(self, max_fraction: float):
        """`max_fraction`: of all examples, that may be bad; `data.max_bad_fraction`."""
        self._allowed = max_fraction
        self._seen = self._bad = 0

    def add(self, good: int, bad: list[tuple[str, str, str]]) -> None:
        """Counts examples; logs the bad ones, each (source, key, reason).

        Raises:
          ValueError: if there are more bad ones than may be.
        """
        self._seen += good + len(bad)
        self._bad += len(bad)
        for source, key, reason in bad:
            log.warning("left out %s of %s: %s", key, source, reason)
        if self._bad > self._allowed * max(self._seen, _JUDGED_OVER):
            source, key, reason = bad[-1]
            raise ValueError(
                f"{self._bad} of {self._seen} examples could not be read, more than "
                f"data.max_bad_fraction {self._allowed:g} allows; the last is {key} of {source}: "
                f"{reason}"
            )
