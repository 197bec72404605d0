"""From an ablation to what has to be trained and asked, each thing once.

Rows share what they start from, and rows of different tables are often the same run: what counts is
the content of an experiment and of all that it starts from, not its name. A run's folder is named
after the first experiment with its content.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mm15_jax.ablations import catalog
from mm15_jax.ablations.draws import Draw, draws_of
from mm15_jax.ablations.measures import benchmarks_of
from mm15_jax.checkpoint.shipped import is_shipped
from mm15_jax.config import (
    CheckpointConfig,
    EvalConfig,
    ExperimentConfig,
    MeshConfig,
    MoEConfig,
    experiments,
    load,
    mixture,
    replace_nested,
)
from mm15_jax.config.ablation import Ablation, AblationRow
from mm15_jax.config.mixtures import dataset_names
from mm15_jax.evaluation.benchmarks import find

# What does not change a run's parameters (hardware may set some of it), or is looked at by its
# content: starts and the mixture.
_FREE: dict[str, Any] = {
    "name": "",
    "family": "",
    "eval": EvalConfig(),
    "checkpoint": CheckpointConfig(),
    "init_from": (),
    "mesh": MeshConfig(),
    "meshes": (),
    "data.mixture": "",
    "data.decode_threads": 0,
    "data.prefetch": 0,
    "train.log_every": 0,
    "train.accumulation": 1,
    "train.loss_chunk": 0,
    "optimizer.offload": False,
    "model.encoder.remat": "",
    "model.decoder.remat": "",
}
# What makes an experiment one row and no other.
_OF_ROWS = ("name", "family", "stage", "init_from")
# What changes answers and no parameters: of --set for how runs are asked, not for their training,
# so that another --set asks the same runs again.
_ASKED = ("eval.max_new_tokens", "eval.n_min", "eval.n_max", "eval.indicator")


@dataclass(frozen=True)
class Run:
    """A training run.

    Attributes:
      folder: its name below the ablations' directory.
      experiment: that trains it.
      overrides: as for --set.
      config: resolved, with the overrides.
      start: the run that it takes parameters from; None for shipped parts or random ones.
    """

    folder: str
    experiment: str
    overrides: tuple[str, ...]
    config: ExperimentConfig
    start: Run | None

    @property
    def chain(self) -> tuple[Run, ...]:
        """What has to be trained for it, first to last, itself included."""
        return (*(self.start.chain if self.start else ()), self)


@dataclass(frozen=True)
class Asked:
    """One row, drawn once: a run, and how it is asked.

    Attributes:
      row: of the ablation.
      draw: of the row.
      run: that answers.
      folder: of the results, below the ablations' directory.
      overrides: of the run's own config, for `mm15 eval --set`.
      benchmarks: that are asked.
      examples: of each.
    """

    row: AblationRow
    draw: Draw
    run: Run
    folder: str
    overrides: tuple[str, ...]
    benchmarks: tuple[str, ...]
    examples: int

    @property
    def content(self) -> str:
        """Of all that decides its scores but the draw: runs of it on two machines are alike."""
        own = tuple(o for o in self.run.overrides if not o.startswith("train.seed="))
        trained = content_key(load(self.run.experiment, own))
        asked = (trained, own, self.overrides, self.examples)
        return hashlib.sha256(repr(asked).encode()).hexdigest()[:16]

    @property
    def generated(self) -> dict[str, int]:
        """Generated data sets that it is trained on and asked about -> their version now."""
        from mm15_jax.data.miniature import SETS  # draws pictures: not free to import

        names = [n for run in self.run.chain for n in dataset_names(mixture(run.config))]
        names += [part.data_set for name in self.benchmarks for part in find(name).data_sets]
        return {name: SETS[name].version for name in sorted(set(names)) if name in SETS}


@dataclass(frozen=True)
class Plan:
    """All of an ablation, in an order in which it can be done: by start, by seed, by row."""

    ablation: Ablation
    asked: tuple[Asked, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run once, each behind what it starts from."""
        return tuple({run.folder: run for asked in self.asked for run in asked.run.chain}.values())


def plan(
    ablation: Ablation,
    *,
    starts: int | str = 1,
    seeds: int | str = 1,
    rows: Sequence[str] = (),
    overrides: Iterable[str] = (),
) -> Plan:
    """What an ablation takes.

    Args:
      ablation: of `catalog.find`.
      starts: how often what rows share is trained, 3; or which of its draws, "3:7".
      seeds: how often a row's own stages are trained from each start, or which of these draws.
      rows: keys of rows to run; all without.
      overrides: --set for every run, shared ones too.

    Raises:
      ValueError: an unknown row, no such draws, or an override that cannot be.
    """
    draws = draws_of(starts, seeds)
    chosen = [ablation.row(key) for key in dict.fromkeys(rows)] if rows else list(ablation.rows)
    given = tuple(overrides)
    for key in map(_key_of, given):
        if key == "train.seed":
            raise ValueError(f"--set {key} is what --starts and --seeds draw; expected one of them")
        if key in _OF_ROWS:
            raise ValueError(
                f"--set {key} would make another experiment of every row of {ablation.name} and of "
                "all that it starts from; expected a setting that rows may share, as train.steps"
            )
    benchmarks = benchmarks_of(ablation.measures, ablation.scale)
    asked = [_asked(ablation, row, draw, given, benchmarks) for draw in draws for row in chosen]
    _check_seeds(ablation, asked)
    return Plan(ablation, tuple(asked))


def _key_of(override: str) -> str:
    return override.partition("=")[0].strip()


def _check_seeds(ablation: Ablation, asked: Sequence[Asked]) -> None:
    """ValueError where --seeds would train more stages anew of some rows than of others."""
    deep = {
        one.row.key: sum(run.folder.endswith(one.draw.suffix) for run in one.run.chain)
        for one in asked
        if one.draw.seed and one.folder == one.run.folder  # a row that only asks trains nothing
    }
    if len(set(deep.values())) > 1:
        most, least = max(deep, key=deep.__getitem__), min(deep, key=deep.__getitem__)
        raise ValueError(
            f"--seeds trains a row's own stages anew, and rows of {ablation.name} have not equally "
            f"many: {most} has {deep[most]}, {least} has {deep[least]}; expected --starts, which "
            "trains all stages of every row anew"
        )


def _asked(
    ablation: Ablation,
    row: AblationRow,
    draw: Draw,
    overrides: tuple[str, ...],
    benchmarks: tuple[str, ...],
) -> Asked:
    config = load(row.config.name, overrides)
    trained = tuple(override for override in overrides if _key_of(override) not in _ASKED)
    answers = row.config.name
    if config.stage == "evaluation":
        (start,) = config.init_from
        answers = start.experiment
    run = _run(answers, draw, trained, ablation)
    folder = run.folder if answers == row.config.name else f"{run.folder}/{row.config.name}"
    changed = _changes(run.config, config)
    return Asked(row, draw, run, folder, changed, benchmarks, config.eval.examples)


def _changes(trained: ExperimentConfig, asked: ExperimentConfig) -> tuple[str, ...]:
    """`--set` that makes a run's config ask as another does: fields of eval and of splitting."""
    changes = []
    for prefix in ("eval", "inputs.splitting", "inputs.video"):
        before, after = trained, asked
        for part in prefix.split("."):
            before, after = getattr(before, part), getattr(after, part)
        for field, value in vars(after).items():
            if isinstance(value, (int, float, str)) and getattr(before, field) != value:
                changes.append(f"{prefix}.{field}={value}")
    return tuple(changes)


def _run(experiment: str, draw: Draw, overrides: tuple[str, ...], ablation: Ablation) -> Run:
    """The run of an experiment, with all that it starts from."""
    own = ablation.experiments
    trained = draw if experiment in own else Draw(draw.start, 0)
    mine = (f"train.seed={trained.train_seed}",) if trained.train_seed else ()
    # The first experiment of this content trains it, whichever ablation comes first.
    name = _first_names(ablation.scale).get(_key(experiment), experiment)
    config = load(name, (*overrides, *mine))
    starts = [s.experiment for s in config.init_from if not is_shipped(s.experiment)]
    if len(starts) > 1:
        raise ValueError(f"{experiment} starts from several runs: {', '.join(starts)}")
    start = _run(starts[0], draw, overrides, ablation) if starts else None
    named = draw if _is_seeded(experiment, own) else trained
    return Run(name + named.suffix, name, (*overrides, *mine), config, start)


def _is_seeded(experiment: str, own: dict[str, ExperimentConfig]) -> bool:
    """Whether it, or anything that it starts from, belongs to the ablation's rows."""
    if experiment in own:
        return True
    return any(_is_seeded(s.experiment, own) for s in load(experiment).init_from)


def content_key(config: ExperimentConfig) -> str:
    """Of all that decides a run's parameters: its config's values, and what it starts from."""
    starts = [(_key(s.experiment), s.parts) for s in config.init_from]
    free = dict(_FREE)
    if not config.model.decoder.moe.experts:
        free["model.decoder.moe"] = MoEConfig()  # what experts would have had decides nothing
    content = _said(replace_nested(config, free)), _said(mixture(config)), starts
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _said(value: Any) -> Any:
    """A config without what is as by default: a setting that is new changes no key."""
    if not dataclasses.is_dataclass(value):
        return [_said(item) for item in value] if isinstance(value, (tuple, list)) else value
    said = []
    for field in dataclasses.fields(value):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if (own := getattr(value, field.name)) != default:
            said.append((field.name, _said(own)))
    return [type(value).__name__, *said]


@functools.cache
def _key(experiment: str) -> str:
    return content_key(load(experiment))


@functools.cache
def _first_names(scale: str) -> dict[str, str]:
    """Content -> the first experiment that has it: the family's, then the ablations' in order."""
    rows: list[str] = []
    for name in catalog.names():
        if scale in catalog.scales_of(name):
            rows += catalog.find(name, scale).experiments
    known, bases = experiments(), []
    for name in rows:
        for start in known[name]().init_from:
            bases += _line(start.experiment)
    found: dict[str, str] = {}
    for name in (*bases, *rows):
        if not (name in bases and name in rows):
            found.setdefault(_key(name), name)
    return found


def _line(experiment: str) -> list[str]:
    """An experiment and all that it starts from."""
    starts = experiments()[experiment]().init_from
    return [experiment, *(name for start in starts for name in _line(start.experiment))]
