"""An ablation's result as Markdown and CSV: the paper's table, ours beside it, the verdicts."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence

from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.findings import NOT_RUN, UNDECIDED, Checked, Verdict, judge
from mm15_jax.ablations.measures import title
from mm15_jax.ablations.paper_values import paper_value, trust
from mm15_jax.ablations.results import Interval, Result, how_often, seeds_by_start
from mm15_jax.config.ablation import Ablation

DASH = "–"
# Of results that are older than their rows.
CHANGED = "ran with other settings than the experiments, or what they start from, have now"


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
        lines += [f"**{which} {CHANGED}.**", ""]
    lines += [_about(ablation, result), "", "```sh", *result.commands, "```", ""]
    lines += _table(ablation, result.alike)
    if figure:
        lines += ["", f"![{ablation.title}]({figure})"]
    verdicts = judge(result)
    if verdicts:
        lines += ["", *_verdicts(verdicts, judge(result.by_likelihood))]
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
    elif not result.draws:
        text += "**Rows have no draw in common: scores of two may differ by the draw alone**; "
        text += "differences below are of the draws that both rows have. "
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
    text = seeds_text(most)
    if fewer:
        rest = (
            f"row{'s' * (len(keys) > 1)} {', '.join(keys)}: {seeds_text(counts)}"
            for counts, keys in ((counts, groups[counts]) for counts in fewer)
        )
        text += f" ({'; '.join(rest)})"
    return text


def seeds_text(counts: Sequence[int]) -> str:
    """`21 starts, 1 of 8 seeds and 20 of 1`, by how many seeds each start has."""
    starts = f"{len(counts)} start{'s' if len(counts) > 1 else ''}"
    if len(set(counts)) == 1:
        return f"{starts} of {counts[0]} seed{'s' if counts[0] > 1 else ''}"
    most, *fewer = sorted(Counter(counts).items(), reverse=True)
    parts = [f"{most[1]} of {most[0]} seeds", *(f"{many} of {count}" for count, many in fewer)]
    return f"{starts}, {', '.join(parts[:-1])} and {parts[-1]}"


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


def _verdicts(verdicts: tuple[Verdict, ...], likely: tuple[Verdict, ...]) -> list[str]:
    """A line a comparison; with columns of what likelihoods say, where some are known."""
    head = ["finding", "", "difference here, 95% interval", "in the paper", "drawn"]
    by_likelihood = any(check.ours for verdict in likely for check in verdict.checks)
    if by_likelihood:
        head += ["by likelihood", "difference", "drawn"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]

    def add(*cells: str) -> None:
        lines.append(f"| {' | '.join(cells)} |")

    for verdict, other in zip(verdicts, likely, strict=True):
        finding = verdict.finding
        more = (_known(other, "**"), "", "") if by_likelihood else ()
        add(f"**{finding.name}** {finding.statement}", f"**{shown(verdict)}**", "", "", "", *more)
        for check, its in zip(verdict.checks, other.checks, strict=True):
            paper = DASH if check.paper is None else f"{check.paper:+.1f}"
            more = (_known(its), interval(its.ours), _drawn(its)) if by_likelihood else ()
            add(check.text, shown(check), interval(check.ours), paper, _drawn(check), *more)
    return lines


def _known(judged: Verdict | Checked, marks: str = "") -> str:
    """A verdict by likelihood: rows that have run may have none."""
    return DASH if judged.verdict == NOT_RUN else f"{marks}{shown(judged)}{marks}"


def _drawn(check: Checked) -> str:
    return DASH if check.ours is None else seeds_text(check.ours.seeds)


def shown(judged: Verdict | Checked) -> str:
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
