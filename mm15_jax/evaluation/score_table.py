"""The table of scores: suites, their categories and benchmarks; for a page and for the terminal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import rich.box
import rich.console
import rich.table

from mm15_jax.evaluation.benchmarks import CATEGORIES, SUITES
from mm15_jax.evaluation.categories import CategoryScores
from mm15_jax.evaluation.report_plots import COLOURS
from mm15_jax.evaluation.results import BenchmarkResult, Results

TITLES = {
    "general": "General",
    "text_rich": "Text-rich",
    "knowledge": "Knowledge",
    "refer_ground": "Refer and ground",
    "multi_image": "Multi-image",
    "in_context": "In-context",
    "video": "Video",
    "ui": "Screens",
    "0_shot": "0 shots",
    "4_shot": "4 shots",
    "8_shot": "8 shots",
    "captions": "Captions",
    "mmbase": "MMBase",
    "text": "Text",
    "encoder": "Encoder",
}
SUITE_TITLES = {
    "mini": "The miniature",
    "open": "The open corpus",
    "paper": "The paper's benchmarks",
    "few_shot": "Few-shot, as MM1",
    "mini_video": "The miniature's clips",
    "mini_ui": "The miniature's screens",
    "video": "Video",
    "ui": "Screens",
}


@dataclasses.dataclass(frozen=True)
class Group:
    """One category of one suite."""

    suite: str
    name: str
    title: str
    colour: str
    score: float | None
    baseline: float | None
    rows: Sequence[BenchmarkResult]

    @property
    def count(self) -> int:
        """Examples of all its benchmarks."""
        return sum(row.count for row in self.rows)


@dataclasses.dataclass(frozen=True)
class SuiteTable:
    """One suite: its categories that have a result, and MMBase where the suite has one."""

    name: str
    title: str
    groups: Sequence[Group]
    mmbase: float | None
    mmbase_baseline: float | None
    has_mmbase: bool
    judged: Sequence[str]  # sentences: by whom, and what was not read of the replies
    missing: Sequence[str]  # sentences


def score_tables(results: Results) -> list[SuiteTable]:
    """The tables of all suites that have a result."""
    averages, baselines = results.averages, results.baselines
    tables = []
    for suite in SUITES:
        if suite not in averages:
            continue
        found, trivial = averages[suite].scores, baselines[suite].scores
        groups = []
        for category in CATEGORIES:
            rows = [r for r in results.benchmarks if (r.suite, r.category) == (suite, category)]
            if rows:
                groups.append(
                    Group(
                        suite=suite,
                        name=category,
                        title=TITLES[category],
                        colour=COLOURS[category],
                        score=found.get(category),
                        baseline=trivial.get(category),
                        rows=rows,
                    )
                )
        tables.append(
            SuiteTable(
                name=suite,
                title=SUITE_TITLES.get(suite, suite),
                groups=groups,
                mmbase=found.get("mmbase"),
                mmbase_baseline=trivial.get("mmbase"),
                has_mmbase="mmbase" in found,
                judged=_judged([row for group in groups for row in group.rows]),
                missing=_missing(averages[suite], [group.name for group in groups]),
            )
        )
    return tables


def _judged(rows: Sequence[BenchmarkResult]) -> list[str]:
    """By which judge benchmarks are scored, and how many of its replies count 0 as not readable."""
    sentences = []
    for judge in dict.fromkeys(row.judge for row in rows if row.judge):
        names = [row.name for row in rows if row.judge == judge]
        unread = [
            f"{row.failures:,} of {row.name}" for row in rows if row.judge == judge and row.failures
        ]
        says = f"; replies without a score, which count 0: {', '.join(unread)}" if unread else ""
        sentences.append(f"Judged by {judge}: {', '.join(names)}{says}.")
    return sentences


def _missing(averages: CategoryScores, present: Sequence[str]) -> list[str]:
    """Why averages are missing; categories of which nothing was asked go without saying."""
    sentences = [
        f"{TITLES[category]} has no average: {', '.join(names)} not scored."
        for category, names in averages.missing.items()
        if category in present and names
    ]
    if "mmbase" in averages.missing:
        names = ", ".join(TITLES[name] for name in averages.missing["mmbase"])
        sentences.append(f"MMBase has no value: it needs {names}.")
    return sentences


def print_scores(results: Results, console: rich.console.Console | None = None) -> None:
    """Prints the scores: categories, their benchmarks, MMBase; a table a suite."""
    console = console or rich.console.Console()

    def text(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    for suite in score_tables(results):
        title = f"{suite.title}, held-out data ({results.split}), 0-100"
        table = rich.table.Table(
            title=title,
            title_justify="left",
            box=rich.box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1, 0, 0),
        )
        table.add_column("", no_wrap=True)
        likely = any(row.likelihood is not None for group in suite.groups for row in group.rows)
        more = ("likelihood",) if likely else ()
        for name in ("score", "± error", "trivial", "examples", *more):
            table.add_column(name, justify="right")
        for group in suite.groups:
            table.add_row(
                f"[bold]{group.title}[/bold]",
                f"[bold]{text(group.score)}[/bold]",
                "",
                text(group.baseline),
                f"{group.count:,}",
            )
            for row in group.rows:
                table.add_row(
                    f"  {row.name}" + ("" if row.averaged else " *"),
                    text(row.score),
                    "" if row.score is None else text(row.error),
                    text(row.baseline),
                    f"{row.count:,}",
                    *([text(row.likelihood)] if likely else []),
                )
            table.add_section()
        if suite.has_mmbase:
            mmbase = text(suite.mmbase)
            table.add_row(
                "[bold]MMBase[/bold]", f"[bold]{mmbase}[/bold]", "", text(suite.mmbase_baseline), ""
            )
        console.print(table)
        if any(not row.averaged for group in suite.groups for row in group.rows):
            console.print("* not in the average of its category", highlight=False)
        for sentence in (*suite.judged, *suite.missing):
            console.print(sentence, highlight=False, markup=False)
    if results.absent:
        console.print(f"Not prepared: {', '.join(results.absent)}.", highlight=False)
