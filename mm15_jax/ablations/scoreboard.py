"""The scoreboard: every finding of the paper, and what our runs say of it."""

from __future__ import annotations

import dataclasses
import textwrap
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from mm15_jax.ablations import scatter
from mm15_jax.ablations.findings import ABOUT, FINDINGS, HOLDS, NOT_RUN, Verdict, judge
from mm15_jax.ablations.render import DASH, interval, seeds_text, shown
from mm15_jax.ablations.results import Result, how_often

_CHANGED = " \\*"  # behind a result


@dataclasses.dataclass(frozen=True)
class _Judged:
    """What every result says of every finding, by scores or by likelihoods.

    Attributes:
      verdicts: finding's name, ablation's and scale -> verdict.
      scatters: scale -> how far starts scatter, learned from all of these.
    """

    verdicts: dict[tuple[str, str, str], Verdict]
    scatters: dict[str, scatter.Scatter | None]

    @classmethod
    def of(cls, results: Sequence[Result]) -> _Judged:
        verdicts, by_scale = {}, dict[str, list[Verdict]]()
        for result in results:
            for verdict in judge(result):
                verdicts[verdict.finding.name, result.name, result.scale] = verdict
                by_scale.setdefault(result.scale, []).append(verdict)
        learned = {scale: scatter.learned(found) for scale, found in by_scale.items()}
        return cls(verdicts, learned)

    def is_hint(self, key: tuple[str, str, str]) -> bool:
        return scatter.is_hint(self.verdicts[key], self.scatters[key[2]])

    def said(self, key: tuple[str, str, str]) -> str:
        verdict = self.verdicts[key]
        return f"{verdict.verdict}, a hint" if self.is_hint(key) else shown(verdict)


def scoreboard(results: Sequence[Result], changed: Collection[tuple[str, str]] = ()) -> str:
    """`docs/findings.md`, as Markdown.

    Args:
      results: of all ablations that have run, at any scale.
      changed: names and scales of those with rows whose settings are others by now.
    """
    by_score = _Judged.of(results)
    by_likelihood = _Judged.of([result.by_likelihood for result in results])
    lines = []
    counts: Counter[str] = Counter()
    hints: Counter[str] = Counter()
    marked = 0
    for finding in FINDINGS:
        found = [
            key
            for key, verdict in by_score.verdicts.items()
            if key[0] == finding.name and verdict.verdict != NOT_RUN
        ]
        if not found:
            counts[NOT_RUN] += 1
            cells = (finding.name, finding.statement, finding.ablation, DASH, NOT_RUN, *[DASH] * 4)
            lines.append(f"| {' | '.join(cells)} |")
        for key in found:
            _, name, scale = key
            place = f"[{finding.ablation}](ablations/{name}_{scale}.md)"
            if (name, scale) in changed:
                place += _CHANGED
                marked += 1
            verdict, said = by_score.verdicts[key], by_score.said(key)
            counts[verdict.verdict] += 1
            hints[verdict.verdict] += by_score.is_hint(key)
            said = f"**{said}**" if said == HOLDS else said
            other, also = by_likelihood.verdicts[key], (DASH, DASH)
            if other.verdict != NOT_RUN:
                also = f"{by_likelihood.said(key)}, {_drawn(other)}", _differences(other)
            cells = (finding.name, finding.statement, place, scale, said)
            cells = (*cells, _differences(verdict), _drawn(verdict), *also)
            lines.append(f"| {' | '.join(cells)} |")
    total = ", ".join(
        f"{count} {name}" + (f" ({hints[name]} as a hint)" if hints[name] else "")
        for name, count in counts.items()
    )
    lines += ["", f"In all: {total}."]
    if marked:
        lines[-1] += (
            f" Of {marked}, marked{_CHANGED}, rows ran with other settings than they have now."
        )
    return "\n".join([_HEAD, *_known(by_score.scatters), *_COLUMNS, *lines]) + "\n"


def _differences(verdict: Verdict) -> str:
    """Of each comparison, with the paper's."""
    return "; ".join(
        interval(check.ours) + ("" if check.paper is None else f" ({check.paper:+.1f})")
        for check in verdict.checks
    )


def _drawn(verdict: Verdict) -> str:
    """How often the least drawn of its comparisons was."""
    seeds = [check.ours.seeds for check in verdict.checks if check.ours]
    return seeds_text(min(seeds, key=how_often))


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

**By likelihood** are the same comparisons, by the same rules, of the probability that a model gives
to the right answers instead of their scores, of the draws of which it is known.
"""

_COLUMNS = (
    "| | finding | rows of | scale | here | differences | drawn | by likelihood | differences |",
    "|---|---|---|---|---|---|---|---|---|",
)
