"""Copies of a bucket's large files on a local disk, for libraries that map files.

A file is fetched whole when it is first wanted, continued where an earlier process was stopped,
checked, and then renamed to its place. All processes of a host share the copies: one fetches, the
others wait for it. Copies stay until somebody deletes them, which may be done at any time.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import logging
import os
import pathlib
import shutil
import threading
import time
from collections.abc import Iterator

from mm15_jax.data import storage
from mm15_jax.data.storage import StorageError

log = logging.getLogger(__name__)

CACHE = "MM15_CACHE"  # environment: folder of the copies
_DEFAULT = "~/.cache/mm15_jax/data"
_REQUEST = 16 << 20  # bytes asked for at a time; a stop loses no more
_WORTH_A_LINE = 50_000_000  # bytes, that have come since the last one


def place_of(remote: pathlib.Path, sha256: str | None = None) -> pathlib.Path:
    """Where the copy of a file is, or will be; another content has another place."""
    folder = pathlib.Path(os.environ.get(CACHE) or _DEFAULT).expanduser()
    name = f"{sha256[:16]}-{remote.name}" if sha256 else remote.name
    return folder.joinpath(*remote.parent.parts[1:], name)


def is_there(copy: pathlib.Path, size: int) -> bool:
    """Whether a copy is whole."""
    return copy.is_file() and copy.stat().st_size == size


def local_file(path: pathlib.Path) -> pathlib.Path:
    """A file on a local disk: itself, or its copy. Its name must say its content, for good.

    Raises:
      FileNotFoundError: if there is none.
    """
    if not storage.is_remote(path):
        return path
    size = storage.size_of(path)
    if size is None:
        raise FileNotFoundError(str(path))
    return fetch(path, size)


def fetch(remote: pathlib.Path, size: int, sha256: str | None = None) -> pathlib.Path:
    """The local copy of a bucket's file, fetched if it is not there yet.

    Args:
      remote: an address in a bucket.
      size: bytes that it must have.
      sha256: that it must have, in hexadecimal; None: not checked.

    Raises:
      StorageError: if it cannot be fetched, has not the size or checksum, or the disk is full.
    """
    copy = place_of(remote, sha256)
    if is_there(copy, size):
        return copy
    copy.parent.mkdir(parents=True, exist_ok=True)
    with _lock(copy):
        if is_there(copy, size):  # another was here while we waited
            if copy not in _counted:
                METER.expect(-size)
                _counted.add(copy)
            return copy
        part = copy.with_name(f".{copy.name}.part")
        resumed = part.exists()
        whole = _download(part, remote, size, sha256)
        if not whole and resumed:  # what an earlier process had left was of no use
            whole = _download(part, remote, size, sha256)
        if not whole:
            raise StorageError(
                f"{remote} has not the size and sha256 that its manifest says: prepare the data "
                "set again"
            )
        os.replace(part, copy)
        _counted.add(copy)
    return copy


def _download(part: pathlib.Path, remote: pathlib.Path, size: int, sha256: str | None) -> bool:
    """Appends what is missing; whether the file is now as it must be. It is removed if not."""
    client, source = storage.client_of(remote)
    with open(part, "ab") as file:
        have = file.tell()
        free = shutil.disk_usage(part.parent).free
        if free < size - have:
            raise StorageError(
                f"{remote} needs {(size - have) / 1e9:.1f} GB in {part.parent}, where "
                f"{free / 1e9:.1f} GB are free: let {CACHE} name a folder on a larger disk"
            )
        while have < size:
            with storage.telling(remote):
                chunk = client.cat_file(source, start=have, end=min(have + _REQUEST, size))
            if not chunk:
                break
            file.write(chunk)
            have += len(chunk)
            METER.add(len(chunk))
    if have == size and sha256 in (None, storage.file_sha256(part)):
        return True
    part.unlink()
    return False


@contextlib.contextmanager
def _lock(copy: pathlib.Path) -> Iterator[None]:
    """One at a time, of threads and processes alike; the system frees it when a holder dies."""
    with open(copy.with_name(f".{copy.name}.lock"), "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Meter:
    """Says in the log, while files are being fetched, how far that is and how long it takes."""

    def __init__(self, seconds_between_lines: float = 10.0):
        self._between = seconds_between_lines
        self._lock = threading.Lock()
        self._expected = self._arrived = 0  # bytes
        self._shown = (time.monotonic(), 0)  # of the last line: when, and bytes that had arrived

    def expect(self, size: int) -> None:
        """So many more bytes are to come, or fewer where it is negative."""
        with self._lock:
            self._expected += size

    def add(self, size: int) -> None:
        """So many bytes have come."""
        with self._lock:
            self._arrived += size
            now = time.monotonic()
            seconds, fresh = now - self._shown[0], self._arrived - self._shown[1]
            done = self._arrived >= self._expected
            if fresh < _WORTH_A_LINE or (seconds < self._between and not done):
                return
            self._shown = (now, self._arrived)
            total = max(self._expected, self._arrived)
            left = datetime.timedelta(seconds=round((total - self._arrived) * seconds / fresh))
            log.info(
                "fetched %.2f of %.2f GB of data, %.0f MB/s%s",
                self._arrived / 1e9,
                total / 1e9,
                fresh / 1e6 / max(seconds, 1e-9),
                "" if done else f", {left} left if all of it is read",
            )


METER = Meter()
_counted: set[pathlib.Path] = set()  # copies that came, by whomever, and the meter knows of
