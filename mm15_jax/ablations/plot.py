"""The figure of an ablation, in the paper's form."""

from __future__ import annotations

import pathlib
from collections import Counter
from typing import Any

from mm15_jax.ablations.measures import title
from mm15_jax.ablations.paper_values import paper_value
from mm15_jax.ablations.results import Result
from mm15_jax.config.ablation import Ablation
from mm15_jax.data.storage import draft

_COLORS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860", "#da8bc3", "#8c8c8c")
_INK = "#333333"


def draw(ablation: Ablation, result: Result, path: pathlib.Path) -> None:
    """Writes a PNG: columns a row of a table, bars of a figure, or curves of a sweep.

    Our scores, over the draws that all rows have, are the columns, with a standard error; a dash
    across one is the paper's score.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with plt.rc_context(style):
        figure = (_sweep if ablation.form == "sweep" else _columns)(plt, ablation, result.alike)
        with draft(path) as target:
            figure.savefig(target, dpi=130, bbox_inches="tight", format="png")
        plt.close(figure)


def _columns(plt: Any, ablation: Ablation, result: Result) -> Any:
    """A group for each measure, a column for each row."""
    rows, measures = result.rows, result.measures
    width = 0.84 / len(rows)
    # Wide enough for columns to be told apart, and for the longest name of a measure.
    group = max(0.27 * len(rows), 0.085 * max(len(title(measure)) for measure in measures))
    figure, axes = plt.subplots(figsize=(max(6.5, 1.1 + group * len(measures)), 3.4))
    has_paper, highest = False, 100.0  # CIDEr of a benchmark may be above it
    for i, row in enumerate(rows):
        for k, measure in enumerate(measures):
            score = result.score(row.key, measure)
            if score is None:
                continue
            x = k + (i - (len(rows) - 1) / 2) * width
            name = f"{row.key}  {row.title}" if row.key.isdigit() else row.title
            label = name if k == 0 else None
            color = _COLORS[i % len(_COLORS)]
            axes.bar(x, score, 0.9 * width, color=color, label=label)
            axes.errorbar(x, score, result.error(row.key, measure), color=_INK, lw=1, capsize=2)
            theirs = paper_value(ablation.name, ablation.scale, row.key, measure)
            highest = max(highest, score, theirs or 0.0)
            if theirs is not None:
                has_paper = True
                axes.hlines(
                    theirs, x - width / 2, x + width / 2, color=_INK, lw=1.2, ls=(0, (2, 1))
                )
    axes.set_xticks(range(len(measures)), [title(measure) for measure in measures])
    axes.set_ylabel("score")
    axes.set_ylim(0, highest)
    if has_paper:
        axes.plot([], [], color=_INK, lw=1.2, ls=(0, (2, 1)), label="the paper")
    axes.set_title(f"{ablation.source}, scale {result.scale}: {ablation.title}", loc="left")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    return figure


def _sweep(plt: Any, ablation: Ablation, result: Result) -> Any:
    """A panel for each series that has more than one point, a curve for each measure."""
    points_of = Counter(row.series for row in result.rows)  # in the order of the rows
    # The start that all series share is no curve; where nothing else has run it is shown as it is.
    series = [name for name, count in points_of.items() if count > 1] or list(points_of)
    size = (3.3 * len(series) + 0.6, 3.0)
    figure, panels = plt.subplots(1, len(series), figsize=size, squeeze=False, sharey=True)
    for axes, name in zip(panels[0], series, strict=True):
        rows = [row for row in result.rows if row.series == name]
        for i, measure in enumerate(result.measures):
            points = [
                (row.x, score, result.error(row.key, measure))
                for row in rows
                if (score := result.score(row.key, measure)) is not None
            ]
            if not points:
                continue
            x, y, errors = zip(*points, strict=True)
            color = _COLORS[i % len(_COLORS)]
            wide = measure in ("mmbase", name)
            axes.errorbar(
                x, y, errors, color=color, label=title(measure), marker="o", ms=3.5,
                lw=2 if wide else 1, alpha=1 if wide else 0.6, capsize=2,
            )  # fmt: skip
        axes.set_title(name.replace("_", " "), loc="left")
        axes.set_xlabel("ratio to general" if ablation.name == "fig6" else "share of the whole")
    panels[0][0].set_ylabel("score")
    panels[0][-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    figure.suptitle(f"{ablation.source}, scale {result.scale}: {ablation.title}", x=0.02, ha="left")
    figure.tight_layout()
    return figure
