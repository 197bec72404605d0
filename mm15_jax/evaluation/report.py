"""A run's report: one HTML page without external resources."""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from mm15_jax.config.schema import STAGES
from mm15_jax.data.storage import absolute, to_path, write_atomically
from mm15_jax.evaluation.asking import PICTURES
from mm15_jax.evaluation.benchmarks import CATEGORIES
from mm15_jax.evaluation.cards import (
    ANSWER_COLOUR,
    ASKED_COLOUR,
    TRUTH_COLOUR,
    card_of,
    with_pictures,
)
from mm15_jax.evaluation.page import template_of
from mm15_jax.evaluation.report_plots import COLOURS, categories_of, loss_chart
from mm15_jax.evaluation.results import SCORES, Results, read_scores
from mm15_jax.evaluation.runner import ANSWERS
from mm15_jax.evaluation.score_table import TITLES, score_tables
from mm15_jax.train.metrics import read_rows

STAGE_TITLES = {
    "encoder": "Encoder",
    "text": "Text decoder",
    "pretrain": "Pre-training",
    "continual": "Continual pre-training",
    "sft": "Supervised fine-tuning",
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """What the page says about one stage of training."""

    name: str
    title: str
    chart: str
    legend: list[tuple[str, str]]  # (name, colour)
    steps: int
    first_loss: float
    last_loss: float
    tokens_per_second: float
    seconds: float
    order: int


def build_report(
    run_dir: pathlib.Path | str,
    *,
    title: str | None = None,
    command: str | None = None,
    parameters: Mapping[str, int] | None = None,
    started_from: Sequence[str] = (),
    timings: Mapping[str, float] | None = None,
    machine: str | None = None,
    examples: int = 8,
) -> pathlib.Path:
    """Writes `<run_dir>/report.html` from what the run directory holds.

    Reads metrics.jsonl of the run or of the stages in its folders, scores.json, and the answers and
    pictures that `evaluate` left; each part that is absent is left out, and said to be.

    Args:
      run_dir: a run directory, or one with a folder a stage.
      title: of the page; the directory's name by default.
      command: what made the run.
      parameters: by part, as `mllm.count_parameters` gives them.
      started_from: weights that were not trained in this run, a sentence each.
      timings: seconds by what they were spent on; trained stages are added from their metrics.
      machine: what it ran on; this machine by default.
      examples: most examples shown of each benchmark: the first ones, not chosen.

    Returns:
      The page's path.

    Raises:
      ValueError: the directory has neither metrics nor scores.
    """
    run_dir = to_path(run_dir)
    stages = read_stages(run_dir)
    results = read_scores(run_dir) if (run_dir / SCORES).is_file() else None
    if not stages and results is None:
        raise ValueError(f"{run_dir} has neither metrics.jsonl nor {SCORES}: nothing to report")
    page = template_of("mm15_jax.evaluation", "report.html").render(
        title=title or absolute(run_dir).name,
        date=datetime.datetime.now().astimezone().strftime("%-d %B %Y, %H:%M %Z"),
        command=command,
        machine=machine or describe_machine(),
        parameters=dict(parameters or {}),
        started_from=list(started_from),
        stages=stages,
        suites=score_tables(results) if results else [],
        split=results.split if results else "",
        absent=results.absent if results else (),
        sections=_sections(run_dir, results, examples) if results else [],
        timings=_timings(stages, results, timings or {}),
        answer_colour=ANSWER_COLOUR,
        truth_colour=TRUTH_COLOUR,
        asked_colour=ASKED_COLOUR,
    )
    path = run_dir / "report.html"
    write_atomically(path, page.encode())
    return path


def describe_machine() -> str:
    """Processor, cores and devices in one line."""
    name = platform.processor() or platform.machine()
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    text = f"{name}, {cores} core{'s' if cores != 1 else ''}"
    import jax  # only where devices are asked for

    from mm15_jax.parallel.startup import ignore_absent_tpus

    ignore_absent_tpus()
    if jax.default_backend() != "cpu":
        text += f"; {jax.device_count()} x {jax.devices()[0].device_kind}"
    return f"{text}; JAX {jax.__version__}, Python {platform.python_version()}"


def read_stages(run_dir: pathlib.Path) -> list[Stage]:
    """Stages in the order of training, from every metrics.jsonl at most one folder down."""
    found = []
    # A chain's own metrics.jsonl repeats its stages'.
    paths = sorted(run_dir.glob("*/metrics.jsonl")) or [run_dir / "metrics.jsonl"]
    for path in paths:
        rows = [row for row in read_rows(path) if "loss" in row and "step" in row]
        if not rows:
            continue
        stage = str(rows[-1].get("stage", ""))
        legend = [(TITLES.get(c, c), COLOURS.get(c, "#777777")) for c in categories_of(rows)]
        half = rows[len(rows) // 2 :]
        title = STAGE_TITLES.get(stage, stage or path.parent.name)
        found.append(
            Stage(
                name=str(rows[-1].get("experiment", path.parent.name)),
                title=title,
                chart=loss_chart(rows, f"Loss of {title} by step"),
                legend=[("All", "#1d2530"), *legend] if legend else [],
                steps=rows[-1]["step"],
                first_loss=rows[0]["loss"],
                last_loss=sum(r["loss"] for r in rows[-5:]) / len(rows[-5:]),
                # The first rows hold compilation; the median row of the second half does not.
                tokens_per_second=sorted(r.get("tokens_per_second", 0.0) for r in half)[
                    len(half) // 2
                ],
                seconds=_stage_seconds(rows),
                order=STAGES.index(stage) if stage in STAGES else len(STAGES),
            )
        )
    return sorted(found, key=lambda stage: stage.order)


def _stage_seconds(rows: Sequence[Mapping[str, Any]]) -> float:
    """Seconds of all steps: each row speaks for the steps since the row before."""
    total, before = 0.0, 0
    for row in rows:
        total += (row["step"] - before) * row.get("seconds_per_step", 0.0)
        before = row["step"]
    return total


def _timings(
    stages: Sequence[Stage], results: Results | None, given: Mapping[str, float]
) -> list[tuple[str, float]]:
    rows = [(f"{stage.title}, {stage.steps:,} steps", stage.seconds) for stage in stages]
    if results:
        asked = [row for row in results.benchmarks if row.answered]
        if asked:
            count = sum(row.answered for row in asked)
            rows.append((f"Evaluation, {count:,} answers", sum(row.seconds for row in asked)))
    return [row for row in rows if row[1] > 0] + list(given.items())


def _sections(run_dir: pathlib.Path, results: Results, examples: int) -> list[dict[str, Any]]:
    """Examples by category and benchmark."""
    sections = []
    for category in CATEGORIES:
        groups = []
        for benchmark in results.benchmarks:
            if benchmark.category != category:
                continue
            rows = read_rows(run_dir / ANSWERS / f"{benchmark.name}.jsonl")
            pictures = run_dir / ANSWERS / PICTURES / benchmark.name
            cards = [card_of(pictures, row) for row in with_pictures(pictures, rows, examples)]
            if cards:
                groups.append({"benchmark": benchmark, "cards": cards})
        if groups:
            sections.append({"title": TITLES[category], "name": category, "groups": groups})
    return sections
