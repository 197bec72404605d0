"""Where published files are: a folder, or a prefix of a bucket (gs://, s3://), read alike."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import posixpath
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import fsspec

from mm15_jax.data import storage
from mm15_jax.data.preparation import DataError

_LOCAL = ("file://", "memory://")  # what fsspec reads without a client package


class Source:
    """Files under one root, by names relative to it; picklable.

    A name that leads out of the root (an absolute path, "..", a link on a local disk) is refused:
    names come from annotation files and archives that strangers wrote.
    """

    def __init__(self, url: str | os.PathLike[str], *, follow_links: bool = False):
        """Names the root; a local folder or a URL that fsspec knows.

        Args:
          url: of the root.
          follow_links: whether links of a local disk may lead out, for those that a user has made.

        Raises:
          ValueError: if there is nothing, or the URL's scheme needs a package that is absent.
        """
        if "://" in os.fspath(url) and not os.fspath(url).startswith(_LOCAL):
            storage.to_path(url)  # says in a sentence what an address should be
        try:
            self._system, root = fsspec.core.url_to_fs(os.fspath(url))
        except (ImportError, ValueError) as error:
            raise ValueError(f"the source {url} cannot be opened: {error}") from error
        self.is_local = self._system.protocol in ("file", ("file", "local"))
        self.root = os.path.realpath(root) if self.is_local else root.rstrip("/")
        self.url = self.root if self.is_local else str(url).rstrip("/")
        self.follow_links = follow_links
        if not self._system.exists(self.root):
            raise ValueError(f"the source {url} does not exist")

    def __repr__(self) -> str:
        return f"Source({self.url!r})"

    def __reduce__(self):
        return _reopened, (self.url, self.follow_links)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and other.__reduce__() == self.__reduce__()

    def __hash__(self) -> int:
        return hash(self.url)

    def _path(self, name: str) -> str:
        clean = posixpath.normpath(name.replace("\\", "/"))
        if posixpath.isabs(clean) or clean == ".." or clean.startswith("../"):
            raise DataError(f"the name {name!r} leads out of {self.url}")
        path = f"{self.root}/{clean}"
        if self.is_local and not self.follow_links:
            real = os.path.realpath(path)
            if real != self.root and not real.startswith(self.root + os.sep):
                raise DataError(
                    f"the name {name!r} leads out of {self.url} by a link; if the link is yours, "
                    "prepare with --follow_links"
                )
        return path

    def glob(self, pattern: str) -> list[str]:
        """Names of files that match, sorted; `**` crosses folders."""
        found = self._system.glob(f"{glob.escape(self.root)}/{pattern}", detail=True)
        names = [path for path, info in found.items() if info["type"] == "file"]
        return sorted(path[len(self.root) :].lstrip("/") for path in names)

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        return self._system.exists(self._path(name))

    def size(self, name: str) -> int:
        """Bytes of a file; DataError if it is not there."""
        return int(self._info(name)["size"])

    def stamp(self, name: str) -> str:
        """A word that changes when the file does: of its size and time or entity tag."""
        info = self._info(name)
        facts = [str(info.get(key)) for key in ("size", "mtime", "etag", "ETag", "md5Hash")]
        return hashlib.blake2b("|".join(facts).encode(), digest_size=8).hexdigest()

    def _info(self, name: str) -> dict:
        try:
            return self._system.info(self._path(name))
        except FileNotFoundError:
            raise DataError(f"there is no file {name!r} in {self.url}") from None

    def open(self, name: str) -> BinaryIO:
        """A seekable binary stream; DataError if the file is not there."""
        try:
            return cast(BinaryIO, self._system.open(self._path(name), "rb"))
        except (FileNotFoundError, IsADirectoryError):
            raise DataError(f"there is no file {name!r} in {self.url}") from None

    def read(self, name: str) -> bytes:
        """A whole file; DataError if it is not there."""
        with self.open(name) as stream:
            return stream.read()

    @contextlib.contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """The file on a local disk, for libraries that want a path; a copy if it is remote."""
        if self.is_local:
            self._info(name)
            yield Path(self._path(name))
            return
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / posixpath.basename(name)
            with self.open(name) as stream, open(path, "wb") as copy:
                shutil.copyfileobj(stream, copy)
            yield path


def _reopened(url: str, follow_links: bool) -> Source:
    return Source(url, follow_links=follow_links)
