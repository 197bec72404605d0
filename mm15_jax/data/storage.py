"""Local folders and buckets (gs://, s3://) alike: paths, whole writes, files that grow.

A path of `to_path` has pathlib's methods wherever it leads, so whoever reads small files need not
know. What differs is here. An object store has no folders and cannot append or rename, and an
object appears whole or not at all. Large files that a library wants on a local disk come through
`mm15_jax.data.cache`.

Credentials are found by gcsfs and s3fs in their usual places, and never pass through this program.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import pathlib
import posixpath
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

log = logging.getLogger(__name__)

_CLIENTS = {"gs": ("gcsfs", "gcs"), "s3": ("s3fs", "s3")}  # scheme to package and our extra
_CLIENT_PACKAGES = {"aiobotocore", "aiohttp", "botocore", "gcsfs", "google", "s3fs"}
_ADDRESSES = "a folder, gs://BUCKET/PATH or s3://BUCKET/PATH"
_COPY_EVERY = 15.0  # seconds between copies of files that grow
_COPY_SHARE = 0.05  # most of the time that copying may take


class StorageError(OSError):
    """An object store did not answer as it should: the network, a permission, damaged data."""


def is_of_store(error: BaseException) -> bool:
    """Whether an error comes from an object store or the network, not from our own code."""
    module = type(error).__module__
    of_client = module.partition(".")[0] in _CLIENT_PACKAGES
    # google.protobuf is no client: it reads TensorFlow's records, and damaged ones too.
    return isinstance(error, StorageError) or (of_client and "protobuf" not in module)


def raise_of_network(error: BaseException) -> None:
    """Raises what an error came from, if that says that a store or a server did not answer.

    It says nothing of the data: it never makes a record bad.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionError | TimeoutError) or is_of_store(cause):
            raise cause
        # zipfile says that a file which cannot be read is none, in the handler of that error.
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Whether a path leads to a bucket."""
    return os.fspath(path).startswith(tuple(f"{scheme}://" for scheme in _CLIENTS))


def to_path(name: str | os.PathLike[str]) -> pathlib.Path:
    """A path with pathlib's methods: to a local file or folder, or to an address in a bucket.

    Raises:
      ValueError: for an address that cannot be meant, or whose package is not installed.
    """
    text = os.fspath(name)
    scheme, separator, rest = text.partition("://")
    if not separator:
        if text.startswith(tuple(f"{scheme}:/" for scheme in _CLIENTS)):  # a slip, or pathlib's
            raise ValueError(f"{text}: did you mean {text.replace(':/', '://', 1)}?")
        return pathlib.Path(text)
    if scheme not in _CLIENTS:  # the rest is not repeated: it may hold a password
        raise ValueError(f"an address {scheme}://... cannot be read; expected {_ADDRESSES}")
    parts = rest.split("/")
    if "@" in parts[0]:
        raise ValueError(
            f"an address {scheme}://... takes no credentials; docs/storage.md says where they go"
        )
    if not parts[0] or ".." in parts:
        raise ValueError(f"{text} names no place in a bucket; expected {scheme}://BUCKET/PATH")
    package, extra = _CLIENTS[scheme]
    if importlib.util.find_spec(package) is None:
        raise ValueError(f"{text} needs {package}: run `pip install mm15_jax[{extra}]`")
    from etils import epath

    _configure_clients()
    return cast(pathlib.Path, epath.Path(text))


def _configure_clients() -> None:
    """Before the first client is made; what the user has set stays."""
    import fsspec

    for scheme in _CLIENTS:
        # Other processes, and TensorStore in this one, write what a kept listing would not show.
        fsspec.config.conf.setdefault(scheme, {}).setdefault("use_listings_cache", False)
    fsspec.config.conf["gs"].setdefault("consistency", "md5")  # an upload that arrived otherwise


def client_of(path: pathlib.Path) -> tuple[Any, str]:
    """Fsspec's file system of an address, and the path in it."""
    import fsspec

    return fsspec.core.url_to_fs(os.fspath(path))


def absolute(path: pathlib.Path) -> pathlib.Path:
    """The path from the root; an address in a bucket is one."""
    return path if is_remote(path) else path.absolute()


def make_folder(path: pathlib.Path) -> None:
    """Makes a folder and those above it; a bucket needs none."""
    if not is_remote(path):
        path.mkdir(parents=True, exist_ok=True)


def sizes(folder: pathlib.Path) -> dict[str, int]:
    """Bytes of each file of a folder, by one listing; empty where there is no such folder."""
    if is_remote(folder):
        return {name: size for name, size in _listed(folder).items() if size is not None}
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    except (FileNotFoundError, NotADirectoryError):
        return {}


def folder_names(folder: pathlib.Path) -> set[str]:
    """Names of the folders in a folder, by one listing; none where there is no such folder."""
    if is_remote(folder):
        return {name for name, size in _listed(folder).items() if size is None}
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_dir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _listed(folder: pathlib.Path) -> dict[str, int | None]:
    """Names in a folder of a bucket, with their bytes; None for folders."""
    client, root = client_of(folder)
    try:
        with telling(folder):
            found = client.ls(root, detail=True)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    names = {
        posixpath.basename(entry["name"].rstrip("/")): (
            int(entry["size"]) if entry["type"] == "file" else None
        )
        for entry in found
        if entry["name"].strip("/") != root.strip("/")  # an empty object that stands for the folder
    }
    names.pop("", None)
    return names


def size_of(path: pathlib.Path) -> int | None:
    """Bytes of a file; None where there is none."""
    try:
        if not is_remote(path):
            return path.stat().st_size
        client, target = client_of(path)
        with telling(path):
            return client.size(target)
    except (FileNotFoundError, NotADirectoryError):
        return None


def file_names(directory: pathlib.Path) -> list[str]:
    """Names of the files in a folder, hidden ones too, sorted; none if it is absent."""
    return sorted(sizes(directory))


def remove_files(directory: pathlib.Path, names: Iterable[str]) -> None:
    """Removes files of a folder, so far as they are there."""
    for name in names:
        (directory / name).unlink(missing_ok=True)


def rename_files(directory: pathlib.Path, names: Mapping[str, str]) -> None:
    """Renames files, old name to new one; a new name may be the old one of another."""
    for old in names:
        (directory / old).replace(directory / f".{old}.tmp")
    for old, new in names.items():
        (directory / f".{old}.tmp").replace(directory / new)


def file_sha256(path: pathlib.Path) -> str:
    """sha256 of a local file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def telling(path: pathlib.Path) -> Iterator[None]:
    """Errors of a store's client as one StorageError that names the address.

    FileNotFoundError stays: to the reader it says that there is nothing.
    """
    try:
        yield
    except (FileNotFoundError, StorageError):
        raise
    except Exception as error:  # every client has exceptions of its own
        raise StorageError(f"{path}: {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def draft(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A local file to write, which becomes `path`, whole, when the block ends without an error."""
    if is_remote(path):
        with tempfile.TemporaryDirectory(prefix="mm15-") as folder:
            temporary = pathlib.Path(folder) / path.name
            yield temporary
            _upload(temporary, path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name that no other process, on any machine that shares the folder, writes to.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: pathlib.Path, data: bytes) -> None:
    """Writes a file so that a reader sees all of it or nothing; makes its folder.

    Raises:
      ValueError: if the address is in a bucket that does not exist.
      StorageError: if the store refuses.
    """
    if is_remote(path):
        client, target = client_of(path)
        with _writing(path):
            client.pipe_file(target, data)
        return
    with draft(path) as temporary, open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _writing(remote: pathlib.Path) -> Iterator[None]:
    try:
        with telling(remote):
            yield
    except FileNotFoundError:
        raise ValueError(f"the bucket of {remote} does not exist, or may not be seen") from None


def _upload(local: pathlib.Path, remote: pathlib.Path) -> None:
    client, target = client_of(remote)
    with _writing(remote):
        client.put_file(os.fspath(local), target)
        arrived = client.size(target)
    if arrived != local.stat().st_size:
        raise StorageError(
            f"{remote} has {arrived} bytes after an upload of {local.stat().st_size}"
        )


class Growing:
    """A folder in which files grow by appending, on a bucket as well. A context manager.

    `folder` is where to write. For a bucket it is a local one, whose files are copied, each whole,
    every 15 s or as rarely as keeps copying under a twentieth of the time, by `sync`, and at the
    end. A local folder is itself.
    """

    def __init__(self, directory: pathlib.Path):
        """Begins with an empty folder where `directory` is in a bucket."""
        self._remote = directory if is_remote(directory) else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mm15-")) if self._remote else directory
        self._copied: dict[pathlib.Path, tuple[int, int]] = {}  # size and time of what is there
        self._one_at_a_time = threading.Lock()
        self._ended = threading.Event()
        if self._remote is None:
            make_folder(directory)
        else:
            self._copier = threading.Thread(target=self._copy_often, name="uploads", daemon=True)
            self._copier.start()

    def sync(self) -> None:
        """Copies what has changed; returns when it is there. StorageError if it cannot be."""
        if self._remote is None:
            return
        with self._one_at_a_time:
            for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
                state = path.stat()
                version = (state.st_size, state.st_mtime_ns)
                if self._copied.get(path) != version:
                    # Read at once: a file that grows under an upload has no size to announce.
                    target = self._remote / path.relative_to(self.folder)
                    write_atomically(target, path.read_bytes())
                    self._copied[path] = version

    def _copy_often(self) -> None:
        pause = _COPY_EVERY
        while not self._ended.wait(pause):
            began = time.monotonic()
            try:
                self.sync()
            except (OSError, ValueError) as error:
                log.warning("not copied yet, kept in %s: %s", self.folder, error)
            pause = max(_COPY_EVERY, (time.monotonic() - began) / _COPY_SHARE)

    def close(self) -> None:
        """Copies the rest; StorageError if it cannot be, and the local folder stays."""
        if self._remote is None or self._ended.is_set():
            return
        self._ended.set()
        self._copier.join()
        try:
            self.sync()
        except (OSError, ValueError) as error:
            raise StorageError(
                f"the last files of {self._remote} are kept in {self.folder}: {error}"
            ) from error
        shutil.rmtree(self.folder)

    def __enter__(self) -> Growing:
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            self.close()
        except StorageError as error:
            if kind is None:
                raise
            log.error("%s", error)  # the error that is under way says more
