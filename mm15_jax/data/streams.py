"""Data sets that are read from their published files as they come, without being prepared.

`data.streams` names them, each NAME=FOLDER_OR_URL. The converters are those of `mm15 prepare`. What
a stream lacks against a prepared data set is said in `data.late_packing`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from mm15_jax.config.mixtures import Mixture, dataset_names
from mm15_jax.config.names import unknown
from mm15_jax.config.schema import DataConfig
from mm15_jax.data.preparation import BadRecord, Preparation
from mm15_jax.data.prepare import open_source
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example


@dataclass(frozen=True)
class Stream:
    """A split of a data set, from its first part to its last each time that it is called."""

    preparation: Preparation
    source: Source | None
    split: str

    @property
    def name(self) -> str:
        """Of the data set."""
        return self.preparation.name

    @property
    def categories(self) -> tuple[str, ...]:
        """Of its examples."""
        return (self.preparation.category,)

    @property
    def checksum(self) -> str:
        """Of all that decides which examples come; files that change in place are not seen."""
        facts = (self.source and self.source.url, self.split, self.preparation.version)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    def __call__(self) -> Iterator[Example | BadRecord]:
        """Begins the stream."""
        for part in self.preparation.parts(self.split, self.source):
            yield from self.preparation.convert(self.split, part, self.source)


def open_streams(data: DataConfig, groups: Mixture, split: str) -> dict[str, Stream]:
    """The streams of a mixture, by name.

    Raises:
      ValueError: if one is not in the mixture, its source is not there or does not hold it, or it
        would share its group's weight with others by a size that is not known.
    """
    from mm15_jax.data import registry  # it imports every converter

    streams: dict[str, Stream] = {}
    for name, where in data.stream_sources().items():
        if name not in dataset_names(groups):
            raise unknown("data set of the mixture", name, dataset_names(groups))
        preparation = registry.get(name)
        stream = Stream(preparation, open_source(preparation, where), split)
        if split not in preparation.splits or not preparation.parts(split, stream.source):
            raise ValueError(f"{where} holds nothing of {name!r} ({split})")
        streams[name] = stream
    for group in groups:
        inside = [name for name in group.datasets if name in streams]
        if inside and len(group.datasets) > 1 and not group.shares:
            raise ValueError(
                f"the data sets of {group.category!r} divide its weight by their sizes, and the "
                f"stream {inside[0]!r} has none: prepare it, or give the group `shares`"
            )
    return streams
