"""A result in files: all but the questions as JSON, the score of every question beside it."""

from __future__ import annotations

import io
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.results import NO_QUESTIONS, Cell, Result, RowResult
from mm15_jax.data.storage import to_path, write_atomically

_LIKELIHOOD = "likelihood"


def to_json(result: Result) -> dict[str, Any]:
    """All but the questions, for people and programs; means are over the draws all rows have."""
    alike = result.alike
    rows = [
        {
            "key": row.key,
            "title": row.title,
            "x": row.x,
            "series": row.series,
            "content": row.content,
            "generated": dict(row.generated),
            "measures": {
                measure: {
                    "mean": _rounded(alike.score(row.key, measure)),
                    "error": _rounded(alike.error(row.key, measure)),
                    "draws": {
                        d.label: _rounded(result.score(row.key, measure, d)) for d in row.draws
                    },
                }
                for measure in result.measures
            },
            "benchmarks": {
                draw.label: {
                    name: {
                        "score": round(cell.score, 3),
                        "error": round(cell.error, 3),
                        "parts": dict(cell.parts),
                        **_likelihood(cell),
                    }
                    for name, cell in cells.items()
                }
                for draw, cells in row.draws.items()
            },
        }
        for row in result.rows
    ]
    return {
        "name": result.name,
        "scale": result.scale,
        "commands": list(result.commands),
        "examples": result.examples,
        "versions": dict(result.versions),
        "measures": list(result.measures),
        "rows": rows,
    }


def _likelihood(cell: Cell) -> dict[str, Any]:
    found = cell.likelihood
    if found is None:
        return {}
    return {"likelihood": {"score": round(found.score, 3), "error": round(found.error, 3)}}


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 2)


def save(result: Result, folder: pathlib.Path) -> None:
    """Writes NAME_SCALE.json, for readers, and NAME_SCALE.npz with the score of every question.

    The file has a question's score in 255 steps, the probability of its answer in 65,535.
    """
    stem = f"{result.name}_{result.scale}"
    text = json.dumps(to_json(result), indent=1) + "\n"
    write_atomically(folder / f"{stem}.json", text.encode())
    arrays: dict[str, Any] = {}
    for row in result.rows:
        for draw, cells in row.draws.items():
            for name, cell in cells.items():
                key = f"{row.key}/{draw.label}/{name}"
                if len(cell.questions):
                    arrays[key] = np.round(255 * cell.questions).astype(np.uint8)
                if cell.likelihood and len(cell.likelihood.questions):
                    steps = np.round(65535 * cell.likelihood.questions).astype(np.uint16)
                    arrays[f"{key}/{_LIKELIHOOD}"] = steps
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    write_atomically(folder / f"{stem}.npz", packed.getvalue())


def read(folder: pathlib.Path | str, name: str, scale: str) -> Result:
    """What `save` wrote; ValueError where there is nothing."""
    stem = to_path(folder) / f"{name}_{scale}"
    path = stem.with_suffix(".json")
    if not path.is_file():
        raise ValueError(f"{folder} has no result of {name} at scale {scale}")
    facts = json.loads(path.read_text())
    packed = stem.with_suffix(".npz")
    # By bytes: numpy opens names of local files alone.
    with np.load(io.BytesIO(packed.read_bytes()) if packed.is_file() else _empty()) as arrays:
        questions = {
            key: (steps := arrays[key]).astype(np.float32) / np.iinfo(steps.dtype).max
            for key in arrays.files
        }
    rows = tuple(
        RowResult(
            row["key"],
            row["title"],
            row["x"],
            row["series"],
            {
                Draw.of_label(label): {
                    benchmark: _cell(cell, questions, f"{row['key']}/{label}/{benchmark}")
                    for benchmark, cell in cells.items()
                }
                for label, cells in row["benchmarks"].items()
            },
            row["content"],
            row.get("generated", {}),
        )
        for row in facts["rows"]
    )
    return Result(
        name, scale, tuple(facts["commands"]), tuple(facts["measures"]), rows, facts["examples"],
        facts["versions"],
    )  # fmt: skip


def _cell(facts: Mapping[str, Any], questions: Mapping[str, np.ndarray], key: str) -> Cell:
    likelihood = None
    if found := facts.get("likelihood"):
        likely = questions.get(f"{key}/{_LIKELIHOOD}", NO_QUESTIONS)
        likelihood = Cell(found["score"], found["error"], {}, likely)
    own = questions.get(key, NO_QUESTIONS)
    return Cell(facts["score"], facts["error"], facts["parts"], own, likelihood)


def _empty() -> io.BytesIO:
    packed = io.BytesIO()
    np.savez(packed)
    packed.seek(0)
    return packed
