"""What a run has been asked, noted beside its scores, so that it is known not to ask again.

`mm15 eval` writes the note, whoever called it: `mm15 ablate` on this machine, or a launched job.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mm15_jax.ablations import same_data
from mm15_jax.data.storage import to_path, write_atomically

if TYPE_CHECKING:
    from mm15_jax.evaluation.results import BenchmarkResult

NOTE = "asked.json"


@dataclass(frozen=True)
class How:
    """All that decides answers but the parameters, the questions and their records.

    Attributes:
      examples: of each benchmark, at most; 0 for all.
      overrides: of the run's config, as of `mm15 eval --set`.
      steps: that the run was trained.
    """

    examples: int
    overrides: tuple[str, ...]
    steps: int


def questions(benchmarks: Sequence[str], examples: int) -> dict[str, int]:
    """Of each benchmark, how many; as many as may be asked where it is not the miniature's."""
    from mm15_jax.data.miniature import SETS  # draws pictures: not free to import

    counts = {name: SETS[name].count("test") for name in benchmarks if name in SETS}
    return {
        name: min(examples or counts[name], counts[name]) if name in counts else examples
        for name in benchmarks
    }


def note(
    folder: pathlib.Path | str,
    how: How,
    benchmarks: Sequence[str],
    data_dir: pathlib.Path | str | None,
    *,
    likelihoods: bool = False,
) -> None:
    """Adds benchmarks whose questions are answered; what was asked otherwise is forgotten.

    Rows of several ablations share a run, and scores.json keeps what each of them asked.

    Args:
      folder: of scores.json.
      how: they were asked.
      benchmarks: that were.
      data_dir: where their data sets are.
      likelihoods: whether those of their answers were asked for.
    """
    asked = read(folder, how, data_dir) | questions(benchmarks, how.examples)
    likely = {*read(folder, how, data_dir, likelihoods=True), *(benchmarks if likelihoods else ())}
    said = {
        "questions": asked,
        "likelihoods": sorted(likely),
        "data": same_data.asked_about(tuple(asked), data_dir),
        **_plain(how),
    }
    text = json.dumps(said, sort_keys=True) + "\n"
    write_atomically(to_path(folder) / NOTE, text.encode())


def read(
    folder: pathlib.Path | str,
    how: How,
    data_dir: pathlib.Path | str | None,
    *,
    likelihoods: bool = False,
) -> dict[str, int]:
    """Benchmarks that were asked so, of data as it is now; and how many questions of each.

    With `likelihoods` those of whose answers the likelihood was asked for too.
    """
    said = _noted(to_path(folder) / NOTE)
    asked, data = said.pop("questions", {}), said.pop("data", {})
    likely = said.pop("likelihoods", [])
    if said != _plain(how):
        return {}
    return {
        name: count
        for name, count in asked.items()
        if (name in likely or not likelihoods)
        and not same_data.first_changed(data.get(name, {}), data_dir)
    }


def unscored(folder: pathlib.Path, benchmarks: Sequence[str]) -> list[str]:
    """Benchmarks without the score, or the likelihood, that asking again would give.

    Another call may have written scores.json at the same time, or had no judge.
    """
    from mm15_jax.evaluation.results import read_scores

    try:
        found = {row.name: row for row in read_scores(folder).benchmarks}
    except ValueError:  # there is none, or it is damaged
        found = {}
    return [name for name in benchmarks if not _is_scored(found.get(name), name)]


def _is_scored(found: BenchmarkResult | None, name: str) -> bool:
    from mm15_jax.evaluation.benchmarks import find
    from mm15_jax.evaluation.judges.client import JudgeError, judge_from_environment
    from mm15_jax.evaluation.likelihood import has_likelihood  # brings JAX

    if found is None:
        return False
    benchmark = find(name)
    if found.score is not None:
        return found.likelihood is not None or not has_likelihood(benchmark)
    try:
        judge_from_environment()
    except JudgeError:
        return bool(benchmark.judge)
    return False


def _noted(path: pathlib.Path) -> dict[str, Any]:
    """What a note says; nothing where it is damaged: answers are kept, so asking again is quick."""
    try:
        said = json.loads(path.read_text()) if path.is_file() else {}
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _plain(how: How) -> Mapping[str, object]:
    return {"examples": how.examples, "overrides": list(how.overrides), "steps": how.steps}
