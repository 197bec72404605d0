"""Tar and zip files of strangers, read member by member, never unpacked onto a disk.

What could harm is refused by name: a member whose name leads out of the archive, a link or device,
a member too large, a file that unpacks to absurdly more than it holds. What is damaged is reported
and counted, never taken for the end. Samples are grouped as webdataset does (its `base_plus_ext`
and `group_by_keys`): the name up to the first dot of its last part is the key, the rest a field.
"""

from __future__ import annotations

import functools
import gzip
import io
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from mm15_jax.data import storage
from mm15_jax.data.preparation import BadRecord, DataError
from mm15_jax.data.source import Source

MEMBER_BYTES = 512 * 2**20  # a larger member is refused: it would be held in memory
MAX_RATIO = 200  # unpacked bytes of one packed; JSON of a repeated key reaches 50
HARMLESS_BYTES = 16 * 2**20  # the ratio does not matter below this
_GZIP = b"\x1f\x8b"
_BLOCK = 512  # of a tar file
# What damaged archives make the readers raise.
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError)
_UNREADABLE = (NotImplementedError, RuntimeError)  # zip: unknown method, encrypted

Wanted = Callable[[str], bool]


@dataclass(frozen=True)
class Member:
    """A file in an archive."""

    name: str  # as in the archive, cleaned of "./"
    data: bytes


@dataclass(frozen=True)
class Sample:
    """Files of a tar that share a key."""

    key: str  # "00012/000120034"
    fields: dict[str, bytes]  # by extension in lower case, without the first dot: "jpg", "seg.png"


def safe_name(name: str) -> str:
    """A member's name, normalised.

    Raises:
      DataError: if it is empty, absolute or leads out of the archive.
    """
    clean = posixpath.normpath(name.replace("\\", "/"))
    absolute = posixpath.isabs(clean) or clean[1:2] == ":"
    if clean in ("", ".", "..") or absolute or clean.startswith("../") or "\0" in clean:
        raise DataError(f"a member named {name!r}, which leads out of the archive")
    return clean


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise DataError(f"a member of {size:,} bytes; the limit is {limit:,}")


class _Unpacked(io.RawIOBase):
    """A gzip stream that ends in an error where it has unpacked too much."""

    def __init__(self, packed: BinaryIO, size: int):
        self._stream = gzip.GzipFile(fileobj=packed)
        self._limit = max(size * MAX_RATIO, HARMLESS_BYTES)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET and offset > self._limit:
            raise self._bomb()
        return self._stream.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= self._limit - self.tell():
            size = self._limit - self.tell() + 1
        data = self._stream.read(size)
        if self.tell() > self._limit:
            raise self._bomb()
        return data

    def _bomb(self) -> DataError:
        return DataError(
            f"it unpacks to more than {self._limit:,} bytes, {MAX_RATIO} times its size"
        )


def tar_members(
    source: Source, file: str, wanted: Wanted = lambda name: True, limit: int = MEMBER_BYTES
) -> Iterator[Member | BadRecord]:
    """The regular files of a tar (or tar.gz) in their order, one in memory at a time.

    Args:
      source: where the archive is.
      file: its name in the source.
      wanted: whether a member of this name is to be read; others are passed over.
      limit: bytes of the largest member that is read.

    Yields:
      A member; or a BadRecord for one that is refused, and for the place where the archive is
      damaged, which is then its end.

    Raises:
      OSError: if the source does not answer; what is behind may be good.
    """
    last = "its beginning"
    try:
        with source.open(file) as packed:
            zipped = packed.read(len(_GZIP)) == _GZIP
            packed.seek(0)
            stream = cast(BinaryIO, _Unpacked(packed, source.size(file)) if zipped else packed)
            with tarfile.open(fileobj=stream, mode="r:") as tar:
                while (info := tar.next()) is not None:
                    cast(Any, tar).members = []  # it would remember every one
                    last = info.name
                    if info.isdir():
                        continue
                    try:
                        name = safe_name(info.name)
                        if info.issparse() or not info.isreg():
                            raise DataError("a link, device or sparse file, not a regular file")
                        if not wanted(name):
                            continue
                        _check_size(info.size, limit)
                    except DataError as error:
                        yield BadRecord(f"{file}:{info.name}", str(error))
                        continue
                    content = tar.extractfile(info)
                    assert content is not None, info.name
                    data = content.read()
                    if len(data) != info.size:
                        raise tarfile.ReadError("unexpected end of data")
                    yield Member(name, data)
                # tarfile takes a damaged header for the end; the true end is a block of zeros.
                stream.seek(tar.offset)
                block = stream.read(_BLOCK)
                if block.strip(b"\0") or len(block) < _BLOCK:
                    raise tarfile.ReadError("no end marker follows: it is truncated or damaged")
    except (DataError, *_DAMAGE) as error:
        storage.raise_of_network(error)
        yield BadRecord(file, f"the archive cannot be read behind {last}: {error}")


def tar_samples(
    source: Source, file: str, fields: Collection[str], limit: int = MEMBER_BYTES
) -> Iterator[Sample | BadRecord]:
    """The samples of a webdataset tar, in their order.

    Args:
      source: where the archive is.
      file: its name in the source.
      fields: extensions to read, in lower case; others are passed over.
      limit: bytes of the largest member that is read.

    Yields:
      Samples that have at least one of the fields. A BadRecord for a sample of which a member is
      refused or there twice, whose key was there before, or that the damaged archive may cut.
    """
    wanted = frozenset(fields)
    seen: set[str] = set()
    sample: Sample | None = None
    problem = ""

    def finished() -> Iterator[Sample | BadRecord]:
        if sample is not None:
            yield BadRecord(f"{file}:{sample.key}", problem) if problem else sample

    for member in tar_members(source, file, lambda name: _split(name)[1] in wanted, limit):
        if isinstance(member, BadRecord):
            key, field = _split(member.key.removeprefix(f"{file}:"))
            if member.key == file:  # the archive ends here
                if sample is None:
                    yield member
                else:
                    yield BadRecord(f"{file}:{sample.key}", problem or member.reason)
                return
            if field not in wanted:
                yield member
                continue
            data, reason = b"", member.reason
        else:
            (key, field), data, reason = _split(member.name), member.data, ""
        if sample is None or key != sample.key:
            yield from finished()
            sample, problem = Sample(key, {}), ""
            if key in seen:
                problem = "a sample of this key was there before"
            seen.add(key)
        if field in sample.fields:
            reason = f"it has two members {field!r}"
        sample.fields[field] = data
        problem = problem or reason
    yield from finished()


def _split(name: str) -> tuple[str, str]:
    """(key, field) of a member: "a/b.seg.png" -> ("a/b", "seg.png"); no field without a dot."""
    folder, _, base = name.rpartition("/")
    stem, _, field = base.partition(".")
    return posixpath.join(folder, stem), field.lower()


class ZipArchive:
    """A zip file whose members are read by name.

    Raises:
      DataError: if it is damaged, or its members claim too much more than its size.
    """

    def __init__(self, source: Source, file: str):
        self._file = file
        size = source.size(file)
        try:
            self._zip = zipfile.ZipFile(source.open(file))
        except (*_DAMAGE, *_UNREADABLE) as error:
            storage.raise_of_network(error)
            raise DataError(f"{file} is not a readable zip file: {error}") from error
        # Members may overlap, so that each has a modest ratio and all together do not.
        total = sum(info.file_size for info in self._zip.infolist())
        if total > max(size * MAX_RATIO, HARMLESS_BYTES):
            raise DataError(f"{file} unpacks to {total:,} bytes, {MAX_RATIO} times its size")
        self._infos = self._zip.infolist()
        self._by_name = {self._key(info): info for info in self._infos}

    @staticmethod
    def _key(info: zipfile.ZipInfo) -> str:
        return posixpath.normpath(info.filename)

    def names(self) -> list[str]:
        """Names of all files, in order, as they are: `read` refuses the unsafe."""
        return [info.filename for info in self._infos if not info.is_dir()]

    def __contains__(self, name: str) -> bool:
        return posixpath.normpath(name) in self._by_name

    def read(self, name: str, limit: int = MEMBER_BYTES) -> bytes:
        """The bytes of a member.

        Raises:
          DataError: if there is none of this name, it is unsafe, too large or damaged.
        """
        clean = safe_name(name)
        info = self._by_name.get(clean)
        if info is None:
            raise DataError(f"there is no member {name!r} in {self._file}")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise DataError(f"the member {name!r} of {self._file} is a link or device")
        _check_size(info.file_size, limit)
        if info.file_size > max(info.compress_size * MAX_RATIO, HARMLESS_BYTES):
            raise DataError(
                f"the member {name!r} of {self._file} unpacks to over {MAX_RATIO} times"
            )
        try:
            return self._zip.read(info)
        except (*_DAMAGE, *_UNREADABLE) as error:
            storage.raise_of_network(error)
            raise DataError(f"the member {name!r} of {self._file} is damaged: {error}") from error


@functools.lru_cache(maxsize=8)
def zip_archive(source: Source, file: str) -> ZipArchive:
    """A zip file, kept open for the next picture."""
    return ZipArchive(source, file)


def zip_members(
    source: Source, file: str, wanted: Wanted = lambda name: True, limit: int = MEMBER_BYTES
) -> Iterator[Member | BadRecord]:
    """The files of a zip in their order; otherwise as `tar_members`."""
    try:
        archive = zip_archive(source, file)
    except DataError as error:
        yield BadRecord(file, str(error))
        return
    seen: set[str] = set()
    for name in archive.names():
        try:
            clean = safe_name(name)
            if clean in seen:
                raise DataError("a member of this name was there before")
            seen.add(clean)
            if wanted(clean):
                yield Member(clean, archive.read(name, limit))
        except DataError as error:
            yield BadRecord(f"{file}:{name}", str(error))
