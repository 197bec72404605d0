"""Canonical Examples on disk: ArrayRecord shards and a manifest that is written last.

A data set is `<data_dir>/<name>/<split>/` with shards `00000-of-00004.array_record` and
`manifest.json`. A shard is written under a temporary name and renamed when it is whole; the
manifest says that all of them are. So a directory without a manifest is a preparation that has not
ended, never a small data set.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack
from array_record.python import array_record_data_source, array_record_module

from mm15_jax.inputs.example import Example, Image, Text

RECORD_VERSION = 1  # of the serialised Example
MANIFEST = "manifest.json"
# One record a group: every record is read alone, in random order. Pictures are compressed already.
_WRITER_OPTIONS = "group_size:1,zstd:3"
_TEXT, _IMAGE = 0, 1


def encode_example(example: Example) -> bytes:
    """An Example as msgpack bytes: [version, source, key, category, segments, metadata]."""
    segments: list[tuple] = []
    for segment in example.segments:
        if isinstance(segment, Text):
            segments.append((_TEXT, segment.text, segment.role, segment.loss))
        else:
            assert isinstance(segment, Image), type(segment)
            segments.append((_IMAGE, segment.data, segment.height, segment.width, segment.role))
    fields = (RECORD_VERSION, example.source, example.key, example.category, segments)
    return msgpack.packb((*fields, dict(example.metadata)))


def decode_example(record: bytes) -> Example:
    """The Example that `encode_example` made into bytes.

    Raises:
      ValueError: if the bytes are damaged or of another record version.
    """
    try:
        version, source, key, category, packed, metadata = msgpack.unpackb(record)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise ValueError(f"a record that is not a serialised example: {error}") from error
    if version != RECORD_VERSION:
        raise ValueError(
            f"a record of version {version}; this program reads version {RECORD_VERSION}: "
            "prepare the data set again"
        )
    segments = tuple(
        Text(*fields[1:]) if fields[0] == _TEXT else Image(*fields[1:]) for fields in packed
    )
    return Example(segments, source, key, category, metadata)


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a data set, as the manifest lists it."""

    file: str
    records: int
    bytes: int
    sha256: str
    categories: dict[str, int]  # examples of each category


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a prepared split is made of; `manifest.json`."""

    name: str
    split: str
    category: str
    licence: str
    version: int  # of the preparation that made it
    ordered: bool  # a curriculum, read as written
    records: int
    shards: tuple[Shard, ...]
    record_version: int = RECORD_VERSION
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # source, limit

    @property
    def categories(self) -> dict[str, int]:
        """Examples of each category, over all shards."""
        total: Counter[str] = Counter()
        for shard in self.shards:
            total.update(shard.categories)
        return dict(sorted(total.items()))

    @property
    def checksum(self) -> str:
        """sha256 over the shards' checksums in order: the identity of the examples."""
        return hashlib.sha256(" ".join(s.sha256 for s in self.shards).encode()).hexdigest()


def _temporary(path: Path) -> Path:
    """A name beside `path` that no other process, on any machine, writes to."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file, and its folder, so that a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def file_sha256(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_names(directory: Path) -> list[str]:
    """Names of the files in a data set's folder, hidden ones too, sorted; none if it is absent."""
    if not directory.is_dir():
        return []
    return sorted(path.name for path in directory.iterdir() if path.is_file())


def remove_files(directory: Path, names: Iterable[str]) -> None:
    """Removes files of a data set's folder, so far as they are there."""
    for name in names:
        (directory / name).unlink(missing_ok=True)


def rename_files(directory: Path, names: Mapping[str, str]) -> None:
    """Renames files, old name to new one; a new name may be the old one of another."""
    for old in names:
        os.replace(directory / old, directory / f".{old}.tmp")
    for old, new in names.items():
        os.replace(directory / f".{old}.tmp", directory / new)


def holds_shard(directory: Path, shard: Shard) -> bool:
    """Whether a shard is there, with the bytes that it was written with."""
    path = directory / shard.file
    if not path.is_file() or path.stat().st_size != shard.bytes:
        return False
    return file_sha256(path) == shard.sha256


def shard_name(index: int, shards: int) -> str:
    """File name of a shard, such as 00000-of-00004.array_record."""
    return f"{index:05d}-of-{shards:05d}.array_record"


def write_shard(path: Path, examples: Iterable[Example]) -> Shard:
    """Writes one shard under a temporary name, then renames it.

    The bytes depend on the examples alone, so a shard that is written again has the same checksum.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    categories: Counter[str] = Counter()
    writer = array_record_module.ArrayRecordWriter(str(temporary), _WRITER_OPTIONS)
    try:
        for example in examples:
            writer.write(encode_example(example))
            categories[example.category] += 1
        writer.close()
    except BaseException:
        if writer.is_open():
            writer.close()
        temporary.unlink(missing_ok=True)
        raise
    size, checksum = temporary.stat().st_size, file_sha256(temporary)
    os.replace(temporary, path)
    return Shard(path.name, categories.total(), size, checksum, dict(sorted(categories.items())))


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Declares a data set whole."""
    text = json.dumps(dataclasses.asdict(manifest), indent=1, sort_keys=True)
    write_atomically(directory / MANIFEST, text.encode())


def read_manifest(directory: Path) -> Manifest:
    """The manifest of `<data_dir>/<name>/<split>`.

    Raises:
      ValueError: if nothing, or only a part, of the data set is there.
    """
    directory = Path(directory)
    name, split = directory.parent.name, directory.name
    command = f"run `mm15 prepare {name}` first"
    if not directory.is_dir() or not any(directory.iterdir()):
        raise ValueError(f"no data set {name!r} ({split}) at {directory}: {command}")
    if not (directory / MANIFEST).is_file():
        raise ValueError(f"the data set {name!r} ({split}) at {directory} is not whole: {command}")
    try:
        fields = json.loads((directory / MANIFEST).read_text())
        shards = tuple(Shard(**shard) for shard in fields.pop("shards"))
        manifest = Manifest(**fields, shards=shards)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{directory / MANIFEST} cannot be read ({error}): delete it and {command}"
        ) from error
    if manifest.record_version != RECORD_VERSION:
        raise ValueError(
            f"the data set {name!r} ({split}) has record version {manifest.record_version}, this "
            f"program reads version {RECORD_VERSION}: {command}"
        )
    return manifest


def find_manifest(directory: Path) -> Manifest | None:
    """The manifest of a split that is whole; None of one that is not, or cannot be read."""
    try:
        return read_manifest(directory)
    except ValueError:
        return None


class Dataset(Sequence[Example]):
    """Random access to the examples of a prepared split; threads may share it."""

    def __init__(self, directory: Path | str):
        """Opens `<data_dir>/<name>/<split>`; ValueError as of `open_dataset`."""
        self.directory = Path(directory)
        self.manifest = read_manifest(self.directory)
        self.name = self.manifest.name
        instructions = []
        for shard in self.manifest.shards:
            path = self.directory / shard.file
            size = path.stat().st_size if path.is_file() else None
            if size != shard.bytes:
                state = "is missing" if size is None else f"has {size} bytes, not {shard.bytes}"
                raise ValueError(
                    f"the data set {self.name!r} ({self.manifest.split}) is not whole: {path} "
                    f"{state}; run `mm15 prepare {self.name}` again"
                )
            if shard.records:
                # The range spares the library from opening every file to count its records.
                instructions.append(f"{path}[0:{shard.records}]")
        self._source = (
            array_record_data_source.ArrayRecordDataSource(instructions) if instructions else ()
        )
        assert len(self._source) == self.manifest.records, self.directory

    def __len__(self) -> int:
        return self.manifest.records

    def record(self, index: int) -> bytes:
        """The serialised example at `index`, counted from 0."""
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)} in {self.name!r}")
        return self._source[int(index)]

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]  # no slices
        """The example at `index`; ValueError if its record is damaged."""
        try:
            return decode_example(self.record(index))
        except ValueError as error:
            raise ValueError(f"record {index} of {self.name!r}: {error}") from error

    def __iter__(self) -> Iterator[Example]:
        return (self[i] for i in range(len(self)))


def open_dataset(directory: Path | str) -> Dataset:
    """Opens `<data_dir>/<name>/<split>` for random access.

    Raises:
      ValueError: if the data set is absent or incomplete; the sentence names the command that
        prepares it.
    """
    return Dataset(directory)


def write_dataset(
    directory: Path | str,
    examples: Iterable[Example],
    *,
    shards: int = 1,
    category: str = "",
    licence: str = "",
    version: int = 1,
    ordered: bool = False,
) -> Manifest:
    """Writes examples at hand as a whole data set; `prepare` is the resumable way.

    Args:
      directory: `<data_dir>/<name>/<split>`; its last two parts name the data set and the split.
      examples: the examples, in order.
      shards: number of files; contiguous runs of examples of nearly equal length.
      category: of the manifest; that of the first example where it is empty.
      licence: of the examples.
      version: of whatever made the examples.
      ordered: whether the examples are a curriculum, to be read as written.

    Returns:
      The manifest.
    """
    directory, examples = Path(directory), list(examples)
    bounds = [len(examples) * i // shards for i in range(shards + 1)]
    written = tuple(
        write_shard(directory / shard_name(i, shards), examples[bounds[i] : bounds[i + 1]])
        for i in range(shards)
    )
    category = category or (examples[0].category if examples else "")
    manifest = Manifest(
        name=directory.parent.name,
        split=directory.name,
        category=category,
        licence=licence,
        version=version,
        ordered=ordered,
        records=len(examples),
        shards=written,
    )
    write_manifest(directory, manifest)
    return manifest


def check_data_dir(data_dir: Path | str, names: Sequence[str] = ()) -> Path:
    """The data directory as a path; one clear sentence if it is absent or empty.

    Args:
      data_dir: where data sets are.
      names: the data sets that the caller wants, for the command in the sentence.
    """
    path = Path(data_dir)
    if path.is_dir() and any(path.iterdir()):
        return path
    state = "is empty" if path.is_dir() else "does not exist"
    command = " ".join(["mm15 prepare", *(list(names)[:8] or ["NAME"])])
    raise ValueError(f"the data directory {path} {state}: run `{command}` first")


def dataset_counts(
    names: Iterable[str], data_dir: Path | str, split: str = "train", *, allow_missing: bool = False
) -> dict[str, int]:
    """Number of examples of each prepared data set.

    Args:
      names: data sets.
      data_dir: where they are.
      split: such as "train".
      allow_missing: leave out a data set that is not prepared, rather than raise.

    Raises:
      ValueError: if the data directory is absent or empty, or a data set is missing.
    """
    names = list(names)
    data_dir = check_data_dir(data_dir, names)
    present = [name for name in names if (data_dir / name / split / MANIFEST).is_file()]
    if not allow_missing and len(present) < len(names):
        raise ValueError(_missing_sentence(names, present, data_dir, split))
    return {name: read_manifest(data_dir / name / split).records for name in present}


def _missing_sentence(
    names: Sequence[str], present: Sequence[str], data_dir: Path, split: str
) -> str:
    """What is missing, and the commands that prepare it."""
    from mm15_jax.data.registry import all_preparations  # it imports this module

    missing = [name for name in names if name not in present]
    known = all_preparations()
    made = [name for name in missing if name in known and not known[name].requires_source]
    converted = [name for name in missing if name not in made]
    commands = [f"mm15 prepare {name} --source DIR --out {data_dir}" for name in converted[:3]]
    if made:
        commands.insert(0, f"mm15 prepare {' '.join(made)} --out {data_dir}")
    sentence = (
        f"{len(missing)} of {len(names)} data sets are not prepared in {data_dir} ({split}): "
        f"{', '.join(missing)}; run " + ", ".join(f"`{command}`" for command in commands)
    )
    if len(converted) > 3:
        sentence += " and so on"
    if present:
        sentence += ", or leave them out, with their weight, by --set data.allow_missing=true"
    return sentence
