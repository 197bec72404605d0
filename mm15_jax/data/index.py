"""Token and tile counts of a data set under a configuration, without decoding a pixel.

The counts are what the packer plans with. They are cached beside the data under a hash of all they
depend on: the records, the tokenizer, the splitting, the objective, the vision tokens of a tile,
the resolution, and the source text of the code that formats an example.

An index has 6 bytes a record and is not read into memory: a data set of 2 billion pairs has 12 GB
of it. What is looked up is mapped for as long as the look-up takes.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mm15_jax.config.schema import InputsConfig
from mm15_jax.data import storage
from mm15_jax.data.cache import local_file
from mm15_jax.data.processes import available_cpus, spawn_pool
from mm15_jax.data.progress import duration
from mm15_jax.data.records import Dataset, open_dataset
from mm15_jax.inputs import formatting, image_splitting, video
from mm15_jax.inputs.example import Example, Text
from mm15_jax.inputs.tokenizer import load_tokenizer

log = logging.getLogger(__name__)

UNUSABLE = -1  # token count of a record that is damaged or cannot be formatted
DOCUMENT = -1  # tile count of plain text, which has no tile and may be cut into pieces
COUNTS = np.dtype([("tokens", "<i4"), ("tiles", "<i2")])  # of a record; image tokens included
_CHUNK = 2048  # records a task
_PARALLEL_FROM = 100_000  # below this many records, starting processes costs more than it saves
_QUIET_SECONDS = 30.0


@dataclass(frozen=True)
class Index:
    """Counts of each record of a data set, in its order; on disk, or in memory if need be."""

    counts: Path | np.ndarray  # COUNTS[n]; the path of a .npy file
    checksum: str  # of all the counts depend on

    @classmethod
    def of(cls, tokens, tiles, checksum: str = "") -> Index:
        """An index in memory, from two arrays."""
        counts = np.empty(len(tokens), COUNTS)
        counts["tokens"], counts["tiles"] = tokens, tiles
        return cls(counts, checksum)

    def __len__(self) -> int:
        return len(self._array())

    def __getitem__(self, records) -> np.ndarray:
        """COUNTS of a slice of the records, or of an array of their numbers; a copy."""
        # Mapped anew each time: pages that were touched would else stay in this process's memory.
        return np.array(self._array()[records])

    def chunks(self, size: int) -> Iterator[tuple[int, np.ndarray]]:
        """(first record, COUNTS of at most `size` records), from the first to the last."""
        for start in range(0, len(self), size):
            yield start, self[start : start + size]

    def _array(self) -> np.ndarray:
        if isinstance(self.counts, np.ndarray):
            return self.counts
        return np.load(self.counts, mmap_mode="r")


@functools.cache
def _code_checksum() -> str:
    texts = [
        Path(str(module.__file__)).read_bytes() for module in (formatting, image_splitting, video)
    ]
    return hashlib.sha256(b"".join(texts)).hexdigest()


def _checksum(
    dataset: Dataset, inputs: InputsConfig, *, tokens_per_tile: int, resolution: int
) -> str:
    facts = {
        "records": dataset.manifest.checksum,
        "tokenizer": load_tokenizer(inputs.tokenizer).fingerprint,
        "splitting": asdict(inputs.splitting),
        "video": asdict(inputs.video),
        "objective": inputs.objective,
        "tokens_per_tile": tokens_per_tile,
        "resolution": resolution,
        "code": _code_checksum(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _measure_range(
    directory: str, start: int, stop: int, inputs: InputsConfig, tokens_per_tile: int, side: int
) -> np.ndarray:
    """COUNTS[stop - start]; runs in a worker process."""
    dataset, tokenizer = open_dataset(directory), load_tokenizer(inputs.tokenizer)
    return _measure(dataset, start, stop, inputs, tokenizer, tokens_per_tile, side)


def _measure(dataset, start, stop, inputs, tokenizer, tokens_per_tile, side) -> np.ndarray:
    counts = np.zeros(stop - start, COUNTS)
    for i in range(start, stop):
        try:
            example = dataset[i]
            tokens, tiles = formatting.measure(
                example, tokenizer, inputs, tokens_per_tile=tokens_per_tile, resolution=side
            )
            counts[i - start] = counts_of(example, tokens, tiles)
        except ValueError as error:
            log.warning("record %d of %s cannot be used: %s", i, dataset.name, error)
            counts[i - start] = UNUSABLE, 0
    return counts


def counts_of(example: Example, tokens: int, tiles: int) -> tuple[int, int]:
    """One of COUNTS, of an example that was measured."""
    # A picture book of 40,000 pictures fits no row, whatever its number.
    return tokens, DOCUMENT if is_document(example) else min(tiles, np.iinfo(np.int16).max)


def is_document(example: Example) -> bool:
    """Whether an example is plain text alone, neither pictures nor turns: it may be cut."""
    return all(isinstance(s, Text) and s.role == "document" for s in example.segments)


def load_index(
    dataset: Dataset,
    inputs: InputsConfig,
    *,
    tokens_per_tile: int,
    resolution: int,
    workers: int | None = None,
) -> Index:
    """The index of a data set, from the cache or computed and put there.

    Counting a large one takes a while: the log has a line every half minute.

    Args:
      dataset: prepared split.
      inputs: tokenizer, splitting and objective; row sizes play no part.
      tokens_per_tile: vision tokens a tile.
      resolution: side of a tile in pixels.
      workers: processes for a large data set; default the number of CPUs.

    Returns:
      The counts of every record.
    """
    sizes = {"tokens_per_tile": tokens_per_tile, "resolution": resolution}
    checksum = _checksum(dataset, inputs, **sizes)
    path = dataset.directory / f"index-{checksum[:16]}.npy"
    if not _is_whole(path, len(dataset)):
        parts = _count(dataset, inputs, tokens_per_tile, resolution, workers)
        counts = None
        try:
            with storage.draft(path) as temporary:
                _write(temporary, parts, len(dataset))
                # Mapped, so that it outlives the draft where the bucket does not take it.
                counts = np.load(temporary, mmap_mode="r")
        except OSError as error:  # a data directory that may only be read: count every time
            log.warning("the index of %s is not kept: %s", dataset.name, error)
            if counts is None:
                parts = _count(dataset, inputs, tokens_per_tile, resolution, workers)
                counts = np.concatenate([np.zeros(0, COUNTS), *parts])
            return Index(counts, checksum)
    return Index(local_file(path), checksum)


def _write(path: Path, parts: Iterable[np.ndarray], records: int) -> None:
    """Writes a .npy file part by part."""
    with open(path, "wb") as file:
        header = {"descr": COUNTS.descr, "fortran_order": False, "shape": (records,)}
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(part.tobytes())
        file.flush()
        os.fsync(file.fileno())


def _is_whole(path: Path, records: int) -> bool:
    """Whether the file has counts of so many records; its name says of which."""
    try:
        found = np.load(local_file(path), mmap_mode="r")
    except FileNotFoundError:
        return False
    except (OSError, ValueError, EOFError) as error:
        log.warning("%s cannot be read (%s): counting again", path, error)
        return False
    return found.dtype == COUNTS and found.shape == (records,)


def _count(dataset, inputs, tokens_per_tile, side, workers) -> Iterator[np.ndarray]:
    """COUNTS of the records, a part at a time."""
    records = len(dataset)
    bounds = [(a, min(a + _CHUNK, records)) for a in range(0, records, _CHUNK)]
    workers = min(workers or available_cpus(), len(bounds))
    if records < _PARALLEL_FROM or workers < 2:
        tokenizer = load_tokenizer(inputs.tokenizer)
        parts = (_measure(dataset, *b, inputs, tokenizer, tokens_per_tile, side) for b in bounds)
    else:
        parts = _in_processes(dataset.directory, bounds, inputs, tokens_per_tile, side, workers)
    began = told = time.monotonic()
    for (_, stop), part in zip(bounds, parts, strict=True):
        yield part
        now = time.monotonic()
        if stop < records and now - told >= _QUIET_SECONDS:
            told, left = now, (now - began) * (records - stop) / stop
            words = f"{stop:,} of {records:,} records, {duration(left)} left"
            log.info("counting what %s takes: %s", dataset.name, words)


def _in_processes(directory, bounds, inputs, tokens_per_tile, side, workers):
    """`_measure_range` of all bounds in order, a few of them ahead: results take no memory."""
    with spawn_pool(workers) as pool:
        under_way: collections.deque = collections.deque()
        for bound in bounds:
            if len(under_way) == 4 * workers:
                yield under_way.popleft().result()
            under_way.append(
                pool.submit(_measure_range, str(directory), *bound, inputs, tokens_per_tile, side)
            )
        while under_way:
            yield under_way.popleft().result()
