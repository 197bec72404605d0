"""An ablation as jobs for a launcher: stages that rows share, then a job a row, then the table."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

from mm15_jax.ablations import catalog
from mm15_jax.ablations.runs import plan
from mm15_jax.ablations.tasks import Task, tasks_of
from mm15_jax.config.jobs import Job

_LONGEST = 40  # a job's name becomes that of a JobSet or a queued resource


def jobs(
    name: str,
    scale: str,
    *,
    run_dir: str,
    data_dir: str | None = None,
    rows: Sequence[str] = (),
    starts: int | str = 1,
    seeds: int | str = 1,
    overrides: Sequence[str] = (),
) -> list[Job]:
    """Jobs of an ablation, each behind those it waits for; a job may be started again and goes on.

    Args:
      name: of the ablation.
      scale: of the ablation.
      run_dir: as of `mm15 ablate --run_dir`, a folder that all jobs see, or gs://.
      data_dir: as of `mm15 train --data_dir`; None for the default.
      rows: keys of rows; all without.
      starts: as of `mm15 ablate --starts`.
      seeds: as of `mm15 ablate --seeds`.
      overrides: of --set, for every run.

    Raises:
      ValueError: an unknown ablation, scale or row, no such draws, or an override that cannot be.
    """
    ablation = catalog.find(name, scale)
    work = plan(ablation, starts=starts, seeds=seeds, rows=rows, overrides=overrides)
    tasks = {task.name: task for task in tasks_of(work, run_dir, data_dir)}
    uses = Counter(run.folder for asked in work.asked for run in asked.run.chain)
    owner: dict[str, str] = {}  # task -> job that runs it
    made: list[Job] = []

    def add(title: str, parts: Sequence[Task]) -> None:
        job = _name(f"{name}_{scale}_{title}")
        for part in parts:
            owner[part.name] = job
        after = {owner[before] for part in parts for before in part.after} - {job}
        made.append(Job(job, tuple(part.command for part in parts), tuple(sorted(after))))

    for asked in work.asked:
        scores = tasks[f"{asked.folder} scores"]
        if scores.name in owner:
            continue  # a row of the same content has its scores: two jobs would write one folder
        own = []
        for run in asked.run.chain:
            if uses[run.folder] == 1:
                own.append(tasks[run.folder])
            elif run.folder not in owner:
                add(run.folder.removeprefix(f"{name}_"), [tasks[run.folder]])
        add(f"row_{asked.row.key}{asked.draw.suffix}", [*own, scores])
    made.append(_table(name, scale, run_dir, data_dir, rows, starts, seeds, overrides, made))
    return made


def _table(
    name, scale, run_dir, data_dir, rows, starts, seeds, overrides, before: Sequence[Job]
) -> Job:
    """Reads what the rows have given, draws and judges; trains nothing."""
    command = ["ablate", name, "--scale", scale, "--run_dir", run_dir]
    command += ["--starts", str(starts), "--seeds", str(seeds)]
    command += ["--data_dir", data_dir] if data_dir else []
    command += ["--rows", ",".join(rows)] if rows else []
    command += ["--collect"]
    command += ["--set", *overrides] if overrides else []
    after = tuple(job.name for job in before)
    return Job(_name(f"{name}_{scale}_table"), (tuple(command),), after, alone=True)


def _name(text: str) -> str:
    """Lower-case letters, digits and underscores; which draw it is at the end, `_start1_2`.

    What would be too long is cut before that, and told from others by a digest of it.
    """
    words = re.sub(r"[^a-z0-9]+", "_", text.lower())
    words = re.sub(r"_start(\d+)_seed(\d+)$", r"_start\1_\2", words)
    found = re.fullmatch(r"(.*?)(_start\d+(?:_\d+)?|_seed\d+|)", words)
    assert found
    what, draw = found.groups()
    if len(words) > _LONGEST:
        digest = hashlib.sha256(what.encode()).hexdigest()[:4]
        what = f"{what[: _LONGEST - len(draw) - len(digest) - 1]}_{digest}"
    return what + draw
