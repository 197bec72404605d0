"""Results whose truth is known."""

import numpy as np

from mm15_jax.ablations.results import Cell, Result, RowResult
from mm15_jax.ablations.runs import Draw

SEEDS = (Draw(0, 0), Draw(0, 1))


def cell(rng, probability, questions=400):
    scores = (rng.random(questions) < probability).astype(np.float32)
    return Cell(100 * float(scores.mean()), 0.0, {}, scores)


def result(name, rows, measures, draws=SEEDS, scale="nano"):
    """rows: key -> {benchmark: share of questions answered rightly}."""
    made = []
    for key, benchmarks in rows.items():
        by_draw = {}
        for draw in draws:
            rng = np.random.default_rng(draw)  # the same questions are hard for all rows
            by_draw[draw] = {b: cell(rng, p) for b, p in benchmarks.items()}
        made.append(RowResult(key, f"title of {key}", 0.0, "", by_draw))
    commands = (f"mm15 ablate {name}",)
    return Result(name, scale, commands, measures, tuple(made), 400, {"jax": "1"})
