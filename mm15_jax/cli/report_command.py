"""mm15 report --run_dir RUN

Writes RUN/report.html anew from what the run directory holds: metrics, scores, answers.
"""

from __future__ import annotations

import os
import pathlib
import shlex
import sys
import time

from mm15_jax.cli import common
from mm15_jax.data.storage import absolute, to_path, write_atomically


def define_flags(flags) -> None:
    """Only the run: all that a report shows is in its directory."""
    common.define_string(flags, "run_dir", None, "a run, or the folder of a chain of runs")


def main(arguments, flags) -> int:
    """Prints the path of the page; neither trains nor evaluates."""
    if arguments:
        raise ValueError(f"mm15 report takes --run_dir only, was given {' '.join(arguments)!r}")
    # Shapes alone are computed: a TPU is left to what trains on it.
    os.environ["JAX_PLATFORMS"] = "cpu"
    common.run_config(flags.run_dir)  # answers a wrong directory
    print(write_report(to_path(flags.run_dir)))
    return 0


def evaluate_and_report(run_dir, data_dir, *, began: float) -> None:
    """Scores the (last) run in `run_dir`, prints the table, and writes the page."""
    from mm15_jax.cli.eval_command import evaluate_run
    from mm15_jax.evaluation.score_table import print_scores

    path, config = common.run_config(str(run_dir))
    check(config)
    results = evaluate_run(path, config, data_dir, config.eval.benchmarks, out_dir=run_dir)
    print_scores(results)
    command = f"mm15 {shlex.join(sys.argv[1:])}"
    write_atomically(run_dir / "command.txt", f"{command}\n".encode())
    page = write_report(run_dir, timings={"Whole command": time.monotonic() - began})
    print(f"report: {page}")


def check(config) -> None:
    """ValueError where a run has nothing to report."""
    if not config.eval.benchmarks:
        raise ValueError(f"{config.name} names no benchmarks (eval.benchmarks): nothing to report")


def write_report(run_dir: pathlib.Path, timings: dict[str, float] | None = None) -> pathlib.Path:
    """Builds report.html of a run, or of a chain's folder; `timings` are seconds by title."""
    from mm15_jax.checkpoint import run
    from mm15_jax.evaluation.report import build_report
    from mm15_jax.model.mllm import count_parameters

    _, config = common.run_config(str(run_dir))
    folders = [run_dir, *(path.parent for path in sorted(run_dir.glob(f"*/{run.STARTS}")))]
    starts = [start for folder in folders for start in run.read_starts(folder) or []]
    command = run_dir / "command.txt"
    return build_report(
        run_dir,
        title=config.name,
        command=command.read_text().strip() if command.exists() else None,
        parameters=count_parameters(config.model),
        # Stages of this very chain go without saying.
        started_from=[start for start in starts if f"({absolute(run_dir)}/" not in start],
        timings=timings,
    )
