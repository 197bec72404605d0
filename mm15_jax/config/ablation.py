"""What an ablation is: rows, each an experiment that differs from its parent in one thing."""

from __future__ import annotations

from dataclasses import dataclass

from mm15_jax.config.names import unknown
from mm15_jax.config.schema import ExperimentConfig

# "table": columns of scores a row; "bars": a bar a row; "sweep": scores over a number.
FORMS = ("table", "bars", "sweep")


@dataclass(frozen=True)
class AblationRow:
    """One row of a table, or one bar or point of a figure.

    Attributes:
      key: as the paper's data has it: "1", "1344", "science_0.5".
      title: what the row is, in a few words.
      config: the experiment that is scored. Stage "evaluation": it asks another row's run.
      before: stages that belong to this row alone, first to last; what they start from is shared.
      x: where it stands in a sweep.
      series: which curve of a sweep it belongs to.
    """

    key: str
    title: str
    config: ExperimentConfig
    before: tuple[ExperimentConfig, ...] = ()
    x: float = 0.0
    series: str = ""


@dataclass(frozen=True)
class Ablation:
    """A table or figure of the paper at one scale.

    Attributes:
      name: "table1", "fig9a".
      title: what is varied.
      scale: "nano", "3b", ...
      source: where the paper has it: "table 1", "figure 9a".
      rows: of it, in the paper's order.
      measures: what is scored: categories, averages, benchmarks, by the paper's names.
      form: one of FORMS.
      held: what rows have in common, where it is not obvious: equal examples or equal steps.
    """

    name: str
    title: str
    scale: str
    source: str
    rows: tuple[AblationRow, ...]
    measures: tuple[str, ...]
    form: str = "table"
    held: str = ""

    def __post_init__(self):
        assert self.form in FORMS, self.form
        assert len({row.key for row in self.rows}) == len(self.rows), self.name

    def row(self, key: str) -> AblationRow:
        """The row called `key`; ValueError names the nearest."""
        for found in self.rows:
            if found.key == key:
                return found
        raise unknown(f"row of {self.name}", key, [row.key for row in self.rows])

    @property
    def experiments(self) -> dict[str, ExperimentConfig]:
        """Name -> every experiment that belongs to its rows."""
        return {c.name: c for row in self.rows for c in (*row.before, row.config)}
