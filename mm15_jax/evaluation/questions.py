"""The questions of a benchmark: read one by one, as a data set may hold more than memory does."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from collections.abc import Sequence
from typing import overload

from mm15_jax.data.records import Dataset, open_dataset
from mm15_jax.data.storage import to_path
from mm15_jax.evaluation.benchmarks import Benchmark
from mm15_jax.evaluation.few_shot import ANSWER_ENDS, answer_in, choose_shots, with_shots
from mm15_jax.inputs.example import Example


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a question is."""

    data_set: int
    index: int
    subset: str  # what the benchmark calls the data set; "" where there is one


def folders(
    benchmark: Benchmark, data_dir: pathlib.Path | str, split: str
) -> list[tuple[str, pathlib.Path]]:
    """(subset, folder) of each data set of a benchmark.

    Args:
      benchmark: a row of the table.
      data_dir: where data sets are prepared.
      split: "test" stands for the benchmark's own held-out split; others for themselves.
    """
    held_out = split == "test"
    return [
        (part.subset, to_path(data_dir) / part.data_set / (part.split if held_out else split))
        for part in benchmark.data_sets
    ]


def shots_folder(benchmark: Benchmark, data_dir: pathlib.Path | str) -> pathlib.Path | None:
    """Where the answered examples are that come before a question; None where there are none."""
    if not benchmark.shots:
        return None
    return to_path(data_dir) / benchmark.data_sets[0].data_set / "train"


class Questions(Sequence[Example]):
    """Those examples of a benchmark that name a metric, with their shots.

    Attributes:
      limited: whether there may be more of them.
      data: hex digits that name the records that they are of.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        data_dir: pathlib.Path | str,
        split: str = "test",
        limit: int | None = None,
    ):
        """Opens the data and finds the questions.

        Args:
          benchmark: a row of the table.
          data_dir: where data sets are prepared.
          split: as of `folders`.
          limit: the first so many; of several data sets an equal share each. A group that it
            would cut, such as two questions on one picture, is taken whole.

        Raises:
          ValueError: a data set is not prepared, or nothing in it names a metric.
        """
        self.limited = limit is not None
        self._benchmark = benchmark
        found = folders(benchmark, data_dir, split)
        self._data = [open_dataset(folder) for _, folder in found]
        checksums = " ".join(data.manifest.checksum for data in self._data)
        self.data = hashlib.sha256(checksums.encode()).hexdigest()[:16]
        shots = shots_folder(benchmark, data_dir)
        self._shots: Dataset | None = open_dataset(shots) if shots else None
        self._places: list[Place] = []
        for number, (subset, folder) in enumerate(found):
            wanted = None if limit is None else len(range(number, limit, len(found)))
            places = self._find(number, subset, wanted)
            if not places and wanted != 0:
                raise ValueError(f"{folder} has no example with a metric: it cannot be scored")
            self._places += places

    def _find(self, number: int, subset: str, wanted: int | None) -> list[Place]:
        data, places = self._data[number], list[Place]()
        group = None
        for index in range(len(data) if wanted != 0 else 0):
            metadata = data[index].metadata
            if not metadata.get("metric"):
                continue
            is_enough = wanted is not None and len(places) >= wanted
            if is_enough and (group is None or metadata.get("group") != group):
                break
            group = metadata.get("group")
            places.append(Place(number, index, subset))
        return places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, number: int) -> Example: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Example]: ...
    def __getitem__(self, number):
        """The question as it is asked; a slice gives a list."""
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        place = self._places[number]
        example = self._data[place.data_set][place.index]
        if place.subset and "subset" not in example.metadata:
            metadata = {**example.metadata, "subset": place.subset}
            example = dataclasses.replace(example, metadata=metadata)
        row = self._benchmark
        if row.prompt == "chat" and not row.shots:
            return example
        shots = []
        if self._shots is not None:
            chosen = choose_shots(row.name, example.key, len(self._shots), row.shots)
            shots = [self._shots[i] for i in chosen]
        return with_shots(example, shots, row.prompt)

    @property
    def stops(self) -> tuple[str, ...]:
        """Strings behind which a model writes nothing that counts."""
        return () if self._benchmark.prompt == "chat" else (ANSWER_ENDS,)

    def answer_in(self, text: str) -> str:
        """The answer in what a model wrote."""
        return text if self._benchmark.prompt == "chat" else answer_in(text)

    def index(self, number: int) -> int:  # type: ignore[override]
        """The question's place in its data set."""
        return self._places[number].index


class Some(Sequence[Example]):
    """Some questions of others, by their numbers."""

    def __init__(self, questions: Questions, numbers: Sequence[int]):
        self._questions, self._numbers = questions, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, number: int) -> Example: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Example]: ...
    def __getitem__(self, number):
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        return self._questions[self._numbers[number]]
