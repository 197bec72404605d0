"""What a run has been asked, noted beside its scores, so that it is known not to ask again.

`mm15 eval` writes the note, whoever called it: `mm15 ablate` on this machine, or a launched job.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mm15_jax.ablations import same_data
from mm15_jax.data.storage import to_path, write_atomically

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
    path = to_path(folder) / NOTE
    said: dict = json.loads(path.read_text()) if path.is_file() else {}
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


def _plain(how: How) -> Mapping[str, object]:
    return {"examples": how.examples, "overrides": list(how.overrides), "steps": how.steps}
