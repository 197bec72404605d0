"""mm15 list [--json]

Experiments by family, with stage, parameters and mixture.
"""

from __future__ import annotations

import importlib
import json
import os

from mm15_jax.cli import common
from mm15_jax.config import experiments, load


def define_flags(flags) -> None:
    """Only --json: objects with name, family, stage, parameters of each part and mixture."""
    common.define_json(flags)


def main(arguments, flags) -> int:
    """Counts parameters by shape inference, so that the full sizes take no memory."""
    if arguments:
        raise ValueError(f"mm15 list takes no arguments, was given {' '.join(arguments)!r}")
    # Shapes alone are computed: a TPU is left to what trains on it.
    os.environ["JAX_PLATFORMS"] = "cpu"
    from mm15_jax.model.mllm import count_parameters

    rows, counts = [], {}
    # Rows of ablations are hundreds; mm15 ablate --list has them by table and figure.
    rows_of_ablations = importlib.import_module("mm15_jax.experiments.ablations").EXPERIMENTS
    for name in experiments():
        if name in rows_of_ablations:
            continue
        config = load(name)
        if config.model not in counts:
            counts[config.model] = count_parameters(config.model)
        rows.append(
            {
                "name": name,
                "family": config.family,
                "stage": config.stage,
                "parameters": counts[config.model],
                "mixture": config.data.mixture,
            }
        )
    if flags.json:
        print(json.dumps(rows, indent=1))
    else:
        _print_table(rows)
    return 0


def _print_table(rows: list[dict]) -> None:
    import rich.box
    import rich.console
    import rich.table

    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for title in ("experiment", "family", "stage", "mixture"):
        table.add_column(title, no_wrap=True)
    # "active" are those that one token uses: of experts, the ones it is sent to.
    parts = ("encoder", "connector", "decoder", "total", "active")
    for title in parts:
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows:
        sizes = [_millions(row["parameters"][part]) for part in parts]
        table.add_row(row["name"], row["family"], row["stage"], row["mixture"], *sizes)
    # A pipe has no width of its own; a table that wraps is of no use to grep.
    console = rich.console.Console()
    rich.console.Console(width=max(console.width, 150)).print(table)


def _millions(count: int) -> str:
    return f"{count / 1e9:.2f}B" if count >= 1e9 else f"{count / 1e6:.2f}M"
