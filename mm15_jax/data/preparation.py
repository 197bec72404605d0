"""How a data set comes to be: the contract between data set authors and `mm15 prepare`.

A source (a folder of published files, or nothing for a generated set) is divided into parts; a
part is converted by a pure function, in whatever process or Beam worker, into the examples of one
shard. So a part is the unit of parallelism, of resuming, and of a checksum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from mm15_jax.data import storage

if TYPE_CHECKING:
    from mm15_jax.data.source import Source
    from mm15_jax.inputs.example import Example

T = TypeVar("T")

_PARTS = 32  # of a set of examples that is neither tiny nor huge
_PART_RECORDS = (256, 65_536)  # fewest and most examples of a part


class DataError(ValueError):
    """A record of a source that cannot become an example; it is named, counted and skipped."""


@dataclass(frozen=True)
class BadRecord:
    """A record that could not become an example, or a piece of one."""

    key: str  # where it is in its source: a key, a file, a line
    reason: str
    within: bool = False  # of a record that gave examples, or is bad for another reason already


@dataclass(frozen=True)
class Part:
    """A piece of a source that is converted in one go and becomes one shard. Plain data."""

    name: str  # unique in its split, and stable: "llava_v1_5_mix665k.json[8192:16384]"
    records: int | None = None  # examples it should give, for progress; None: unknown
    files: tuple[str, ...] = ()  # of the source, that decide what the part holds
    start: int = 0  # a range in the first file, or of generated examples; in the converter's
    stop: int = 0  # own unit: records, bytes, pages
    beside: str = ""  # changes when what its records are read with does, such as a list of a split


@dataclass(frozen=True)
class Preparation:
    """A data set that `mm15 prepare NAME` can write.

    Worker processes find a preparation again by its name in the registry, so `parts` and `convert`
    need not be picklable. Both must be deterministic: the same arguments and source give the same
    examples, in whatever process.
    """

    name: str  # unique in the registry; the directory under the data directory
    category: str  # "general", "text_rich", "knowledge", "refer_ground", "multi_image", "text" ...
    description: str  # one sentence
    licence: str  # of the examples; written into the manifest
    splits: tuple[str, ...]  # such as ("train", "validation", "test")
    # parts(split, source): what the split is made of, in order. It should be cheap: listing files,
    # or one pass over an annotation file. A split that the source does not have has no parts.
    parts: Callable[[str, Source | None], Sequence[Part]]
    # convert(split, part, source): its examples, and those records that could not become any.
    convert: Callable[[str, Part, Source | None], Iterator[Example | BadRecord]]
    format: str = "generated"  # the published format that the source has, as docs/data.md names it
    layout: str = ""  # what --source must hold, as a user would write it; "" for generated sets
    ordered: bool = False  # a curriculum: read as written, never shuffled
    version: int = 1  # raise when `convert` writes other examples: older shards are then stale

    @property
    def requires_source(self) -> bool:
        """Whether it is converted from published files, not generated."""
        return bool(self.layout)


def range_parts(name: str, records: int) -> list[Part]:
    """Parts of a set whose examples are numbered: contiguous ranges of nearly equal length."""
    fewest, most = _PART_RECORDS
    size = min(max(math.ceil(records / _PARTS), fewest), most)
    parts = math.ceil(records / size)
    bounds = [records * i // parts for i in range(parts + 1)] if parts else []
    return [
        Part(f"{name}[{start}:{stop}]", stop - start, (), start, stop)
        for start, stop in itertools.pairwise(bounds)
    ]


def examples_of(
    records: Iterable[tuple[str, T]],
    convert: Callable[[T], Example | Iterable[Example | BadRecord]],
) -> Iterator[Example | BadRecord]:
    """Converts records one by one; what a damaged one raises becomes a BadRecord.

    Args:
      records: (key, record) pairs; the key names the record in messages.
      convert: a record to its example or examples, among them BadRecords for parts of it. Where
        there is an example too, they are `within`; where there is none, all but the first.

    Raises:
      Exception: what a source raises that does not answer: its records may be good.
    """
    from mm15_jax.inputs.example import Example

    for key, record in records:
        try:
            made = convert(record)
            found = [made] if isinstance(made, Example) else list(made)
        except (AssertionError, MemoryError):
            raise  # ours to mend, not the data's
        except Exception as error:  # whatever a damaged file makes a reader raise; it is counted
            storage.raise_of_network(error)
            kind = "" if isinstance(error, DataError) else f"{type(error).__name__}: "
            yield BadRecord(key, f"{kind}{error}")
            continue
        within = any(isinstance(item, Example) for item in found)
        for item in found:
            if isinstance(item, Example):
                yield item
            else:
                yield replace(item, within=within)
                within = True
