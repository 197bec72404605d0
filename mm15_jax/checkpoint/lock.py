"""One training at a time in a run directory: two would write over each other's checkpoints.

A training that was told to stop still saves for a while, and one that was killed with its parent
may not have ended yet: the next one waits for it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import pathlib
import socket
import time
from collections.abc import Iterator
from typing import IO

from mm15_jax.data import storage

LOCK = ".train.lock"  # holds which process has the directory; the lock goes with the process
WAIT_SECONDS = 120.0
_POLL_SECONDS = 0.2
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # what a file system without them says

log = logging.getLogger(__name__)


@contextlib.contextmanager
def alone_in(run_dir: pathlib.Path, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Holds a run directory for this process's training, when whoever has it has ended.

    A bucket has no locks, nor have some network file systems: there nothing is held.

    Args:
      run_dir: is made where it is not there.
      wait_seconds: for another training to end.

    Raises:
      ValueError: another one goes on in it, or it is a file.
    """
    if storage.is_remote(run_dir):
        yield
        return
    if run_dir.exists() and not run_dir.is_dir():
        raise ValueError(f"--run_dir {run_dir} is a file; expected a directory")
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / LOCK).open("a+") as file:
        _take(file, run_dir, wait_seconds)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _take(file: IO[str], run_dir: pathlib.Path, wait_seconds: float) -> None:
    until = time.monotonic() + wait_seconds
    told = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            file.seek(0)
            holder = file.read() or "another process"
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return
            raise
        if time.monotonic() >= until:
            raise ValueError(
                f"{run_dir} is being trained by {holder}; stop it, or name another --run_dir"
            )
        if not told:
            log.warning("%s is still held by %s: waiting for it to end", run_dir, holder)
            told = True
        time.sleep(_POLL_SECONDS)
