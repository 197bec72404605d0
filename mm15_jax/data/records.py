"""Canonical Examples on disk: ArrayRecord shards and a manifest that is written last.

A data set is `<data_dir>/<name>/<split>/` with shards `00000-of-00004.array_record` and
`manifest.json`. A shard is written under a temporary name and renamed when it is whole; the
manifest says that all of them are. So a directory without a manifest is a preparation that has not
ended, never a small data set.
"""

from __future__ import annotations

import bisect
import dataclasses
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgpack

from mm15_jax.data import cache, shard_files, storage
from mm15_jax.data.storage import file_sha256, write_atomically
from mm15_jax.inputs.example import Example, Image, Segment, Text, Video

RECORD_VERSION = 1  # of the serialised Example
# A record with a clip: an older program says that it cannot read it. All others stay as they were.
_VIDEO_VERSION = 2
MANIFEST = "manifest.json"
SUFFIX = ".array_record"  # of a shard
_KINDS = (Text, Image, Video)  # of a segment; the place is the number in a record


def encode_example(example: Example) -> bytes:
    """An Example as msgpack bytes: [version, source, key, category, segments, metadata].

    Raises:
      ValueError: if a text of it is not Unicode (half of a surrogate pair), or it is too large.
      OverflowError: if a number of its metadata has more than 64 bits.
    """
    clips = any(isinstance(segment, Video) for segment in example.segments)
    version = _VIDEO_VERSION if clips else RECORD_VERSION
    segments = [(_KINDS.index(type(s)), *vars(s).values()) for s in example.segments]
    fields = (version, example.source, example.key, example.category, segments)
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
    if version not in (RECORD_VERSION, _VIDEO_VERSION):
        raise ValueError(
            f"a record of version {version}; this program reads versions {RECORD_VERSION} and "
            f"{_VIDEO_VERSION}: prepare the data set again"
        )
    return Example(tuple(map(_segment, packed)), source, key, category, metadata)


def _segment(packed: Sequence[Any]) -> Segment:
    kind: type[Segment] = _KINDS[packed[0]]
    # msgpack has one kind of sequence.
    fields: Any = (tuple(f) if isinstance(f, list) else f for f in packed[1:])
    return kind(*fields)


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


def shard_name(index: int, shards: int) -> str:
    """File name of a shard, such as 00000-of-00004.array_record."""
    return f"{index:05d}-of-{shards:05d}{SUFFIX}"


def write_shard(path: Path, encoded: Iterable[tuple[str, bytes]]) -> Shard:
    """Writes one shard under a temporary name, then renames it, or uploads it whole to a bucket.

    The bytes depend on the examples alone, so a shard that is written again has the same checksum.

    Args:
      path: of the shard.
      encoded: the category of each example, and the bytes that `encode_example` made of it.

    Raises:
      OSError: if the disk does not take it.
    """
    categories: Counter[str] = Counter()
    with storage.draft(path) as temporary:
        with shard_files.writing(temporary) as write:
            for category, record in encoded:
                write(record)
                categories[category] += 1
        size, checksum = temporary.stat().st_size, file_sha256(temporary)
    return Shard(path.name, categories.total(), size, checksum, dict(sorted(categories.items())))


def holds_shard(directory: Path, shard: Shard) -> bool:
    """Whether a shard is there, with the bytes that it was written with.

    Of an object in a bucket only the size is compared: the store keeps checksums of its own, and to
    read it again would be paid for.
    """
    path = directory / shard.file
    if storage.size_of(path) != shard.bytes:
        return False
    return storage.is_remote(path) or file_sha256(path) == shard.sha256


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Declares a data set whole."""
    text = json.dumps(dataclasses.asdict(manifest), indent=1, sort_keys=True)
    write_atomically(directory / MANIFEST, text.encode())


def read_manifest(directory: Path) -> Manifest:
    """The manifest of `<data_dir>/<name>/<split>`.

    Raises:
      ValueError: if nothing, or only a part, of the data set is there.
    """
    directory = storage.to_path(directory)
    found = manifest_of(directory)
    if found is None:
        name, split = directory.parent.name, directory.name
        command = f"run {_command(directory)} first"
        if not storage.sizes(directory):
            raise ValueError(f"no data set {name!r} ({split}) at {directory}: {command}")
        raise ValueError(f"the data set {name!r} ({split}) at {directory} is not whole: {command}")
    return found


def _command(directory: Path) -> str:
    """What prepares `<data_dir>/<name>/<split>`."""
    return f"`mm15 prepare {directory.parent.name} --out {directory.parent.parent}`"


def manifest_of(directory: Path) -> Manifest | None:
    """As `read_manifest`, by one request; None if there is none."""
    name, split = directory.parent.name, directory.name
    command = f"run {_command(directory)} first"
    try:
        with storage.telling(directory):
            text = (directory / MANIFEST).read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fields = json.loads(text)
        shards = tuple(Shard(**shard) for shard in fields.pop("shards"))
        for shard in shards:
            if Path(shard.file).name != shard.file:
                raise ValueError(f"the shard {shard.file!r} leads out of its folder")
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
        return manifest_of(directory)
    except ValueError:
        return None


class Dataset(Sequence[Example]):
    """Random access to the examples of a prepared split; threads may share it.

    Of a bucket a shard is fetched, whole, when the first of its records is read: see `cache`.
    """

    def __init__(self, directory: Path | str):
        """Opens `<data_dir>/<name>/<split>`; ValueError as of `open_dataset`."""
        self.directory = storage.to_path(directory)
        self.manifest = read_manifest(self.directory)
        self.name = self.manifest.name
        self._check_sizes()
        self._shards = [shard for shard in self.manifest.shards if shard.records]
        self._ends = list(itertools.accumulate(shard.records for shard in self._shards))
        paths = [self.directory / shard.file for shard in self._shards]
        self._absent: set[int] = set()  # numbers of the shards that are not on a local disk yet
        if storage.is_remote(self.directory):
            paths = [
                cache.place_of(path, shard.sha256)
                for path, shard in zip(paths, self._shards, strict=True)
            ]
            self._absent = {
                number
                for number, (copy, shard) in enumerate(zip(paths, self._shards, strict=True))
                if not cache.is_there(copy, shard.bytes)
            }
            cache.METER.expect(sum(self._shards[number].bytes for number in self._absent))
        self._paths = paths
        assert sum(shard.records for shard in self._shards) == self.manifest.records, self.directory

    @property
    def categories(self) -> tuple[str, ...]:
        """Of its examples."""
        return tuple(self.manifest.categories)

    def _check_sizes(self) -> None:
        found = storage.sizes(self.directory)
        for shard in self.manifest.shards:
            size = found.get(shard.file)
            if size != shard.bytes:
                state = "is missing" if size is None else f"has {size} bytes, not {shard.bytes}"
                raise ValueError(
                    f"the data set {self.name!r} ({self.manifest.split}) is not whole: "
                    f"{self.directory / shard.file} {state}; run {_command(self.directory)} again"
                )

    def __len__(self) -> int:
        return self.manifest.records

    def record(self, index: int) -> bytes:
        """The serialised example at `index`, counted from 0; errors as of `read_record`."""
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} of {len(self)} in {self.name!r}")
        number = bisect.bisect_right(self._ends, index)
        self._fetch(number)
        shard = self._shards[number]
        position = int(index) - self._ends[number] + shard.records
        return shard_files.read_record(self._paths[number], shard.sha256, position)

    def _fetch(self, number: int) -> None:
        """Makes sure that a shard is on a local disk."""
        if number in self._absent:
            shard = self._shards[number]
            cache.fetch(self.directory / shard.file, shard.bytes, shard.sha256)
            self._absent.discard(number)  # only now: another thread waits inside `fetch`

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
    directory, examples = storage.to_path(directory), list(examples)
    bounds = [len(examples) * i // shards for i in range(shards + 1)]
    written = tuple(
        write_shard(
            directory / shard_name(i, shards),
            ((e.category, encode_example(e)) for e in examples[bounds[i] : bounds[i + 1]]),
        )
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
