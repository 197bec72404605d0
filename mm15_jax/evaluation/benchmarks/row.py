"""One row of the table of benchmarks."""

from __future__ import annotations

import dataclasses

# The paper's, in the order of its tables 4 to 12, and MM1's of few-shot benchmarks.
CATEGORIES = (
    "general",
    "text_rich",
    "knowledge",
    "refer_ground",
    "multi_image",
    "in_context",
    "video",
    "ui",
    "0_shot",
    "4_shot",
    "8_shot",
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
      metrics: how answers are scored, names of `metrics.METRICS`: all that its examples may name.
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
      averaged: whether it counts in its category's average.
    """

    name: str
    category: str
    suite: str
    measures: str
    metrics: tuple[str, ...]
    data: str = ""
    split: str = "test"
    aggregate: str = "mean"
    judge: str = ""
    parts: tuple[DataSet, ...] = ()
    prompt: str = "chat"
    shots: int = 0
    max_new_tokens: int = 0
    averaged: bool = True

    @property
    def data_sets(self) -> tuple[DataSet, ...]:
        """All data sets that it asks about."""
        return self.parts or (DataSet(self.data or self.name, self.split),)
