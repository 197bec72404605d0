"""One row of the table of benchmarks."""

from __future__ import annotations

import dataclasses
from typing import Any

# The paper's, in the order of its tables 4 to 12.
CATEGORIES = (
    "general",
    "text_rich",
    "knowledge",
    "refer_ground",
    "multi_image",
    "in_context",
    "captions",
    "video",
    "ui",
)


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A prepared data set that a benchmark asks about: `<data_dir>/<data_set>/<split>`."""

    data_set: str
    split: str = "test"
    subset: str = ""  # the name of its score among the parts of the benchmark's


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """What is asked, of which data, and how a score is read.

    How an answer is scored is said by each example (`metadata["metric"]`), so that one benchmark
    may mix kinds of questions.

    Attributes:
      name: as `--benchmarks` and scores.json have it.
      category: one of `CATEGORIES`.
      suite: benchmarks that are reported together; averages are taken within a suite.
      measures: what a point of the score means, for readers of a report.
      data: the prepared data set, `<data_dir>/<data>/<split>`; "" for one called as the benchmark.
      split: which split is held out.
      aggregate: how scores of examples become one, a name of `aggregates.AGGREGATES`.
      judge: the protocol by which a language model scores answers, a name of `judges.PROTOCOLS`;
        "" where a rule scores them.
      parts: several data sets that make one benchmark, in place of `data` and `split`.
      prompt: "chat", the conversation as prepared; or, for models that have not learned to
        converse, a way of writing questions of `few_shot.PROMPTS`.
      shots: examples with answers before each question, from the data set's "train" split. Data
        sets that bring their own have 0 here.
      max_new_tokens: an answer is cut there; 0 for the experiment's own number.
      oracle: which scorer nobody here wrote the metric is held against in tests; "" for none.
      averaged: whether it counts in its category's average.
    """

    name: str
    category: str
    suite: str
    measures: str
    data: str = ""
    split: str = "test"
    aggregate: str = "mean"
    judge: str = ""
    parts: tuple[DataSet, ...] = ()
    prompt: str = "chat"
    shots: int = 0
    max_new_tokens: int = 0
    oracle: str = ""
    averaged: bool = True

    @property
    def data_sets(self) -> tuple[DataSet, ...]:
        """All data sets that it asks about."""
        return self.parts or (DataSet(self.data or self.name, self.split),)

    def describe(self) -> dict[str, Any]:
        """What `mm15 eval --list --json` prints of it."""
        return {
            "name": self.name,
            "suite": self.suite,
            "category": self.category,
            "measures": self.measures,
            "data": [f"{part.data_set}/{part.split}" for part in self.data_sets],
            "aggregate": self.aggregate,
            "judge": self.judge,
            "shots": self.shots,
            "oracle": self.oracle,
            "averaged": self.averaged,
        }
