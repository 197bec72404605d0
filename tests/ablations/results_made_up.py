"""Results whose truth is known."""

import dataclasses

import numpy as np

from mm15_jax.ablations import catalog
from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.results import Cell, Result, RowResult
from mm15_jax.ablations.runs import plan

SEEDS = (Draw(0, 0), Draw(0, 1))
FIG8 = catalog.find("fig8", "nano")
SHARES = {
    "base": {"mini_scene_qa": 0.4},
    "single_image": {"mini_scene_qa": 0.5},
    "all": {"mini_scene_qa": 0.6},
}


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


def with_likelihoods(found, rows, draws=SEEDS):
    """A result with likelihoods of these draws; rows: key -> that of every question."""

    def likely(cell, probability):
        questions = np.full_like(cell.questions, probability)
        return dataclasses.replace(cell, likelihood=Cell(100 * probability, 0.0, {}, questions))

    def changed(row):
        by_draw = {
            draw: {name: likely(cell, rows[row.key]) for name, cell in cells.items()}
            if row.key in rows and draw in draws
            else cells
            for draw, cells in row.draws.items()
        }
        return dataclasses.replace(row, draws=by_draw)

    return dataclasses.replace(found, rows=tuple(changed(row) for row in found.rows))


def fig8(draws, rows=("base", "single_image", "all"), **overrides):
    """A result with the contents of figure 8's rows."""
    contents = {a.row.key: a.content for a in plan(FIG8, **overrides).asked}
    found = result("fig8", {key: SHARES[key] for key in rows}, ("general",), draws)
    rows = tuple(dataclasses.replace(row, content=contents[row.key]) for row in found.rows)
    return dataclasses.replace(found, rows=rows)
