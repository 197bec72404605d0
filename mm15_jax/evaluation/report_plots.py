"""Loss curves as inline SVG: no plotting library, no fonts, sharp at any zoom."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

# Categories keep one colour in every chart of a report (Okabe and Ito, darkened for thin lines).
COLOURS = {
    "general": "#0072B2",
    "text_rich": "#C04F00",
    "knowledge": "#00835F",
    "science": "#00835F",
    "math": "#5B4FA8",
    "code": "#8A2D3B",
    "refer_ground": "#B0568A",
    "multi_image": "#B07800",
    "in_context": "#7A4FB5",
    "interleaved": "#B07800",
    "ocr": "#C04F00",
    "video": "#A83A3A",
    "ui": "#4F6FB5",
    "0_shot": "#2F7F8C",
    "4_shot": "#2F7F8C",
    "8_shot": "#2F7F8C",
    "captions": "#2F7F8C",
    "text": "#5E6673",
    "encoder": "#3B7EA1",
}
_WIDTH, _HEIGHT = 400, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 14, 34


def smooth(values: Sequence[float], weight: float = 0.9) -> list[float]:
    """Exponential moving average whose start is not biased to the first value."""
    total = norm = 0.0
    result = []
    for value in values:
        total = weight * total + (1 - weight) * value
        norm = weight * norm + (1 - weight)
        result.append(total / norm)
    return result


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers from at most `low` to at least `high`."""
    if not high > low:
        high = low + 1.0
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def loss_chart(rows: Sequence[Mapping[str, float]], title: str) -> str:
    """One stage's loss: all of it in bold, by category in thin lines, raw values faint behind.

    Args:
      rows: of metrics.jsonl, with "step", "loss" and any "loss/<category>".
      title: read out by screen readers.

    Returns:
      An <svg> element that scales with its container.
    """
    steps = [row["step"] for row in rows]
    losses = [row["loss"] for row in rows]
    # Weight of the average by the number of rows, so that short runs are not flattened.
    weight = max(0.0, 1 - 12 / max(len(rows), 1)) * 0.95
    by_category = _category_lines(rows, weight)
    bold = smooth(losses, weight)
    drawn = [*bold, *(value for points in by_category.values() for _, value in points)]
    # The first steps of a fresh model would flatten all the rest.
    settled = drawn if len(bold) < 20 else [*bold[len(bold) // 50 :], *drawn[len(bold) :]]
    top = max(settled)
    y_ticks = nice_ticks(0.0, top)
    # The axis ends at a round number even where its label would not fit.
    x_ticks = [t for t in nice_ticks(0, max(steps), 4) if t <= max(steps)]
    x_high, y_high = max(*steps, 1), y_ticks[-1]

    def place(step: float, loss: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / x_high
        y = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(loss / y_high, 1.0)
        return f"{x:.1f},{y:.1f}"

    def line(
        points: Sequence[tuple[float, float]], colour: str, width: float, opacity: float
    ) -> str:
        path = " ".join(place(*point) for point in points)
        return (
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-opacity="{opacity}" stroke-linejoin="round" stroke-linecap="round"/>'
        )

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}" '
        'xmlns="http://www.w3.org/2000/svg">'
    ]
    for tick in y_ticks:
        x, y = (float(v) for v in place(0, tick).split(","))
        parts.append(f'<line x1="{x}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" class="grid"/>')
        parts.append(f'<text x="{x - 7}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    for tick in x_ticks:
        x = float(place(tick, 0).split(",")[0])
        anchor = "end" if x > _WIDTH - 30 else "middle"
        parts.append(
            f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="{anchor}">{tick:,.0f}</text>'
        )
    if len(rows) > 30:
        parts.append(line(list(zip(steps, losses, strict=True)), "#1d2530", 0.8, 0.22))
    for category, points in by_category.items():
        parts.append(line(points, COLOURS.get(category, "#777777"), 1.5, 0.9))
    parts.append(line(list(zip(steps, bold, strict=True)), "#1d2530", 2.4, 1.0))
    parts.append("</svg>")
    return "".join(parts)


def _category_lines(
    rows: Sequence[Mapping[str, float]], weight: float
) -> dict[str, list[tuple[float, float]]]:
    """Smoothed (step, loss) points of each category that has at least two."""
    lines = {}
    for category in categories_of(rows):
        key = f"loss/{category}"
        points = [(row["step"], row[key]) for row in rows if key in row]
        if len(points) > 1:
            values = smooth([value for _, value in points], weight)
            lines[category] = [(step, v) for (step, _), v in zip(points, values, strict=True)]
    return lines


def categories_of(rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Categories that any row has a loss for, in the order of the palette; none if only one."""
    found = {key[5:] for row in rows for key in row if key.startswith("loss/")}
    ordered = [c for c in COLOURS if c in found] + sorted(found - set(COLOURS))
    return ordered if len(ordered) > 1 else []
