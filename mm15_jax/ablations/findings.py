"""F1 to F25: what the paper found, as comparisons of rows that any result can be held to.

A comparison says of two rows and a measure which is higher, or that they are about equal. It holds
where the interval of the paired difference (`results.Result.difference`) lies on the right side of
zero, does not hold where it lies on the other, and is undecided where it has zero inside. A finding
holds if all its comparisons do, and does not if one does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mm15_jax.ablations.measures import title
from mm15_jax.ablations.paper_values import paper_value
from mm15_jax.ablations.results import Interval, Result, how_often
from mm15_jax.experiments.ablate_scaling import UI, VIDEO

HOLDS, FAILS, UNDECIDED, NOT_RUN = "holds", "does not hold", "undecided", "not run"
ABOUT = 2.0  # points within which two scores are about equal


@dataclass(frozen=True)
class Comparison:
    """`row` against `over` in a measure.

    Attributes:
      row: a row's key.
      over: the key of the row that it is compared with.
      measure: what is compared.
      relation: ">", "<", or "~" for about equal.
      only: the scales that have these rows; all without.
    """

    row: str
    over: str
    measure: str
    relation: str = ">"
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gain:
    """Two differences: `row` over `over` gains more than `row_b` over `over_b`."""

    row: str
    over: str
    row_b: str
    over_b: str
    measure: str
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One statement of the paper.

    Attributes:
      name: "F1".
      statement: in a sentence.
      ablation: whose rows show it.
      checks: all of which make it.
    """

    name: str
    statement: str
    ablation: str
    checks: tuple[Comparison | Gain, ...]


def _against(row: str, others: Sequence[str], measure: str, relation: str = ">"):
    return tuple(Comparison(row, other, measure, relation) for other in others)


_CONTINUAL = ("ocr", "recap", "sharegpt4v", "ocr_recap", "ocr_sharegpt4v")  # rows of figure 9b

FINDINGS: tuple[Finding, ...] = (
    Finding(
        "F1", "Splitting beats none on text-rich", "table1",
        _against("2", ["1"], "text_rich") + _against("3", ["1"], "text_rich"),
    ),
    Finding(
        "F2", "Dynamic splitting is better than static on text-rich with as many sub-images",
        "table1", _against("3", ["2"], "text_rich"),
    ),
    Finding(
        "F3", "More image tokens help text-rich at one effective resolution", "table1",
        _against("6", ["4"], "text_rich") + _against("7", ["5"], "text_rich"),
    ),
    Finding(
        "F4", "A higher effective resolution helps text-rich at one number of tokens", "table1",
        _against("5", ["4"], "text_rich") + _against("7", ["6"], "text_rich"),
    ),
    Finding(
        "F5", "10 sub-images of the high resolution with most tokens are best on average", "table1",
        _against("7", ["1", "2", "3", "4", "5", "6"], "average"),
    ),
    Finding(
        "F6", "A larger n_max helps documents", "table2",
        _against("2", ["1"], "docvqa") + _against("2", ["1"], "infovqa")
        + _against("3", ["1"], "docvqa") + _against("3", ["1"], "infovqa"),
    ),
    Finding(
        "F7", "A larger n_max at inference alone helps text-rich too, training with it more",
        "table2",
        _against("5", ["1"], "text_rich") + _against("6", ["1"], "text_rich")
        + _against("2", ["5"], "text_rich") + _against("3", ["6"], "text_rich")
        + _against("4", ["7"], "text_rich"),
    ),
    Finding(
        "F8", "A smaller n_min at inference alone breaks grounding", "table2",
        _against("7", ["1"], "refer_ground", "<"),
    ),
    Finding(
        "F9", "The larger decoder gains more from a larger n_max", "table2",
        (
            Gain("10", "8", "3", "1", "docvqa", ("3b",)),
            Gain("10", "8", "3", "1", "infovqa", ("3b",)),
        ),
    ),
    Finding(
        "F10", "Position indicators matter little on average", "table3",
        _against("2", ["1"], "average", "~") + _against("3", ["1"], "average", "~"),
    ),
    Finding(
        "F11", "The overview after the sub-images is better than before them", "table3",
        _against("4", ["1"], "average"),
    ),
    Finding(
        "F12", "Text-rich data lifts text-rich and knowledge", "fig5",
        _against("text_rich", ["general"], "text_rich")
        + _against("text_rich", ["general"], "knowledge"),
    ),
    Finding(
        "F13", "Science data lifts knowledge", "fig5",
        _against("science", ["general"], "knowledge"),
    ),
    Finding(
        "F14", "Refer & ground data creates grounding and costs the rest a little",
        "fig5",
        _against("refer_ground", ["general"], "refer_ground")
        + _against("refer_ground", ["general"], "mmbase", "<"),
    ),
    Finding(
        "F15", "Grounding rises with its ratio, MMBase falls slightly", "fig6",
        _against("refer_ground_2", ["refer_ground_0", "refer_ground_0.5"], "refer_ground")
        + _against("refer_ground_2", ["refer_ground_0"], "mmbase", "<"),
    ),
    Finding(
        "F16", "The share of text hardly matters", "fig7",
        _against("text_0.1", ["text_0"], "mmbase", "~")
        + _against("text_0.2", ["text_0"], "mmbase", "~"),
    ),
    Finding(
        "F17", "A tenth of multi-image data already brings a surge in multi-image", "fig7",
        _against("multi_image_0.1", ["multi_image_0"], "multi_image"),
    ),
    Finding(
        "F18", "The mixture of all data is best over five categories", "fig8",
        _against("all", ["base", "single_image"], "average_of_five"),
    ),
    Finding(
        "F19", "Continual pre-training helps at a high resolution; a low one is worse than none",
        "fig9a",
        _against("1344", ["none", "756", "378"], "mmbase") + _against("756", ["378"], "mmbase")
        + _against("378", ["none"], "mmbase", "<"),
    ),
    Finding(
        "F20", "Any data of continual pre-training is better than none, OCR data alone is best",
        "fig9b",
        tuple(Comparison(row, "none", "mmbase") for row in _CONTINUAL)
        + _against("ocr", _CONTINUAL[1:], "mmbase"),
    ),
    Finding(
        "F21", "50:10:40 beats 45:45:10 but on multi-image", "fig10",
        tuple(
            Comparison("hq_text_50_10_40", "hq_text_45_45_10", measure)
            for measure in ("text_rich", "knowledge", "refer_ground")
        )
        + _against("hq_text_50_10_40", ["hq_text_45_45_10"], "multi_image", "~"),
    ),
    Finding(
        "F22", "Bigger is better", "scaling",
        (
            Comparison("large", "small", "mmbase", ">", ("nano",)),
            Comparison("mm15_3b", "mm15_1b", "mmbase", ">", ("3b",)),
            Comparison("mm15_7b", "mm15_3b", "mmbase", ">", ("3b",)),
            Comparison("mm15_30b", "mm15_7b", "mmbase", ">", ("3b",)),
        ),
    ),
    Finding(
        "F23", "Experts beat the dense model at the same active size", "moe",
        _against("experts", ["dense"], "mmbase"),
    ),
    Finding(
        "F24", "Fine-tuning on clips beats asking the image model on every benchmark", "video",
        tuple(
            Comparison("sft", "training_free", f"mini_video_{kind}", ">", ("nano",))
            for kind in ("direction", "order", "count", "collide")
        )
        + tuple(
            Comparison("sft", "training_free", name, ">", ("1b", "3b", "7b")) for name in VIDEO
        ),
    ),
    Finding(
        "F25", "Screens are learned better after MM1.5's SFT", "ui",
        (
            Comparison("1_epoch", "1_epoch_without_sft", "ui", ">", ("nano",)),
            *(Comparison("1_epoch", "1_epoch_without_sft", name, ">", ("3b",)) for name in UI),
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """A comparison of a result: what was seen, in the paper and here."""

    text: str
    relation: str  # of the comparison; a gain's is ">"
    verdict: str
    ours: Interval | None
    paper: float | None  # the same difference in the paper; None where it prints none

    @property
    def is_small(self) -> bool:
        """Whether the two are about equal, whichever is ahead."""
        return self.ours is not None and verdict_of(self.ours, "~") == HOLDS


@dataclass(frozen=True)
class Verdict:
    """A finding held to a result."""

    finding: Finding
    verdict: str
    checks: tuple[Checked, ...]

    @property
    def is_small(self) -> bool:
        """Whether what leaves it undecided are differences that are small, whichever way."""
        return all(check.is_small for check in self.checks if check.verdict == UNDECIDED)


def findings_of(ablation: str) -> tuple[Finding, ...]:
    """Those that an ablation's rows show."""
    return tuple(finding for finding in FINDINGS if finding.ablation == ablation)


def judge(result: Result) -> tuple[Verdict, ...]:
    """Every finding of an ablation, held to its result."""
    return tuple(_judge(finding, result) for finding in findings_of(result.name))


def _judge(finding: Finding, result: Result) -> Verdict:
    checks = [c for c in finding.checks if not c.only or result.scale in c.only]
    checked = tuple(_check(check, result) for check in checks)
    verdicts = {one.verdict for one in checked}
    if not checked or NOT_RUN in verdicts:
        verdict = NOT_RUN
    elif FAILS in verdicts:
        verdict = FAILS
    else:
        verdict = HOLDS if verdicts == {HOLDS} else UNDECIDED
    return Verdict(finding, verdict, checked)


def _check(check: Comparison | Gain, result: Result) -> Checked:
    if isinstance(check, Gain):
        return _check_gain(check, result)
    sign = {">": "above", "<": "below", "~": "about"}[check.relation]
    text = f"{check.row} {sign} {check.over}, {title(check.measure)}"
    paper = _paper_difference(result, check.row, check.over, check.measure)
    ours = None
    if result.has(check.row, check.over):
        ours = result.difference(check.row, check.over, check.measure)
    if ours is None:
        return Checked(text, check.relation, NOT_RUN, None, paper)
    return Checked(text, check.relation, verdict_of(ours, check.relation), ours, paper)


def _check_gain(check: Gain, result: Result) -> Checked:
    text = f"{check.row} over {check.over} gains more than {check.row_b} over {check.over_b}, "
    text += title(check.measure)
    pairs = ((check.row, check.over), (check.row_b, check.over_b))
    papers = [_paper_difference(result, *pair, check.measure) for pair in pairs]
    paper = None if None in papers else papers[0] - papers[1]  # type: ignore[operator]
    if not result.has(check.row, check.over, check.row_b, check.over_b):
        return Checked(text, ">", NOT_RUN, None, paper)
    ours = [result.difference(*pair, check.measure) for pair in pairs]
    if ours[0] is None or ours[1] is None:
        return Checked(text, ">", NOT_RUN, None, paper)
    # Four rows: the two differences are taken for independent.
    spread = sum(((d.high - d.low) / 2) ** 2 for d in ours if d) ** 0.5
    value = ours[0].value - ours[1].value
    seeds = min((d.seeds for d in ours if d), key=how_often)
    first, second = ours[0].by_start, ours[1].by_start
    by_start = {start: first[start] - second[start] for start in first if start in second}
    gain = Interval(value, value - spread, value + spread, seeds, by_start)
    return Checked(text, ">", verdict_of(gain, ">"), gain, paper)


def verdict_of(difference: Interval, relation: str) -> str:
    """What an interval says of ">", "<" or "~" (within ABOUT)."""
    low, high = difference.low, difference.high
    if relation == "<":
        low, high = -high, -low
    if relation == "~":
        if low > -ABOUT and high < ABOUT:
            return HOLDS
        return FAILS if low > ABOUT or high < -ABOUT else UNDECIDED
    if low > 0:
        return HOLDS
    return FAILS if high < 0 else UNDECIDED


def _paper_difference(result: Result, row: str, over: str, measure: str) -> float | None:
    values = [paper_value(result.name, result.scale, key, measure) for key in (row, over)]
    return None if None in values else round(values[0] - values[1], 2)  # type: ignore[operator]
