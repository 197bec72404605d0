"""ArrayRecord files: one written, records of any number of them read at random.

The library knows one error, RuntimeError; here a full disk is an OSError and damage a ValueError.
Its own data source keeps every file open that was ever read: a thousand shards, as a web data set
of ten million pictures has, are as many as a process is commonly allowed.
"""

from __future__ import annotations

import contextlib
import functools
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

from array_record.python.array_record_module import ArrayRecordReader, ArrayRecordWriter

# One record a group: every record is read alone, in random order. Pictures are compressed already.
_WRITER_OPTIONS = "group_size:1,zstd:3"
_READER_OPTIONS = {"options": "readahead_buffer_size:0", "file_reader_buffer_size": 32768}
_MOST_OPEN = 1024  # at 10 bytes a record and shards of 20,000, their readers hold 200 MB


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Yields what appends a record to a new file.

    Raises:
      OSError: if the disk does not take it.
    """
    writer = ArrayRecordWriter(str(path), _WRITER_OPTIONS)

    def write(record: bytes) -> None:
        with _telling_of(path):
            writer.write(record)

    try:
        yield write
    except BaseException:
        with contextlib.suppress(RuntimeError):  # what ended the writing is what is told
            writer.close()
        raise
    with _telling_of(path):
        writer.close()


@contextlib.contextmanager
def _telling_of(path: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def read_record(path: Path, identity: str, position: int) -> bytes:
    """A record of a file; threads may read at the same time.

    Args:
      path: of the file, on a local disk.
      identity: what changes where another file comes to lie there, such as its checksum.
      position: of the record in the file, from 0.

    Raises:
      ValueError: if the record, or what leads to it, is damaged.
      OSError: if the file cannot be opened.
    """
    # A reader that is pushed out is closed when the last thread that reads with it lets go of it.
    reader = _readers()(str(path), identity)
    try:
        return reader.read([position])[0]
    except RuntimeError as error:
        if str(error).startswith("open() failed"):
            raise OSError(f"{path} cannot be opened: {error}") from error
        raise ValueError(f"{path.name} is damaged: {error}") from error


@functools.cache
def _readers() -> Callable[[str, str], ArrayRecordReader]:
    """Readers by path and identity, the latest of them kept; to open one takes half a millisecond.

    A quarter of the files that the process may have open are left to them.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _MOST_OPEN if soft == resource.RLIM_INFINITY else soft // 4
    return functools.lru_cache(maxsize=max(1, min(_MOST_OPEN, allowed)))(_open)


def _open(path: str, identity: str) -> ArrayRecordReader:
    del identity
    return ArrayRecordReader(path, **_READER_OPTIONS)
