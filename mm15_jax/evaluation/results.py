"""What an evaluation gives, in memory and as scores.json."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from mm15_jax.data.storage import to_path, write_atomically
from mm15_jax.evaluation.benchmarks import TABLE
from mm15_jax.evaluation.categories import CategoryScores, average_categories

SCORES = "scores.json"


@dataclasses.dataclass(frozen=True)
class BenchmarkResult:
    """One row of the table of scores; scores are 0-100."""

    name: str
    category: str
    suite: str
    measures: str
    score: float | None  # None where a judge was needed and none was there
    error: float  # standard error of the score
    count: int
    baseline: float | None  # of a model that never looks
    seconds: float  # of what was asked in this call; 0 where all answers were there already
    answered: int  # examples answered in this call
    averaged: bool = True
    parts: Mapping[str, float] = dataclasses.field(default_factory=dict)  # as the field prints it
    judge: str = ""  # the model that scored the answers
    data: str = ""  # `Questions.data`; "" in results of before it was written down
    failures: int = 0  # answers that the judge gave no readable score to; they count as 0
    likelihood: float | None = None  # of the right answers, their probability; None: not asked for
    likelihood_error: float = 0.0  # standard error of it


@dataclasses.dataclass(frozen=True)
class Results:
    """All of an evaluation."""

    benchmarks: tuple[BenchmarkResult, ...]
    split: str
    model: str
    absent: tuple[str, ...] = ()  # asked for as one of a group, but their data is not prepared

    @property
    def averages(self) -> dict[str, CategoryScores]:
        """Suite -> category averages, and MMBase where the suite has its categories."""
        return average_categories({row.name: row.score for row in self.benchmarks})

    @property
    def baselines(self) -> dict[str, CategoryScores]:
        """Suite -> averages of what a model that never looks would have."""
        return average_categories({row.name: row.baseline for row in self.benchmarks})

    def to_json(self) -> dict[str, Any]:
        """The content of scores.json."""
        baselines = self.baselines
        return {
            "averages": {
                suite: {**found.scores, "missing": found.missing}
                for suite, found in self.averages.items()
            },
            "baselines": {suite: found.scores for suite, found in baselines.items()},
            "absent": list(self.absent),
            "split": self.split,
            "model": self.model,
            "benchmarks": {
                row.name: {k: v for k, v in dataclasses.asdict(row).items() if k != "name"}
                for row in self.benchmarks
            },
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Results:
        """Reads what `to_json` gave; benchmarks that do not exist any more are left out."""
        known = {row.name for row in TABLE}
        rows = tuple(
            BenchmarkResult(name=name, **row)
            for name, row in fields["benchmarks"].items()
            if name in known
        )
        return cls(rows, fields["split"], fields["model"], tuple(fields["absent"]))


def for_split(name: str, split: str) -> str:
    """The held-out split has the plain name: decisions on another must not overwrite it."""
    if split == "test":
        return name
    stem, dot, suffix = name.partition(".")
    return f"{stem}_{split}{dot}{suffix}"


def write_scores(run_dir: pathlib.Path, results: Results) -> None:
    """Writes scores.json, or scores_<split>.json."""
    text = json.dumps(results.to_json(), indent=1) + "\n"
    write_atomically(run_dir / for_split(SCORES, results.split), text.encode())


def read_scores(run_dir: pathlib.Path | str, split: str = "test") -> Results:
    """The scores of a run directory.

    Raises:
      ValueError: it has none, or they cannot be read.
    """
    path = to_path(run_dir) / for_split(SCORES, split)
    if not path.is_file():
        raise ValueError(f"{run_dir} has no {path.name}: run `mm15 eval --run_dir {run_dir}` first")
    try:
        return Results.from_json(json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} cannot be read ({type(error).__name__}: {error}); expected what `mm15 eval`"
            f" writes: delete it and run `mm15 eval --run_dir {run_dir}`"
        ) from error
