"""How a data set comes to be: the contract between data set authors and `mm15 prepare`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mm15_jax.inputs.example import Example


@dataclass(frozen=True)
class Preparation:
    """A data set that `mm15 prepare NAME` can write.

    Worker processes find a preparation again by its name in the registry, so `count` and `make`
    need not be picklable. Both must be deterministic: the same arguments and source give the same
    examples, in whatever process and whatever the index range is cut into.
    """

    name: str  # unique in the registry; the directory under the data directory
    category: str  # "general", "text_rich", "knowledge", "refer_ground", "multi_image", "text" ...
    description: str  # one sentence
    licence: str  # of the examples; written into the manifest
    requires_source: bool  # False: generated; True: `source` must hold the published files
    splits: tuple[str, ...]  # such as ("train", "validation", "test")
    # count(split) -> number of examples; make(split, index_range, source) -> the examples of
    # these indices, in order. A preparation that requires a source may count in it: see below.
    count: Callable[[str], int]
    make: Callable[[str, range, Path | None], Iterator[Example]]
    ordered: bool = False  # a curriculum: read as written, never shuffled
    version: int = (
        1  # raise when `make` writes other examples; a prepared set of old version is stale
    )
    # Counts that depend on the source: takes the place of `count` where it is given.
    count_in_source: Callable[[str, Path], int] | None = None

    def examples_in(self, split: str, source: Path | None) -> int:
        """Number of examples of a split, given where the published files are."""
        if self.count_in_source is not None:
            assert source is not None, "a preparation that counts in its source requires one"
            return self.count_in_source(split, source)
        return self.count(split)
