"""Draws made in different places as one result, and results that are older than their rows."""

from __future__ import annotations

import dataclasses

from mm15_jax.ablations.reproduce import commands
from mm15_jax.ablations.results import Result, RowResult
from mm15_jax.ablations.runs import Asked, plan
from mm15_jax.config.ablation import Ablation


def joined(
    ablation: Ablation, found: Result, published: Result, overrides: tuple[str, ...] = ()
) -> tuple[Result, tuple[str, ...]]:
    """All draws of two results of an ablation; of a draw that both have, the one of `found`.

    A published row is taken only if its content is what the ablation has now.

    Args:
      ablation: whose results they are.
      found: just collected.
      published: an earlier one, as `result_files.read` gives it.
      overrides: of --set, for every run of both.

    Returns:
      The result, and the keys of published rows that were left out.

    Raises:
      ValueError: rows with seeds have not equally many stages of their own.
    """
    rows = {row.key: row for row in found.rows}
    left_out = changed_rows(ablation, published, overrides)
    for earlier in published.rows:
        if earlier.key in left_out:
            continue
        own = rows.get(earlier.key, earlier)
        rows[earlier.key] = dataclasses.replace(own, draws={**earlier.draws, **own.draws})
    ordered = tuple(rows[row.key] for row in ablation.rows if row.key in rows)
    seeded = [row.key for row in ordered if any(draw.seed for draw in row.draws)]
    if seeded:  # asked for apart, rows may have been drawn from further back than others
        plan(ablation, seeds=2, rows=seeded, overrides=overrides)
    printed = commands(ablation, {row.key: row.draws for row in ordered}, overrides)
    return dataclasses.replace(found, rows=ordered, commands=printed), left_out


def changed_rows(
    ablation: Ablation, result: Result, overrides: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Keys of rows whose settings or generated data, or those of a start, are others by now."""
    asked = {a.row.key: a for a in plan(ablation, overrides=overrides).asked}
    return tuple(row.key for row in result.rows if not _is_alike(row, asked.get(row.key)))


def _is_alike(row: RowResult, asked: Asked | None) -> bool:
    return (
        asked is not None
        and row.content == asked.content
        and row.generated.items() <= asked.generated.items()
    )
