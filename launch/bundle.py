"""The working tree as an archive for machines that have none: the same bytes for the same files."""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import mm15_jax

LOCK = "requirements.lock"
_NEEDED = ("setup.py", LOCK)
_MOST_BYTES = 100 * 2**20
# Untracked files that may hold credentials do not leave this machine.
_SECRET_NAMES = [".env", ".env.*", "*.pem", "*.key", "*.p12", "id_rsa*", "id_ed25519*"]
_SECRET_NAMES += ["*credential*", "*secret*.json", "*service_account*.json", ".netrc", ".npmrc"]


def source_root() -> Path:
    """The working tree that this program runs from.

    Raises:
        ValueError: If it was installed from a wheel.
    """
    root = Path(mm15_jax.__file__).resolve().parents[1]
    if not all((root / name).is_file() for name in _NEEDED):
        raise ValueError(
            "mm15 was not installed from a working tree, so there is none to send: clone the "
            "repository, and `make setup` there"
        )
    return root


class Archive(NamedTuple):
    """A .tar.gz, and a digest by which two trees are told apart."""

    content: bytes
    tree: str


def archive(root: Path, others: Mapping[str, str]) -> Archive:
    """The tree under `source/` and, beside it, other files by name.

    The tree is what git tracks, as it is on the disk, and what git neither tracks nor ignores.
    Its digest is in `source.sha256` beside it.

    Raises:
        ValueError: If there is more than a hundred megabytes of it.
    """
    files = {name: (root / name).read_bytes() for name in _files_of(root)}
    total = sum(map(len, files.values()))
    if total > _MOST_BYTES:
        largest = max(files, key=lambda name: len(files[name]))
        raise ValueError(
            f"the working tree has {total / 2**20:.0f} MB, more than {_MOST_BYTES / 2**20:.0f}; "
            f"the largest file is {largest}: have git ignore what is no source"
        )
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    beside = {name: text.encode() for name, text in others.items()}
    beside["source.sha256"] = f"{digest.hexdigest()}\n".encode()
    modes = {name: os.stat(root / name).st_mode & 0o755 for name in files}
    with io.BytesIO() as buffer:
        # No time of packing, so that the bytes tell whether something changed.
        with (
            gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w") as tar,
        ):
            for name, content in beside.items():
                _add(tar, name, content, 0o644)
            for name, content in files.items():
                _add(tar, f"source/{name}", content, modes[name])
        return Archive(buffer.getvalue(), digest.hexdigest())


def relative(word: str, root: Path) -> str:
    """A word of a command, where it is `file.py:function` with the file's path from the root.

    Raises:
        ValueError: If such a file is outside the tree.
    """
    path, colon, function = word.rpartition(":")
    if not (colon and path.endswith(".py") and Path(path).is_file()):
        return word
    absolute = Path(path).resolve()
    if not absolute.is_relative_to(root):
        raise ValueError(f"{path} is outside {root}, which is sent: put it inside")
    return f"{absolute.relative_to(root)}:{function}"


def _files_of(root: Path) -> list[str]:
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached"]
    try:
        tracked = _names(command)
        others = _names([*command[:-1], "--others", "--exclude-standard"])
    except (OSError, subprocess.CalledProcessError):
        raise ValueError(f"{root} is no git repository, which says what is source") from None
    held = [name for name in others if _may_be_secret(name)]
    if held:
        print(f"not sent, as they may hold credentials: {', '.join(held)}", file=sys.stderr)
    wanted = {*tracked, *others} - set(held)
    return sorted(name for name in wanted if (root / name).is_file())


def _names(command: list[str]) -> list[str]:
    out = subprocess.run(command, capture_output=True, check=True).stdout
    return [name.decode() for name in out.split(b"\0") if name]


def _may_be_secret(name: str) -> bool:
    last = os.path.basename(name).lower()
    return any(fnmatch.fnmatch(last, pattern) for pattern in _SECRET_NAMES)


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
