"""Token and tile counts of a data set under a configuration, without decoding a pixel.

The counts are what the packer plans with. They are cached beside the data under a hash of all they
depend on: the records, the tokenizer, the splitting, the objective, the vision tokens of a tile,
the resolution, and the source text of the code that formats an example.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import logging
import os
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mm15_jax.config.schema import InputsConfig
from mm15_jax.data.cache import local_file
from mm15_jax.data.processes import spawn_pool
from mm15_jax.data.records import Dataset, open_dataset
from mm15_jax.data.storage import write_atomically
from mm15_jax.inputs import formatting, image_splitting
from mm15_jax.inputs.tokenizer import load_tokenizer

log = logging.getLogger(__name__)

UNUSABLE = -1  # token count of a record that is damaged or cannot be formatted
_CHUNK = 2048  # records a task
_PARALLEL_FROM = 100_000  # below this many records, starting processes costs more than it saves
Progress = Callable[[int, int], None]  # (records done, records in all)


@dataclass(frozen=True)
class Index:
    """Counts of each record of a data set, in its order."""

    tokens: np.ndarray  # int32[n], image tokens included; UNUSABLE for a bad record
    tiles: np.ndarray  # int32[n]
    checksum: str  # of all the counts depend on


@functools.cache
def _code_checksum() -> str:
    texts = [Path(str(module.__file__)).read_bytes() for module in (formatting, image_splitting)]
    return hashlib.sha256(b"".join(texts)).hexdigest()


def _checksum(
    dataset: Dataset, inputs: InputsConfig, *, tokens_per_tile: int, resolution: int
) -> str:
    facts = {
        "records": dataset.manifest.checksum,
        "tokenizer": load_tokenizer(inputs.tokenizer).fingerprint,
        "splitting": asdict(inputs.splitting),
        "objective": inputs.objective,
        "tokens_per_tile": tokens_per_tile,
        "resolution": resolution,
        "code": _code_checksum(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _measure_range(
    directory: str, start: int, stop: int, inputs: InputsConfig, tokens_per_tile: int, side: int
) -> np.ndarray:
    """int32[2, stop - start]: tokens and tiles; runs in a worker process as well."""
    dataset, tokenizer = open_dataset(directory), load_tokenizer(inputs.tokenizer)
    return _measure(dataset, start, stop, inputs, tokenizer, tokens_per_tile, side)


def _measure(dataset, start, stop, inputs, tokenizer, tokens_per_tile, side) -> np.ndarray:
    counts = np.zeros((2, stop - start), np.int32)
    for i in range(start, stop):
        try:
            counts[:, i - start] = formatting.measure(
                dataset[i], tokenizer, inputs, tokens_per_tile=tokens_per_tile, resolution=side
            )
        except ValueError as error:
            log.warning("record %d of %s cannot be used: %s", i, dataset.name, error)
            counts[:, i - start] = UNUSABLE, 0
    return counts


def load_index(
    dataset: Dataset,
    inputs: InputsConfig,
    *,
    tokens_per_tile: int,
    resolution: int,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Index:
    """The index of a data set, from the cache or computed and put there.

    Args:
      dataset: prepared split.
      inputs: tokenizer, splitting and objective; row sizes play no part.
      tokens_per_tile: vision tokens a tile.
      resolution: side of a tile in pixels.
      workers: processes for a large data set; default the number of CPUs.
      progress: called with (records done, records in all) while counting.

    Returns:
      The counts of every record.
    """
    sizes = {"tokens_per_tile": tokens_per_tile, "resolution": resolution}
    checksum = _checksum(dataset, inputs, **sizes)
    path = dataset.directory / f"index-{checksum[:16]}.npz"
    cached = _read(path, checksum, len(dataset))
    if cached is not None:
        return cached
    counts = _count(dataset, inputs, tokens_per_tile, resolution, workers, progress)
    index = Index(counts[0], counts[1], checksum)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, tokens=index.tokens, tiles=index.tiles, checksum=checksum)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:  # a data directory that may only be read: count anew every time
        log.warning("the index of %s is not kept: %s", dataset.name, error)
    return index


def _read(path: Path, checksum: str, records: int) -> Index | None:
    try:
        with np.load(local_file(path)) as arrays:
            index = Index(arrays["tokens"], arrays["tiles"], str(arrays["checksum"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s cannot be read (%s): counting again", path, error)
        return None
    whole = index.checksum == checksum and len(index.tokens) == len(index.tiles) == records
    return index if whole else None


def _count(dataset, inputs, tokens_per_tile, side, workers, progress) -> np.ndarray:
    records = len(dataset)
    starts = range(0, records, _CHUNK)
    bounds = [(start, min(start + _CHUNK, records)) for start in starts]
    parts: list[np.ndarray] = []

    def collect(counts: np.ndarray) -> None:
        parts.append(counts)
        if progress is not None:
            progress(bounds[len(parts) - 1][1], records)

    workers = min(workers or os.cpu_count() or 1, len(bounds))
    if records < _PARALLEL_FROM or workers < 2:
        tokenizer = load_tokenizer(inputs.tokenizer)
        for start, stop in bounds:
            collect(_measure(dataset, start, stop, inputs, tokenizer, tokens_per_tile, side))
    else:
        with spawn_pool(workers) as pool:
            directory = str(dataset.directory)
            tasks = [
                pool.submit(_measure_range, directory, *bound, inputs, tokens_per_tile, side)
                for bound in bounds
            ]
            for task in tasks:
                collect(task.result())
    return np.concatenate(parts, axis=1) if parts else np.zeros((2, 0), np.int32)
