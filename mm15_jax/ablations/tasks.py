"""The commands that an ablation takes, and which of them are done: what `mm15` would be told."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from mm15_jax.ablations import answered, same_data
from mm15_jax.ablations.runs import Asked, Plan, Run, content_key
from mm15_jax.checkpoint import run as run_lib
from mm15_jax.config import ExperimentConfig
from mm15_jax.data.storage import to_path
from mm15_jax.evaluation.results import SCORES
from mm15_jax.plan import arithmetic

# Of one core beside another run, at nano scale: what an ablation's hours are reckoned with before
# anything has run (BUILD_NOTES: rows measured).
_FLOPS_PER_SECOND = 7.5e10
_SECONDS_TO_START = 20.0
_ANSWERS_PER_SECOND = 150.0  # with the likelihood of the right ones


@dataclass(frozen=True)
class Task:
    """One command.

    Attributes:
      name: unique among an ablation's tasks.
      title: what it does, for people.
      command: words after `mm15`.
      after: names of tasks that must have ended well before it.
      seconds: reckoned, on one core at nano scale.
      folder: that it writes into.
      data_dir: that it reads; None for the default.
      asked: what it asks, of a task that evaluates.
      run: what it trains, of a task that trains.
    """

    name: str
    title: str
    command: tuple[str, ...]
    after: tuple[str, ...]
    seconds: float
    folder: pathlib.Path
    data_dir: str | None = None
    run: Run | None = None
    asked: Asked | None = None

    def is_done(self) -> bool:
        """Whether its result is there, of this very task."""
        if self.run:
            return run_lib.is_complete(self.folder) and self._is_run_of(self.folder, self.run)
        assert self.asked
        return self.has_answers() and not answered.unscored(self.folder, self.asked.benchmarks)

    def has_answers(self) -> bool:
        """Of a task that evaluates: whether all that is wanted was asked, scored or not."""
        assert self.asked
        nested = self.asked.folder != self.asked.run.folder
        trained = self.folder.parent if nested else self.folder
        config = self.asked.run.config
        how = answered.How(self.asked.examples, self.asked.overrides, config.train.steps)
        there = answered.read(self.folder, how, self.data_dir, likelihoods=True)
        wanted = answered.questions(self.asked.benchmarks, self.asked.examples)
        return (
            wanted.items() <= there.items()
            and (self.folder / SCORES).is_file()
            and self._is_run_of(trained, self.asked.run)
        )

    def is_stale(self) -> bool:
        """Of a task that evaluates: whether there are scores, and not those that are wanted."""
        return (self.folder / SCORES).is_file() and not self.has_answers()

    def refusal(self) -> str | None:
        """Why its folder cannot be gone on with, in a sentence, where `mm15 train` does not see it.

        The stage that its run began from had other settings then, or data sets are others now.
        """
        if self.run is None:
            return None
        began = run_lib.read_started_from(self.folder)
        for run in self.run.chain[:-1]:
            if not _is_alike(began, run.config):
                return f"{self.folder} began from {run.experiment} when that had other settings"
        for experiment, read in run_lib.read_data(self.folder).items():
            if name := same_data.first_changed(read, self.data_dir):
                of = "" if experiment == self.run.config.name else f" by {experiment}"
                return f"{self.folder} was trained{of} on another {name} than is there"
        return None

    def _is_run_of(self, folder: pathlib.Path, run: Run) -> bool:
        """Whether what was trained there, and all it began from, has the content wanted now.

        Where it has not, `mm15 train` refuses the folder and says in which value it differs, or
        `refusal` does.
        """
        try:
            trained = run_lib.read_started_from(folder)
            trained |= {run.config.name: run_lib.read_config(folder)}
        except ValueError:
            return False
        return all(_is_alike(trained, one.config) for one in run.chain) and not any(
            same_data.first_changed(read, self.data_dir)
            for read in run_lib.read_data(folder).values()
        )


def tasks_of(
    work: Plan, run_dir: str | pathlib.Path, data_dir: str | None = None
) -> tuple[Task, ...]:
    """Every command of an ablation, each behind those it waits for; shared stages come first.

    Args:
      work: of `runs.plan`.
      run_dir: the ablations' directory, a folder or gs://.
      data_dir: as for `mm15 train`; None for the default.
    """
    found: dict[str, Task] = {}
    for asked in work.asked:
        for run in asked.run.chain:
            found.setdefault(run.folder, _train(run, str(run_dir), data_dir))
        found.setdefault(f"{asked.folder} scores", _ask(asked, str(run_dir), data_dir))
    return tuple(found.values())


def train_seconds(run: Run) -> float:
    """Reckoned for one core at nano scale."""
    step = arithmetic.forward_flops(run.config).step
    return _SECONDS_TO_START + run.config.train.steps * step / _FLOPS_PER_SECOND


def _train(run: Run, run_dir: str, data_dir: str | None) -> Task:
    data = ("--data_dir", data_dir) if data_dir else ()
    folder = f"{run_dir}/{run.folder}"
    start = ("--init_from", f"{run_dir}/{run.start.folder}") if run.start else ()
    changes = ("--set", *run.overrides) if run.overrides else ()
    return Task(
        name=run.folder,
        title=f"train {run.folder}",
        command=("train", run.experiment, "--run_dir", folder, *data, *start, *changes),
        after=(run.start.folder,) if run.start else (),
        seconds=train_seconds(run),
        folder=to_path(folder),
        data_dir=data_dir,
        run=run,
    )


def _ask(asked: Asked, run_dir: str, data_dir: str | None) -> Task:
    data = ("--data_dir", data_dir) if data_dir else ()
    changes = ("--set", *asked.overrides) if asked.overrides else ()
    questions = answered.questions(asked.benchmarks, asked.examples)
    command = (
        "eval", "--run_dir", f"{run_dir}/{asked.run.folder}",
        "--out_dir", f"{run_dir}/{asked.folder}", *data,
        "--benchmarks", ",".join(asked.benchmarks), "--limit", str(asked.examples), "--likelihood",
        *changes,
    )  # fmt: skip
    return Task(
        name=f"{asked.folder} scores",
        title=f"score {asked.folder}",
        command=command,
        after=(asked.run.folder,),
        seconds=_SECONDS_TO_START + sum(questions.values()) / _ANSWERS_PER_SECOND,
        folder=to_path(f"{run_dir}/{asked.folder}"),
        data_dir=data_dir,
        asked=asked,
    )


def _is_alike(trained: Mapping[str, ExperimentConfig], wanted: ExperimentConfig) -> bool:
    """Whether the one of this name has the content that is wanted; true where there is none."""
    try:
        return content_key(trained.get(wanted.name, wanted)) == content_key(wanted)
    except ValueError:  # its mixture, or what it started from, is not known any more
        return False
