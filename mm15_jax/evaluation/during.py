"""Evaluation while a stage trains: a few questions every so many steps."""

from __future__ import annotations

import pathlib
from typing import Any

import jax

from mm15_jax.config import ExperimentConfig
from mm15_jax.config.names import unknown
from mm15_jax.data.storage import to_path
from mm15_jax.evaluation.benchmarks import resolve
from mm15_jax.evaluation.results import Results
from mm15_jax.evaluation.runner import evaluate, open_questions
from mm15_jax.infer.generate import Generator
from mm15_jax.infer.load import make_generator

FOLDER = "evaluations"  # of a run: a folder a step, with scores.json and the answers


class DuringTraining:
    """Scores parameters in training; called by `train.loop.train`."""

    def __init__(
        self, config: ExperimentConfig, run_dir: pathlib.Path | str, data_dir: pathlib.Path | str
    ):
        """Checks names and data, before the first step is trained.

        Raises:
          ValueError: an unknown benchmark, none at all, one whose data is not prepared, or a score
            to keep the best by that these benchmarks do not give.
        """
        during = config.eval.during
        self._names = during.benchmarks or config.eval.benchmarks
        chosen = resolve(self._names)
        given = [benchmark.name for benchmark in chosen if not benchmark.judge]
        given += dict.fromkeys(f"{b.suite}/{b.category}" for b in chosen)
        given += dict.fromkeys(f"{b.suite}/mmbase" for b in chosen)
        if during.keep_best and during.keep_best not in given:
            raise unknown("score in eval.during.keep_best:", during.keep_best, given)
        open_questions(self._names, data_dir, during.split, during.examples)
        self._config, self._run_dir, self._data_dir = config, to_path(run_dir), data_dir
        self._generator: Generator | None = None

    def __call__(self, step: int, params: Any) -> dict[str, float]:
        """Scores 0-100 by name: of benchmarks, and of categories as "suite/category".

        Args:
          step: names the folder of the answers.
          params: of the training state, divided over its mesh; not kept.
        """
        config, during = self._config, self._config.eval.during
        if self._generator is None:
            sharding = jax.tree.leaves(params)[0].sharding
            self._generator = make_generator(params, config, sharding.mesh)
        self._generator.params = params
        results = evaluate(
            self._generator,
            self._data_dir,
            self._names,
            split=during.split,
            limit=during.examples,
            out_dir=self._run_dir / FOLDER / f"{step:08d}",
            max_new_tokens=config.eval.max_new_tokens,
            batch_size=config.eval.batch_size,
            baselines={},
            show=0,
            show_mistakes=0,
        )
        self._generator.params = None  # the next step gives their memory away
        return _named(results)


def _named(results: Results) -> dict[str, float]:
    scores = {row.name: row.score for row in results.benchmarks}
    for suite, averages in results.averages.items():
        scores |= {f"{suite}/{name}": value for name, value in averages.scores.items()}
    return {name: value for name, value in scores.items() if value is not None}
