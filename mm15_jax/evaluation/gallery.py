"""The mistakes of an evaluation as one HTML page without external resources."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from mm15_jax.data.storage import absolute, to_path, write_atomically
from mm15_jax.evaluation.asking import PICTURES
from mm15_jax.evaluation.cards import (
    ANSWER_COLOUR,
    ASKED_COLOUR,
    TRUTH_COLOUR,
    card_of,
    with_pictures,
)
from mm15_jax.evaluation.page import template_of
from mm15_jax.evaluation.results import for_split, read_scores
from mm15_jax.evaluation.runner import ANSWERS
from mm15_jax.train.metrics import read_rows

GALLERY = "mistakes.html"
_KINDS = 12  # kinds of questions in a benchmark's summary, the worst first


def build_gallery(
    run_dir: pathlib.Path | str, split: str = "test", *, mistakes: int = 24
) -> pathlib.Path:
    """Writes `<run_dir>/eval/mistakes.html` from the answers that `evaluate` left.

    Args:
      run_dir: a run directory.
      split: as `evaluate` was given.
      mistakes: most cards of each benchmark: the first wrong ones.

    Returns:
      The page's path.

    Raises:
      ValueError: the run has no scores.
    """
    run_dir = to_path(run_dir)
    results = read_scores(run_dir, split)
    folder = run_dir / for_split(ANSWERS, split)
    sections = []
    for benchmark in results.benchmarks:
        # What follows was answered, but is beyond the limit of the score.
        rows = read_rows(folder / f"{benchmark.name}.jsonl")[: benchmark.count]
        wrong = [row for row in rows if row["score"] is not None and row["score"] < 1]
        pictures = folder / PICTURES / benchmark.name
        shown = with_pictures(pictures, wrong, mistakes)
        sections.append(
            {
                "benchmark": benchmark,
                "wrong": len(wrong),
                "count": len(rows),
                "kinds": _kinds(rows),
                "cards": [card_of(pictures, row) for row in shown],
            }
        )
    page = template_of("mm15_jax.evaluation", "mistakes.html").render(
        title=absolute(run_dir).name,
        split=split,
        sections=sections,
        answer_colour=ANSWER_COLOUR,
        truth_colour=TRUTH_COLOUR,
        asked_colour=ASKED_COLOUR,
    )
    path = folder / GALLERY
    write_atomically(path, page.encode())
    return path


def _kinds(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, int]]:
    """(kind or subset, its mean score 0-100, examples), the worst first; none of a single kind."""
    scores: dict[str, list[float]] = collections.defaultdict(list)
    for row in rows:
        name = row.get("kind") or row.get("subset")
        if name and row["score"] is not None:
            scores[str(name)].append(row["score"])
    if len(scores) < 2:
        return []
    found = [(name, 100 * sum(some) / len(some), len(some)) for name, some in scores.items()]
    return sorted(found, key=lambda kind: kind[1])[:_KINDS]
