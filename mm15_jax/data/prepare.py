"""`mm15 prepare`: a data set made or converted into shards, in processes, resumable by shard.

A split is cut into index ranges, one a shard. A finished shard has a receipt beside it with its
checksum and all that its content depends on; a run that is started again keeps the shards whose
receipt still holds and makes the others. When all are there the manifest is written and takes in
the receipts. Preparing what is prepared changes nothing.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mm15_jax.config.names import unknown
from mm15_jax.data import records, storage
from mm15_jax.data.preparation import Preparation
from mm15_jax.data.processes import spawn_pool
from mm15_jax.data.progress import Event, Progress, ProgressLine
from mm15_jax.data.records import MANIFEST, Manifest, Shard
from mm15_jax.inputs.example import Example

_SHARDS = 32  # of a data set that is neither tiny nor huge
_SHARD_RECORDS = (256, 65_536)  # fewest and most records a shard
_NAMED = 20  # bad records that a report names
_RECEIPTS = "receipts"  # where the manifest keeps them


@dataclasses.dataclass(frozen=True)
class BadRecord:
    """An example that could not be made."""

    index: int
    reason: str


@dataclasses.dataclass(frozen=True)
class SplitReport:
    """What preparing a split came to."""

    name: str
    split: str
    directory: str
    records: int
    bad: int
    bad_records: tuple[BadRecord, ...]  # the first ones
    bytes: int
    categories: dict[str, int]
    shards: int
    shards_kept: int  # made by an earlier run
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain dict for JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class _Task:
    """One shard: picklable, all that a worker process needs but the preparation's functions."""

    name: str
    split: str
    start: int
    stop: int
    path: Path
    source: Path | None
    identity: str  # all that the shard's content depends on, as JSON
    bad_allowed: float


@dataclasses.dataclass(frozen=True)
class _Receipt:
    """Says that a shard is whole, and of what it was made."""

    identity: str
    shard: Shard
    bad_records: tuple[BadRecord, ...]

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> _Receipt:
        bad = tuple(BadRecord(**record) for record in fields["bad_records"])
        return cls(fields["identity"], Shard(**fields["shard"]), bad)


def prepare(
    preparation: Preparation,
    data_dir: Path | str,
    splits: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    source: Path | str | None = None,
    limit: int | None = None,
    max_bad_fraction: float = 0.001,
    progress: Progress | None = None,
) -> list[SplitReport]:
    """Writes a data set under `<data_dir>/<name>/<split>`.

    Args:
      preparation: what to make; with several workers it must be the registry's.
      data_dir: where data sets are; made if absent.
      splits: which splits; default all.
      workers: processes; default the number of CPUs; 1 works in this process.
      source: where the published files are, for a preparation that requires them.
      limit: at most so many examples of a split, the first ones.
      max_bad_fraction: share of a split's examples that may fail before it is given up.
      progress: called for each shard that is done; default a line on stderr.

    Returns:
      A report for each split.

    Raises:
      ValueError: for a split that does not exist, a source that is missing, a limit or number of
        workers below 1, or more bad records than allowed; what was made is kept.
    """
    splits = tuple(preparation.splits if splits is None else splits)
    for split in splits:
        if split not in preparation.splits:
            raise unknown(f"split of {preparation.name}:", split, preparation.splits)
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; expected 1 or more")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; expected 1 or more")
    source = _check_source(preparation, source)
    progress = ProgressLine() if progress is None else progress
    workers = workers or os.cpu_count() or 1
    return [
        _prepare_split(
            preparation,
            storage.to_path(data_dir),
            split,
            workers,
            source,
            limit,
            max_bad_fraction,
            progress,
        )
        for split in splits
    ]


def _check_source(preparation: Preparation, source: Path | str | None) -> Path | None:
    if not preparation.requires_source:
        return None if source is None else Path(source)
    if source is None:
        raise ValueError(
            f"the data set {preparation.name!r} is converted from published files: say where they "
            "are with --source DIRECTORY"
        )
    if not Path(source).exists():
        raise ValueError(f"the source of {preparation.name!r}, {source}, does not exist")
    return Path(source).resolve()


def _prepare_split(
    preparation: Preparation,
    data_dir: Path,
    split: str,
    workers: int,
    source: Path | None,
    limit: int | None,
    max_bad_fraction: float,
    progress: Progress,
) -> SplitReport:
    began = time.monotonic()
    directory = data_dir / preparation.name / split
    total = preparation.examples_in(split, source)
    total = total if limit is None else min(total, limit)
    tasks = _tasks(preparation, directory, split, total, source, max_bad_fraction * total)
    receipts = _valid_receipts(directory, tasks)
    kept = len(receipts)
    missing = [task for task in tasks if task.path.name not in receipts]
    if missing:
        _reopen(directory, receipts)
    done = already = sum(task.stop - task.start for task in tasks if task not in missing)

    def report_progress() -> int:
        bad = sum(len(receipt.bad_records) for receipt in receipts.values())
        pace = (time.monotonic() - began) / (done - already) if done > already else math.nan
        left = pace * (total - done) if done < total else 0.0
        progress(Event(preparation.name, split, done, total, bad, left))
        return bad

    bad = report_progress()
    for task, receipt in _make_all(preparation, missing, workers):
        receipts[task.path.name] = receipt
        done += task.stop - task.start
        bad = report_progress()
        if bad > max_bad_fraction * total:
            raise _too_many_bad(task, [b for r in receipts.values() for b in r.bad_records])

    ordered = [receipts[task.path.name] for task in tasks]
    manifest = Manifest(
        name=preparation.name,
        split=split,
        category=preparation.category,
        licence=preparation.licence,
        version=preparation.version,
        ordered=preparation.ordered,
        records=sum(receipt.shard.records for receipt in ordered),
        shards=tuple(receipt.shard for receipt in ordered),
        settings={_RECEIPTS: [dataclasses.asdict(receipt) for receipt in ordered]},
    )
    if missing:
        records.write_manifest(directory, manifest)
        _sweep(directory, manifest)
    return SplitReport(
        name=preparation.name,
        split=split,
        directory=str(directory),
        records=manifest.records,
        bad=bad,
        bad_records=tuple(b for receipt in ordered for b in receipt.bad_records)[:_NAMED],
        bytes=sum(shard.bytes for shard in manifest.shards),
        categories=manifest.categories,
        shards=len(tasks),
        shards_kept=kept,
        seconds=time.monotonic() - began,
    )


def _tasks(
    preparation: Preparation,
    directory: Path,
    split: str,
    total: int,
    source: Path | None,
    bad_allowed: float,
) -> list[_Task]:
    """The shards of a split: contiguous ranges of nearly equal length."""
    fewest, most = _SHARD_RECORDS
    size = min(max(math.ceil(total / _SHARDS), fewest), most)
    shards = max(1, math.ceil(total / size))
    bounds = [total * i // shards for i in range(shards + 1)]
    tasks = []
    for i, (start, stop) in enumerate(itertools.pairwise(bounds)):
        identity = {
            "version": preparation.version,
            "record_version": records.RECORD_VERSION,
            "source": None if source is None else str(source),
            "range": [start, stop],
        }
        tasks.append(
            _Task(
                name=preparation.name,
                split=split,
                start=start,
                stop=stop,
                path=directory / records.shard_name(i, shards),
                source=source,
                identity=json.dumps(identity, sort_keys=True),
                bad_allowed=bad_allowed,
            )
        )
    return tasks


def _receipt_path(shard: Path) -> Path:
    return shard.with_suffix(".receipt.json")


def _valid_receipts(directory: Path, tasks: Sequence[_Task]) -> dict[str, _Receipt]:
    """By file name, the receipts of shards that are there, whole, and what is asked for."""
    found: dict[str, _Receipt] = {}
    names = sorted(name for name in storage.sizes(directory) if name.endswith(".json"))
    texts = [(directory / name).read_text() for name in names]
    for text in texts:
        try:
            fields = json.loads(text)
            for entry in fields.get("settings", {}).get(_RECEIPTS, [fields]):
                receipt = _Receipt.from_dict(entry)
                found[receipt.shard.file] = receipt
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # a damaged receipt is none: the shard is made again
    return {
        task.path.name: kept
        for task in tasks
        if (kept := found.get(task.path.name)) is not None
        and kept.identity == task.identity
        and records.holds_shard(directory, kept.shard)
    }


def _reopen(directory: Path, receipts: dict[str, _Receipt]) -> None:
    """Takes the manifest back, but not the receipts that it holds."""
    storage.make_folder(directory)
    for receipt in receipts.values():
        _write_receipt(directory / receipt.shard.file, receipt)
    (directory / MANIFEST).unlink(missing_ok=True)


def _write_receipt(shard: Path, receipt: _Receipt) -> None:
    text = json.dumps(dataclasses.asdict(receipt))
    storage.write_atomically(_receipt_path(shard), text.encode())


def _sweep(directory: Path, manifest: Manifest) -> None:
    """Removes what a whole data set does not need: receipts, other shards, stale indices."""
    wanted = {shard.file for shard in manifest.shards} | {MANIFEST}
    for name in storage.sizes(directory).keys() - wanted:
        (directory / name).unlink()


def _make_all(
    preparation: Preparation, tasks: Sequence[_Task], workers: int
) -> Iterator[tuple[_Task, _Receipt]]:
    """Makes shards, in worker processes if there are several; yields them as they are done."""
    workers = min(workers, len(tasks))
    if workers < 2:
        for task in tasks:
            yield task, _make_shard(preparation, task)
        return
    pool = spawn_pool(workers)
    try:
        running = {pool.submit(_make_shard_by_name, task): task for task in tasks}
        for future in concurrent.futures.as_completed(running):
            yield running[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _make_shard_by_name(task: _Task) -> _Receipt:
    # Here, not above: the registry imports every generator, which this module does not need.
    from mm15_jax.data import registry

    return _make_shard(registry.get(task.name), task)


def _make_shard(preparation: Preparation, task: _Task) -> _Receipt:
    bad: list[BadRecord] = []
    shard = records.write_shard(task.path, _examples(preparation, task, bad))
    receipt = _Receipt(task.identity, shard, tuple(bad))
    _write_receipt(task.path, receipt)
    return receipt


def _examples(preparation: Preparation, task: _Task, bad: list[BadRecord]) -> Iterator[Example]:
    """The examples of a shard; one that fails is noted in `bad`, and the next is made."""
    index = task.start
    while index < task.stop:
        try:
            # A generator ends with its first error, so it is started again behind it.
            for example in preparation.make(task.split, range(index, task.stop), task.source):
                _check(example, task)
                yield example
                index += 1
            assert index == task.stop, f"{task.name}: no example for index {index}, and no error"
        except (AssertionError, MemoryError):
            raise
        except Exception as error:  # whatever a damaged file makes a reader raise; limited below
            bad.append(BadRecord(index, f"{type(error).__name__}: {error}"))
            index += 1
            if len(bad) > task.bad_allowed:
                raise _too_many_bad(task, bad) from error


def _check(example: Example, task: _Task) -> None:
    assert example.source == task.name, f"{task.name} makes examples of {example.source!r}"
    if not example.segments:
        raise ValueError(f"example {example.key!r} has no segment")


def _too_many_bad(task: _Task, bad: Sequence[BadRecord]) -> ValueError:
    return ValueError(
        f"{len(bad)} examples of {task.name!r} ({task.split}) cannot be made, more than the "
        f"{task.bad_allowed:g} that max_bad_fraction allows; number {bad[0].index}: {bad[0].reason}"
    )
