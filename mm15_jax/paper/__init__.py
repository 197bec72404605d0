"""The MM1.5 paper's tables 1 to 12 and what is known of its figures, as data.

paper.cell(6, "mm15_3b", "docvqa").value       # 87.7
paper.cell(5, "mm15_1b_moe", "mme").values     # {"perception": 1511.9, "cognition": 361.1}
paper.table(2).row("7").settings               # {"train_n_min": 4, ...}
paper.models_of_family("3b")                   # MM1.5-3B, MM1.5-Video-3B, ...
"""

from mm15_jax.paper.averages import (
    Average,
    Averaged,
    Lookup,
    average,
    averages,
    evaluate,
    lookup_of_model,
)
from mm15_jax.paper.figures import Difference, Figure, FigureValue, figure, figures
from mm15_jax.paper.tables import (
    LINES,
    Cell,
    Column,
    Model,
    Note,
    Row,
    Table,
    benchmarks,
    cell,
    model,
    models,
    models_of_family,
    notes,
    table,
    tables,
)

__all__ = [
    "LINES", "Average", "Averaged", "Cell", "Column", "Difference", "Figure", "FigureValue",
    "Lookup", "Model", "Note", "Row", "Table", "average", "averages", "benchmarks", "cell",
    "evaluate", "figure", "figures", "lookup_of_model", "model", "models", "models_of_family",
    "notes", "table", "tables",
]  # fmt: skip
