"""The paper's own number for a row and a measure of an ablation, where it is known."""

from __future__ import annotations

from mm15_jax import paper

_SIZE = "3b"  # of most of the paper's ablations, and what the miniature is compared with
_LARGER = {"1": "8", "2": "9", "3": "10"}  # rows of table 2: those of 7B with the same numbers
_EXPERTS = {"dense": "", "experts": "_moe"}


def paper_value(ablation: str, scale: str, row: str, measure: str) -> float | None:
    """From tables 1 to 3 and 10 to 12, figures 9 and 10, or averaged from tables 5 to 9.

    Args:
      ablation: its name.
      scale: of ours; the paper's number is of a model of that size, of 3B for the miniature.
      row: its key.
      measure: as the ablation has it.

    Returns:
      None where the paper has no such number, of this size.
    """
    size = _SIZE if scale == "nano" else scale
    if ablation == "table2" and size == "7b":
        return _of_table(2, _LARGER[row], measure) if row in _LARGER else None
    if ablation in ("table1", "table2", "table3"):
        number = int(ablation.removeprefix("table"))
        return _of_table(number, row, measure) if size == _SIZE else None
    if ablation.startswith("fig"):
        return _of_figure(ablation.removeprefix("fig"), row, measure) if size == _SIZE else None
    if ablation == "video":
        return _of_model(f"mm15_video_{size}_{row}", measure)
    if ablation == "ui":
        return _of_ui(row, measure)
    if ablation == "scaling":
        return _of_model(row, measure)
    if ablation == "moe":
        return _of_model(f"mm15_{size}{_EXPERTS[row]}", measure)
    return None


def _of_model(model: str, measure: str) -> float | None:
    lookup = paper.lookup_of_model(model)
    if measure in paper.averages():
        return paper.evaluate(measure, lookup).value
    return lookup(measure, "")


def _of_ui(row: str, measure: str) -> float | None:
    key = f"mm15_{row}" if row.startswith("ui_") else f"mm15_ui_3b_{row}"
    rows, scores = paper.table(12).rows, paper.table(12).scores
    if key not in {r.key for r in rows} or measure not in {s.key for s in scores}:
        return None
    return paper.table(12).cell(key, measure).value


def _of_table(number: int, row: str, measure: str) -> float | None:
    table = paper.table(number)
    if row not in {found.key for found in table.rows}:
        return None
    return table.cell(row, measure).value


def _of_figure(name: str, row: str, measure: str) -> float | None:
    for value in paper.figure(name).values:
        if value.row == row:
            return value.values.get(measure)
    return None


def trust(ablation: str, scale: str) -> str:
    """Where the paper's numbers are from, for a line under a table; "" where there are none."""
    size = (_SIZE if scale == "nano" else scale).upper()
    if ablation.startswith("table"):
        return f"table {ablation.removeprefix('table')}"
    if ablation in ("fig9a", "fig9b", "fig10"):
        figure = ablation.removeprefix("fig")
        return f"figure {figure}, numbers that another publication prints for its bars"
    if ablation == "video":
        return f"tables 10 and 11, {size}"
    if ablation == "ui":
        return "table 12"
    if ablation in ("scaling", "moe"):
        return "tables 5 to 9, averaged as section 3.1 defines" + (
            f", {size}" if ablation == "moe" else ""
        )
    return ""
