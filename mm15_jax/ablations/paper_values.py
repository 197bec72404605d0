"""The paper's own number for a row and a measure of an ablation, where it is known."""

from __future__ import annotations

from mm15_jax import paper

# Rows of `moe`: the paper has two pairs, of which the larger is compared.
_MODELS = {"dense": "mm15_3b", "experts": "mm15_3b_moe"}


def paper_value(ablation: str, row: str, measure: str) -> float | None:
    """From tables 1 to 3, figures 9 and 10, or averaged from tables 5 to 9; None where unknown."""
    if ablation.startswith("table") and ablation in ("table1", "table2", "table3"):
        return _of_table(int(ablation.removeprefix("table")), row, measure)
    if ablation.startswith("fig"):
        return _of_figure(ablation.removeprefix("fig"), row, measure)
    if ablation == "video":
        return _of_model(f"mm15_video_3b_{row}", measure)
    if ablation == "ui":
        return _of_ui(row, measure)
    if ablation in ("scaling", "moe"):
        model = _MODELS.get(row, row)
        return _of_model(model, measure)
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


def trust(ablation: str) -> str:
    """Where the paper's numbers are from, for a line under a table; "" where there are none."""
    if ablation.startswith("table"):
        return f"table {ablation.removeprefix('table')}"
    if ablation in ("fig9a", "fig9b", "fig10"):
        figure = ablation.removeprefix("fig")
        return f"figure {figure}, numbers that another publication prints for its bars"
    if ablation == "video":
        return "tables 10 and 11, 3B"
    if ablation == "ui":
        return "table 12"
    if ablation in ("scaling", "moe"):
        return "tables 5 to 9, averaged as section 3.1 defines"
    return ""
