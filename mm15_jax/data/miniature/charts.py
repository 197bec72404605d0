"""Bar charts and ruled tables."""

from __future__ import annotations

from mm15_jax.data.miniature.dialogue import Built, chat
from mm15_jax.data.miniature.drawing import Canvas
from mm15_jax.data.miniature.reading import PRINT
from mm15_jax.data.miniature.sampling import Layout, Sampler
from mm15_jax.data.miniature.words import COLORS

_COLOR_NAMES = tuple(COLORS)
_AXIS = (60, 60, 60)


def draw_chart(sampler: Sampler) -> tuple[Canvas, list[str], list[int], bool]:
    """A chart with the colours and values of its bars, and whether the values are printed.

    Values are multiples of ten, printed above the bars or to be read off an axis of ten ticks.
    """
    printed = sampler.chance(0.55)
    count = sampler.integer(2, 3)
    colors = sampler.some(_COLOR_NAMES, count)
    values = sampler.some(range(10, 100, 10), count)
    return _draw_bars(sampler, colors, values, printed), colors, values, printed


def chart_question(sampler: Sampler) -> Built:
    """The value of a bar, or the colour of the highest or lowest."""
    canvas, colors, values, printed = draw_chart(sampler)
    kind = sampler.pick(("value", "value", "highest", "lowest"))
    if kind == "value":
        k = sampler.integer(0, len(values) - 1)
        question = sampler.pick(("value of {}?", "what is the {} bar?")).format(colors[k])
        kind = "printed value" if printed else "axis value"
        return chat([canvas], question, str(values[k]), metric="relaxed_accuracy", kind=kind)
    extreme = max(values) if kind == "highest" else min(values)
    answer = colors[values.index(extreme)]
    question = f"which color is {kind}?"
    return chat([canvas], question, answer, metric="relaxed_accuracy", kind=kind)


def _draw_bars(sampler: Sampler, colors: list[str], values: list[int], printed: bool) -> Canvas:
    """Bars over a common base; 100 would be the top of the plot.

    Training's axis is at the left, the held-out charts' at the right.
    """
    count = len(colors)
    height, width = (48, 48) if sampler.chance(0.75) else (48, sampler.integer(40, 47))
    head = 9 if printed else 1  # room for the print above the highest bar

    def propose() -> Layout:
        gap = sampler.integer(1, 3)
        left, right = sampler.integer(4, 6), sampler.integer(0, 2)
        slot = (width - left - right) // count
        base = height - sampler.integer(2, 5)
        top = head + sampler.integer(0, 1)
        return height, width, left, slot, gap, base, top

    _, _, left, slot, gap, base, top = sampler.layout(propose)
    canvas = Canvas(sampler, height, width)
    scale = (base - top) / 100
    axis = left - 2
    mirror = (lambda x: width - 1 - x) if sampler.held_out else (lambda x: x)
    grid = not printed and sampler.chance(0.5)
    if not printed:
        for tick in range(0, 101, 10):
            y = round(base - scale * tick)
            if grid and tick:
                canvas.line(0, y, width - 1, y, (214, 214, 214))
            canvas.line(mirror(axis - (2 if tick % 50 == 0 else 1)), y, mirror(axis), y, _AXIS)
    boxes = []
    for k, (color, value) in enumerate(zip(colors, values, strict=True)):
        x1 = left + k * slot + gap // 2
        x2 = left + (k + 1) * slot - (gap + 1) // 2
        if sampler.held_out:
            x1, x2 = width - x2, width - x1
        y = round(base - scale * value)
        canvas.rectangle((x1, y, x2, base), sampler.shade(color))
        boxes.append((x1, y, x2))
    canvas.line(mirror(axis), top, mirror(axis), base, _AXIS)
    canvas.line(0, base, width - 1, base, _AXIS)
    if printed:
        font = sampler.font(9, 9)
        for (x1, y, x2), value in zip(boxes, values, strict=True):
            ink = font.ink(str(value))
            x = min(max(0, (x1 + x2 - ink.width) // 2), width - ink.width)
            canvas.text(x, y - ink.height - 1, ink, (20, 20, 20))
    return canvas


def table_question(sampler: Sampler) -> Built:
    """What a cell holds, by its row and column or by the word beside it."""
    canvas, cells = draw_table(sampler)
    rows, columns = len(cells), len(cells[0])
    row = sampler.integer(0, rows - 1)
    if columns == 2 and sampler.chance(0.25):
        key, answer = cells[row]
        question = f"what is next to {key}?"
        return chat([canvas], question, answer, metric="exact_match", kind="key")
    column = sampler.integer(0, columns - 1)
    question = f"row {row + 1} column {column + 1}?"
    answer = cells[row][column]
    return chat([canvas], question, answer, metric="exact_match", kind="cell")


def draw_table(sampler: Sampler) -> tuple[Canvas, list[list[str]]]:
    """A ruled table and its cells: words in the first column, words or numbers in the others.

    Training's tables are ruled all round; the held-out ones have no outer border and a shaded
    first column.
    """
    rows, columns = sampler.integer(2, 3), 3 if sampler.chance(0.2) else 2
    height, width = sampler.integer(90, 96), sampler.integer(90, 96)
    cell_width, cell_height = (width - 4) // columns, (height - 4) // rows
    numeric = [False] + [sampler.chance(0.6) for _ in range(columns - 1)]
    # Three columns leave room for short words in small print.
    longest, largest = (4, PRINT[1]) if columns == 2 else (4, PRINT[0])
    font = sampler.font(PRINT[0], largest)
    cells: list[list[str]] = [[] for _ in range(rows)]
    used: set[str] = set()
    for row in cells:
        while len(row) < columns:
            number = numeric[len(row)]
            text = str(sampler.integer(10, 99)) if number else sampler.word(3, longest)
            if text not in used and font.ink(text).width <= cell_width - 4:
                row.append(text)
                used.add(text)
    inks = [[font.ink(text) for text in row] for row in cells]

    def propose() -> Layout:
        origin = (
            sampler.integer(0, width - columns * cell_width - 1),
            sampler.integer(0, height - rows * cell_height - 1),
        )
        inset = sampler.integer(2, 5)
        lifts = [sampler.integer(0, 6) for _ in range(rows)]
        return (height, width, rows, columns, *origin, inset, *lifts)

    layout = sampler.layout(propose)
    x0, y0, inset = layout[4:7]
    canvas = Canvas(sampler, height, width)
    rule = sampler.pick(((90, 90, 90), (150, 150, 160), (110, 120, 170)))
    x9, y9 = x0 + columns * cell_width, y0 + rows * cell_height
    if sampler.held_out:
        canvas.rectangle((x0, y0, x0 + cell_width, y9), (218, 222, 228))
    inner = 1 if sampler.held_out else 0
    for r in range(inner, rows + 1 - inner):
        canvas.line(x0, y0 + r * cell_height, x9, y0 + r * cell_height, rule)
    for c in range(inner, columns + 1 - inner):
        canvas.line(x0 + c * cell_width, y0, x0 + c * cell_width, y9, rule)
    color = sampler.ink()
    for r, inked in enumerate(inks):
        for c, ink in enumerate(inked):
            x = x0 + c * cell_width + min(inset, cell_width - ink.width - 2)
            y = y0 + r * cell_height + (cell_height - ink.height) // 2 + layout[7 + r] - 3
            canvas.text(x, y, ink, color)
    return canvas, cells
