"""The scoreboard: every finding of the paper, and what our runs say of it."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence

from mm15_jax.ablations import scatter
from mm15_jax.ablations.findings import ABOUT, FINDINGS, HOLDS, NOT_RUN, Verdict, judge
from mm15_jax.ablations.render import DASH, interval, seeds_text, shown
from mm15_jax.ablations.results import Result, how_often

_CHANGED = " \\*"  # behind a result


def scoreboard(results: Sequence[Result], changed: Collection[tuple[str, str]] = ()) -> str:
    """`docs/findings.md`, as Markdown.

    Args:
      results: of all ablations that have run, at any scale.
      changed: names and scales of those with rows whose settings are others by now.
    """
    judged = [(result, verdict) for result in results for verdict in judge(result)]
    scatters = _scatters(judged)
    lines = []
    counts: dict[str, int] = {}
    hints: dict[str, int] = {}
    marked = 0
    for finding in FINDINGS:
        found = [p for p in judged if p[1].finding is finding and p[1].verdict != NOT_RUN]
        if not found:
            counts[NOT_RUN] = counts.get(NOT_RUN, 0) + 1
            cells = (finding.name, finding.statement, finding.ablation, DASH, NOT_RUN, DASH, DASH)
            lines.append(f"| {' | '.join(cells)} |")
        for result, verdict in found:
            place = f"[{finding.ablation}](ablations/{result.name}_{result.scale}.md)"
            if (result.name, result.scale) in changed:
                place += _CHANGED
                marked += 1
            said = f"**{HOLDS}**" if verdict.verdict == HOLDS else shown(verdict)
            if scatter.is_hint(verdict, scatters[result.scale]):
                said = f"{verdict.verdict}, a hint"
                hints[verdict.verdict] = hints.get(verdict.verdict, 0) + 1
            counts[verdict.verdict] = counts.get(verdict.verdict, 0) + 1
            name, text = finding.name, finding.statement
            cells = (name, text, place, result.scale, said, *_differences(verdict))
            lines.append(f"| {' | '.join(cells)} |")
    total = ", ".join(
        f"{count} {name}" + (f" ({hints[name]} as a hint)" if name in hints else "")
        for name, count in counts.items()
    )
    lines += ["", f"In all: {total}."]
    if marked:
        lines[-1] += (
            f" Of {marked}, marked{_CHANGED}, rows ran with other settings than they have now."
        )
    return "\n".join([_HEAD, *_known(scatters), *_COLUMNS, *lines]) + "\n"


def _scatters(judged: Sequence[tuple[Result, Verdict]]) -> dict[str, scatter.Scatter | None]:
    """By scale."""
    by_scale: dict[str, list[Verdict]] = {}
    for result, verdict in judged:
        by_scale.setdefault(result.scale, []).append(verdict)
    return {scale: scatter.learned(verdicts) for scale, verdicts in by_scale.items()}


def _differences(verdict: Verdict) -> tuple[str, str]:
    """Of each comparison, with the paper's, and how often the least drawn of them was."""
    differences = "; ".join(
        interval(check.ours) + ("" if check.paper is None else f" ({check.paper:+.1f})")
        for check in verdict.checks
    )
    seeds = [check.ours.seeds for check in verdict.checks if check.ours]
    return differences, seeds_text(min(seeds, key=how_often))


def _known(scatters: dict[str, scatter.Scatter | None]) -> Iterator[str]:
    for scale, found in scatters.items():
        if found:
            margins = ", ".join(
                f"{found.margin(starts):.1f} of {name}"
                for starts, name in ((1, "one start"), (2, "two"), (5, "five"), (12, "twelve"))
            )
            text = (
                f"From start to start a difference at scale {scale} moves by a standard deviation "
                f"of {found.deviation:.1f} points ({found.freedom} degrees of freedom), so its "
                f"mean is known to ± {margins}."
            )
            yield textwrap.fill(text, 100) + "\n"


_HEAD = f"""# What the paper found, and what our runs say

Made by `mm15 ablate --findings` from the results in docs/ablations/. A finding holds where the
interval of the paired difference of all its comparisons lies on the paper's side of zero, does not
hold where one lies on the other side, and is undecided else, "small" where what is undecided is
less than {ABOUT:g} points either way. In brackets the same differences in the paper, where it
prints them. Drawn is how often both rows of a comparison were trained, of a finding's comparisons
the least often.

An interval of one or two starts hardly knows what another would say. A verdict is **a hint** where
what starts scatter by, learned from all comparisons together, could alone have brought it about
([ablations](ablations.md#verdicts)).
"""

_COLUMNS = (
    "| | finding | rows of | scale | here | differences | drawn |",
    "|---|---|---|---|---|---|---|",
)
