"""A part of a source made into a shard, and the receipt that says so.

This is the unit of work of `prepare`, the same in this process, in a worker process and in a Beam
worker. A receipt lies beside its shard; those of a whole data set are lines of one file. A receipt
holds as long as all that its shard depends on is as it was.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mm15_jax.data import records, storage
from mm15_jax.data.preparation import BadRecord, Part, Preparation
from mm15_jax.data.records import Shard
from mm15_jax.data.source import Source
from mm15_jax.data.tally import Tally
from mm15_jax.inputs.example import Example

RECEIPTS = "receipts.jsonl"  # of a whole data set, in the order of its shards
RECEIPT = ".receipt.json"  # what follows the shard's name while the data set is being made
_LONGEST = 400  # characters of a bad record's key and reason that are kept
_THREADS = 16


@dataclasses.dataclass(frozen=True)
class Task:
    """One shard to be made: plain data, all that any process on any machine needs."""

    name: str  # of the preparation
    split: str
    part: Part
    source: Source | None
    directory: Path
    file: str  # of the shard
    identity: str  # all that the shard's content depends on
    take: int | None = None  # at most so many examples; None: all of the part

    def as_json(self) -> str:
        """One line."""
        source = self.source and (self.source.url, self.source.follow_links)
        plain = {"source": source, "directory": str(self.directory)}
        part = dataclasses.asdict(self.part)
        return json.dumps({**vars(self), **plain, "part": part})

    @classmethod
    def from_json(cls, line: str) -> Task:
        """The task of `as_json`."""
        fields: dict[str, Any] = json.loads(line)
        fields["part"]["files"] = tuple(fields["part"]["files"])
        fields["part"] = Part(**fields["part"])
        fields["source"] = fields["source"] and _open_source(*fields["source"])
        fields["directory"] = storage.to_path(fields["directory"])
        return cls(**fields)


@dataclasses.dataclass(frozen=True)
class Receipt:
    """Says that a shard is written, of what it was made, and what was left out."""

    part: str
    identity: str
    shard: Shard
    whole: bool  # False: cut at `Task.take`
    tally: Tally
    bad: tuple[BadRecord, ...]

    @property
    def bad_records(self) -> int:
        """How many records gave no example: what `--max_bad_fraction` counts."""
        return sum(not bad.within for bad in self.bad)

    def as_json(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> Receipt:
        """The receipt of `as_json`; ValueError, TypeError or KeyError for anything else."""
        fields: dict[str, Any] = json.loads(line)
        fields["shard"] = Shard(**fields["shard"])
        fields["tally"] = Tally.from_dict(fields["tally"])
        fields["bad"] = tuple(BadRecord(**bad) for bad in fields["bad"])
        return cls(**fields)


# A line of a task names its source; one look at a bucket is enough for all of them.
@functools.lru_cache(maxsize=8)
def _open_source(url: str, follow_links: bool) -> Source:
    return Source(url, follow_links=follow_links)


def tasks_of(
    preparation: Preparation, split: str, source: Source | None, directory: Path
) -> list[Task]:
    """What a split is made of; none if the source does not have it."""
    parts = preparation.parts(split, source)
    names = [part.name for part in parts]
    assert len(set(names)) == len(names), f"{preparation.name}: two parts of one name"
    stamps = _stamps(source, {file for part in parts for file in part.files})
    tasks = []
    for i, part in enumerate(parts):
        # A part that names no file depends on where the source is, as far as we know.
        files = {file: stamps[file] for file in part.files}
        identity = {
            "version": preparation.version,
            "category": preparation.category,  # it is written into every record
            "record_version": records.RECORD_VERSION,
            "range": [part.start, part.stop],
            "source": files or (source and source.url),
        }
        if part.beside:
            identity["beside"] = part.beside
        text = json.dumps(identity, sort_keys=True)
        file = records.shard_name(i, len(parts))
        tasks.append(Task(preparation.name, split, part, source, directory, file, text))
    return tasks


def _stamps(source: Source | None, files: set[str]) -> dict[str, str]:
    if source is None:
        return {}
    names = sorted(files)
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:  # a bucket answers slowly
        return dict(zip(names, pool.map(source.stamp, names), strict=True))


def make_part(preparation: Preparation, task: Task) -> Receipt:
    """Converts a part into its shard and writes the receipt.

    Raises:
      ValueError: if the part cannot be read at all; single records that cannot are in the receipt.
    """
    bad: list[BadRecord] = []
    tally = Tally()
    converted = _convert(preparation, task, bad)
    taken = itertools.islice(converted, task.take)
    try:
        shard = records.write_shard(task.directory / task.file, _counted(taken, tally))
    except Exception as error:
        if not (isinstance(error, ValueError | OSError) or storage.is_of_store(error)):
            raise
        place = f"{task.part.name} of {task.name!r} ({task.split})"
        raise ValueError(f"{place} cannot be converted: {error}") from error
    whole = task.take is None or shard.records < task.take
    receipt = Receipt(task.part.name, task.identity, shard, whole, tally, tuple(bad))
    write_receipt(task.directory, receipt)
    return receipt


def _convert(
    preparation: Preparation, task: Task, bad: list[BadRecord]
) -> Iterator[tuple[Example, bytes]]:
    """Examples and what is written of them; those that cannot be written are bad, too."""
    for made in preparation.convert(task.split, task.part, task.source):
        if isinstance(made, BadRecord):
            bad.append(_shortened(made))
        elif not made.segments:
            bad.append(_shortened(BadRecord(made.key, "an example without text or picture")))
        else:
            assert made.source == task.name, f"{task.name} makes examples of {made.source!r}"
            try:
                record = records.encode_example(made)
            except (ValueError, OverflowError) as error:  # such as half of a surrogate pair
                bad.append(_shortened(BadRecord(made.key, f"it cannot be written: {error}")))
                continue
            yield made, record


def _shortened(bad: BadRecord) -> BadRecord:
    """One line that can be written, and no page of a damaged file quoted in it."""
    key, reason = (
        " ".join(text.split())[:_LONGEST].encode(errors="backslashreplace").decode()
        for text in (bad.key, bad.reason)
    )
    return dataclasses.replace(bad, key=key, reason=reason)


def _counted(
    examples: Iterable[tuple[Example, bytes]], tally: Tally
) -> Iterator[tuple[str, bytes]]:
    """Examples as `records.write_shard` wants them."""
    for example, record in examples:
        tally.add(example)
        yield example.category, record


def write_receipt(directory: Path, receipt: Receipt) -> None:
    """Puts a receipt beside its shard."""
    path = directory / f"{receipt.shard.file}{RECEIPT}"
    storage.write_atomically(path, receipt.as_json().encode())


def write_receipts(directory: Path, receipts: Sequence[Receipt]) -> None:
    """Puts the receipts of a whole data set into one file."""
    lines = "".join(f"{receipt.as_json()}\n" for receipt in receipts)
    storage.write_atomically(directory / RECEIPTS, lines.encode())


def write_tasks(path: Path, tasks: Sequence[Task]) -> None:
    """Puts tasks into a file, a line each."""
    storage.write_atomically(path, "".join(f"{task.as_json()}\n" for task in tasks).encode())


def read_tasks(path: Path | str) -> Iterator[Task]:
    """The tasks of a file."""
    return map(Task.from_json, storage.to_path(path).read_text().splitlines())


def valid_receipts(directory: Path, tasks: Sequence[Task]) -> dict[str, Receipt]:
    """By name of the part, receipts of shards that are there, whole, and what is asked for."""
    identities = {task.part.name: task.identity for task in tasks}
    found = _receipts_in(directory, storage.file_names(directory))
    asked = [r for r in found if identities.get(r.part) == r.identity]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:  # hashing lets go of the GIL
        held = pool.map(lambda receipt: records.holds_shard(directory, receipt.shard), asked)
        return {receipt.part: receipt for receipt, holds in zip(asked, held, strict=True) if holds}


def read_receipts(directory: Path, shards: Iterable[str]) -> list[Receipt]:
    """The receipts that lie beside shards, in their order."""
    return _receipts_in(directory, [f"{shard}{RECEIPT}" for shard in shards])


def _receipts_in(directory: Path, names: Iterable[str]) -> list[Receipt]:
    names = [name for name in names if name == RECEIPTS or name.endswith(RECEIPT)]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:  # a bucket answers slowly
        texts = list(pool.map(lambda name: (directory / name).read_text(), names))
    found = []
    for line in (line for text in texts for line in text.splitlines()):
        # A damaged receipt is none: the shard is made again.
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            found.append(Receipt.from_json(line))
    return found
