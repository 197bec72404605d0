"""An ablation's result as Markdown and CSV: the paper's table, ours beside it, the verdicts."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence

from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.findings import (
    ABOUT,
    FINDINGS,
    HOLDS,
    NOT_RUN,
    UNDECIDED,
    Checked,
    Verdict,
    judge,
)
from mm15_jax.ablations.measures import title
from mm15_jax.ablations.paper_values import paper_value, trust
from mm15_jax.ablations.results import Interval, Result, how_often, seeds_by_start
from mm15_jax.config.ablation import Ablation

DASH = "–"
_CHANGED = " \\*"  # behind a result on the scoreboard


def markdown(
    ablation: Ablation, result: Result, figure: str = "", changed: Sequence[str] = ()
) -> str:
    """A page: what is varied, the commands, the table, the figure, each finding.

    Args:
      ablation: whose result it is.
      result: with the rows that have run.
      figure: path of a picture to show, from the page; "" for none.
      changed: keys of rows whose settings are others by now.
    """
    lines = [f"# {ablation.title}", ""]
    if changed:
        every = len(changed) == len(result.rows)
        which = "All rows" if every else f"Row{'s' * (len(changed) > 1)} {', '.join(changed)}"
        warning = "ran with other settings than the experiments, or what they start from, have now"
        lines += [f"**{which} {warning}.**", ""]
    lines += [_about(ablation, result), "", "```sh", *result.commands, "```", ""]
    lines += _table(ablation, result.alike)
    if figure:
        lines += ["", f"![{ablation.title}]({figure})"]
    verdicts = judge(result)
    if verdicts:
        lines += ["", *_verdicts(verdicts)]
    return "\n".join(lines) + "\n"


def _about(ablation: Ablation, result: Result) -> str:
    text = f"{ablation.source[0].upper()}{ablation.source[1:]} at scale `{result.scale}`"
    asked = f"up to {result.examples:,} questions" if result.examples else "all questions"
    text += f", {_draws(result)}, {asked} of each benchmark."
    if ablation.held:
        text += f" Rows have {ablation.held}."
    printed = any(
        paper_value(ablation.name, ablation.scale, row.key, measure) is not None
        for row in ablation.rows
        for measure in result.measures
    )
    known = trust(ablation.name, ablation.scale) if printed else ""
    text += f" In brackets the paper ({known}). " if known else " "
    if result.alike is not result:
        text += f"Scores are of what all rows have, {_listed(result.draws)}; "
        text += "differences below of all draws that both rows have. "
    return text + "± is one standard error, over starts, or seeds of one, and questions."


def _listed(draws: Sequence[Draw]) -> str:
    """`start 0 seed 0, start 1 seeds 0 and 1`."""
    seeds: dict[int, list[str]] = {}
    for start, seed in draws:
        seeds.setdefault(start, []).append(str(seed))
    return ", ".join(
        f"start {start} seed{'s' if len(of) > 1 else ''} " + " and ".join(of)
        for start, of in seeds.items()
    )


def _draws(result: Result) -> str:
    """How often rows were drawn: `2 starts of 1 seed (rows 2, 3: 1 start of 2 seeds)`."""
    groups: dict[tuple[int, ...], list[str]] = {}
    for row in result.rows:
        groups.setdefault(seeds_by_start(row.draws), []).append(row.key)
    most, *fewer = sorted(groups, key=how_often, reverse=True)
    text = _seeds(most)
    if fewer:
        rest = (
            f"row{'s' * (len(groups[counts]) > 1)} {', '.join(groups[counts])}: {_seeds(counts)}"
            for counts in fewer
        )
        text += f" ({'; '.join(rest)})"
    return text


def _seeds(counts: Sequence[int]) -> str:
    """`3 starts of 8, 2 and 1 seeds`, by how many seeds each start has."""
    starts = f"{len(counts)} start{'s' if len(counts) > 1 else ''}"
    if len(set(counts)) == 1:
        return f"{starts} of {counts[0]} seed{'s' if counts[0] > 1 else ''}"
    *first, last = (str(count) for count in counts)
    return f"{starts} of {', '.join(first)} and {last} seeds"


def _table(ablation: Ablation, result: Result) -> list[str]:
    head = ["row", "", *(title(measure) for measure in result.measures)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * 2 + "---:|" * len(result.measures)]
    for row in ablation.rows:
        cells = [_cell(ablation, result, row.key, measure) for measure in result.measures]
        if any(cell != DASH for cell in cells):
            lines.append(f"| {row.key} | {row.title} | {' | '.join(cells)} |")
    return lines


def _cell(ablation: Ablation, result: Result, key: str, measure: str) -> str:
    theirs = paper_value(ablation.name, ablation.scale, key, measure)
    ours = result.score(key, measure) if result.has(key) else None
    if ours is None:
        return DASH if theirs is None else f"{DASH} ({theirs:.1f})"
    error = result.error(key, measure)
    text = f"{ours:.1f}" + (f" ± {error:.1f}" if error is not None else "")
    return text + (f" ({theirs:.1f})" if theirs is not None else "")


def _verdicts(verdicts: tuple[Verdict, ...]) -> list[str]:
    head = ("finding", "", "difference here, 95% interval", "in the paper", "drawn")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for verdict in verdicts:
        finding = verdict.finding
        lines.append(f"| **{finding.name}** {finding.statement} | **{_shown(verdict)}** | | | |")
        for check in verdict.checks:
            paper = DASH if check.paper is None else f"{check.paper:+.1f}"
            drawn = DASH if check.ours is None else _seeds(check.ours.seeds)
            cells = (check.text, _shown(check), interval(check.ours), paper, drawn)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _shown(judged: Verdict | Checked) -> str:
    """A verdict; of one that is undecided also whether the difference is known to be small."""
    is_small = judged.verdict == UNDECIDED and judged.is_small
    return judged.verdict + (", small" if is_small else "")


def interval(found: Interval | None) -> str:
    """`+3.1 [+1.0, +5.2]`."""
    if found is None:
        return DASH
    return f"{found.value:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"


def comma_separated(ablation: Ablation, result: Result) -> str:
    """CSV: a line for each row, draw and measure; "mean" is over the draws that all rows have."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    alike = result.alike
    writer.writerow(("row", "title", "start", "seed", "measure", "score", "error", "paper"))
    for row in result.rows:
        for measure in result.measures:
            theirs = paper_value(ablation.name, ablation.scale, row.key, measure)
            for draw in (*row.draws, None):
                score = (alike if draw is None else result).score(row.key, measure, draw)
                if score is None:
                    continue
                error = alike.error(row.key, measure) if draw is None else None
                names = ("mean", "mean") if draw is None else draw
                shown = "" if error is None else f"{error:.3f}"
                paper = "" if theirs is None or draw is not None else f"{theirs:g}"
                cells = (row.key, row.title, *names, measure, f"{score:.3f}", shown, paper)
                writer.writerow(cells)
    return text.getvalue()


def scoreboard(results: Sequence[Result], changed: Collection[tuple[str, str]] = ()) -> str:
    """`docs/findings.md`: every finding of the paper, and what our runs say of it.

    Args:
      results: of all ablations that have run, at any scale.
      changed: names and scales of those with rows whose settings are others by now.
    """
    by_name: dict[str, list[tuple[Result, Verdict]]] = {}
    for result in results:
        for verdict in judge(result):
            by_name.setdefault(verdict.finding.name, []).append((result, verdict))
    lines = [_SCOREBOARD_HEAD]
    counts: dict[str, int] = {}
    marked = 0
    for finding in FINDINGS:
        found = [pair for pair in by_name.get(finding.name, []) if pair[1].verdict != NOT_RUN]
        if not found:
            counts[NOT_RUN] = counts.get(NOT_RUN, 0) + 1
            cells = (finding.name, finding.statement, finding.ablation, DASH, NOT_RUN, DASH, DASH)
            lines.append(f"| {' | '.join(cells)} |")
        for result, verdict in found:
            counts[verdict.verdict] = counts.get(verdict.verdict, 0) + 1
            shown = f"**{HOLDS}**" if verdict.verdict == HOLDS else _shown(verdict)
            differences = "; ".join(
                interval(c.ours) + ("" if c.paper is None else f" ({c.paper:+.1f})")
                for c in verdict.checks
            )
            place = f"[{finding.ablation}](ablations/{result.name}_{result.scale}.md)"
            if (result.name, result.scale) in changed:
                place += _CHANGED
                marked += 1
            seeds = [check.ours.seeds for check in verdict.checks if check.ours]
            drawn = _seeds(min(seeds, key=how_often))
            name, text = finding.name, finding.statement
            cells = (name, text, place, result.scale, shown, differences, drawn)
            lines.append(f"| {' | '.join(cells)} |")
    total = ", ".join(f"{count} {name}" for name, count in counts.items())
    lines += ["", f"In all: {total}."]
    if marked:
        lines[-1] += (
            f" Of {marked}, marked{_CHANGED}, rows ran with other settings than they have now."
        )
    return "\n".join(lines) + "\n"


_SCOREBOARD_HEAD = f"""# What the paper found, and what our runs say

Made by `mm15 ablate --findings` from the results in docs/ablations/. A finding holds where the
interval of the paired difference of all its comparisons lies on the paper's side of zero, does not
hold where one lies on the other side, and is undecided else, "small" where what is undecided is
less than {ABOUT:g} points either way. In brackets the same differences in the paper, where it
prints them. Drawn is how often both rows of a comparison were trained, of a finding's comparisons
the least often. From five starts on intervals leave out the truth about one time in twenty; from
three or two up to one in eight or four, and what one start says, another may not
([ablations](ablations.md#verdicts)): there only what is large counts.

| | finding | rows of | scale | here | differences | drawn |
|---|---|---|---|---|---|---|"""
