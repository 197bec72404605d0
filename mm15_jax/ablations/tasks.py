"""The commands that an ablation takes, and which of them are done: what `mm15` would be told."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from mm15_jax.ablations.runs import Asked, Plan, Run, content_key
from mm15_jax.checkpoint import run as run_lib
from mm15_jax.config import ExperimentConfig
from mm15_jax.data.storage import to_path, write_atomically
from mm15_jax.plan import arithmetic

ASKED = "asked.json"  # written beside scores.json when all questions are answered: how many

# Of one core beside another run, at nano scale: what an ablation's hours are reckoned with before
# anything has run (BUILD_NOTES: rows measured).
_FLOPS_PER_SECOND = 3.3e10
_SECONDS_TO_START = 20.0
_ANSWERS_PER_SECOND = 150.0


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
      asked: what it asks, of a task that evaluates.
      run: what it trains, of a task that trains.
    """

    name: str
    title: str
    command: tuple[str, ...]
    after: tuple[str, ...]
    seconds: float
    folder: pathlib.Path
    run: Run | None = None
    asked: Asked | None = None

    def is_done(self) -> bool:
        """Whether its result is there, of this very task."""
        if self.run:
            return run_lib.is_complete(self.folder) and _is_run_of(self.folder, self.run)
        assert self.asked
        nested = self.asked.folder != self.asked.run.folder
        trained = self.folder.parent if nested else self.folder
        wanted, answered = _questions(self.asked), _answered(self.folder, self.asked)
        return wanted.items() <= answered.items() and _is_run_of(trained, self.asked.run)

    def changed_start(self) -> str | None:
        """The stage that its run began from when that had other settings than now; or None."""
        if self.run is None:
            return None
        began = run_lib.read_started_from(self.folder)
        changed = (r.config.name for r in self.run.chain[:-1] if not _is_alike(began, r.config))
        return next(changed, None)

    def mark_done(self) -> None:
        """Notes what was asked, so that it is known not to ask again.

        Ablations share runs, and scores.json keeps what each of them asked.
        """
        if self.asked:
            questions = _answered(self.folder, self.asked) | _questions(self.asked)
            note = {"questions": questions} | _settings(self.asked)
            text = json.dumps(note, sort_keys=True) + "\n"
            write_atomically(self.folder / ASKED, text.encode())


def tasks_of(
    work: Plan, run_dir: str | pathlib.Path, data_dir: str | None = None
) -> tuple[Task, ...]:
    """Every command of an ablation, each behind those it waits for; shared stages come first.

    Args:
      work: of `runs.plan`.
      run_dir: the ablations' directory, a folder or gs://.
      data_dir: as for `mm15 train`; None for the default.
    """
    data = ("--data_dir", data_dir) if data_dir else ()
    found: dict[str, Task] = {}
    for asked in work.asked:
        for run in asked.run.chain:
            found.setdefault(run.folder, _train(run, str(run_dir), data))
        found.setdefault(f"{asked.folder} scores", _ask(asked, str(run_dir), data))
    return tuple(found.values())


def train_seconds(run: Run) -> float:
    """Reckoned for one core at nano scale."""
    step = arithmetic.forward_flops(run.config).step
    return _SECONDS_TO_START + run.config.train.steps * step / _FLOPS_PER_SECOND


def _train(run: Run, run_dir: str, data: tuple[str, ...]) -> Task:
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
        run=run,
    )


def _ask(asked: Asked, run_dir: str, data: tuple[str, ...]) -> Task:
    changes = ("--set", *asked.overrides) if asked.overrides else ()
    command = (
        "eval", "--run_dir", f"{run_dir}/{asked.run.folder}",
        "--out_dir", f"{run_dir}/{asked.folder}", *data,
        "--benchmarks", ",".join(asked.benchmarks), "--limit", str(asked.examples), *changes,
    )  # fmt: skip
    return Task(
        name=f"{asked.folder} scores",
        title=f"score {asked.folder}",
        command=command,
        after=(asked.run.folder,),
        seconds=_SECONDS_TO_START + sum(_questions(asked).values()) / _ANSWERS_PER_SECOND,
        folder=to_path(f"{run_dir}/{asked.folder}"),
        asked=asked,
    )


def _questions(asked: Asked) -> dict[str, int]:
    """Of each benchmark, how many; as many as may be asked where it is not the miniature's."""
    from mm15_jax.data.miniature import SETS  # draws pictures: not free to import

    return {
        name: min(asked.examples, SETS[name].count("test")) if name in SETS else asked.examples
        for name in asked.benchmarks
    }


def _answered(folder: pathlib.Path, asked: Asked) -> dict[str, int]:
    """Benchmarks of which a folder has scores, asked with the same settings, and of how many."""
    path = folder / ASKED
    note = json.loads(path.read_text()) if path.is_file() else {}
    questions = note.pop("questions", {})
    return questions if note == _settings(asked) else {}


def _settings(asked: Asked) -> dict[str, object]:
    return {
        "examples": asked.examples,
        "overrides": list(asked.overrides),
        "steps": asked.run.config.train.steps,
    }


def _is_run_of(folder: pathlib.Path, run: Run) -> bool:
    """Whether what was trained there, and all that it began from, has the content wanted now.

    Where it has not, `mm15 train` refuses the folder and says in which value it differs.
    """
    try:
        trained = run_lib.read_started_from(folder) | {run.config.name: run_lib.read_config(folder)}
    except ValueError:
        return False
    return all(_is_alike(trained, one.config) for one in run.chain)


def _is_alike(trained: Mapping[str, ExperimentConfig], wanted: ExperimentConfig) -> bool:
    """Whether the one of this name has the content that is wanted; true where there is none."""
    try:
        return content_key(trained.get(wanted.name, wanted)) == content_key(wanted)
    except ValueError:  # its mixture, or what it started from, is not known any more
        return False
