"""Print and its text, to learn to read from: `mini_words`, a curriculum, then `mini_ocr`.

Words alone come first, from one letter to five, then pages, tables and charts as well: letters are
learned many times sooner when nothing else is asked meanwhile.
"""

from __future__ import annotations

from mm15_jax.data.miniature import charts
from mm15_jax.data.miniature.dialogue import Built, transcript
from mm15_jax.data.miniature.reading import (
    LONGEST_WORD,
    draw_alone,
    draw_banner,
    draw_page,
    draw_poster,
    draw_single_word,
)
from mm15_jax.data.miniature.sampling import Sampler

# The longest word, by the share of the data set that has gone by: one letter until 8%, two until
# 20% ...
_CURRICULUM = (0.08, 0.2, 0.35, 0.55)
assert len(_CURRICULUM) + 1 == LONGEST_WORD
_NUMBERS = 0.2  # share of numbers among words of two letters and more


def longest_word(progress: float) -> int:
    """Letters of the longest word at a point of the curriculum."""
    return 1 + sum(progress >= limit for limit in _CURRICULUM)


def words(sampler: Sampler) -> Built:
    """One word and its text, longer as training goes on; held-out words are of all lengths."""
    high = LONGEST_WORD if sampler.held_out else longest_word(sampler.progress)
    return word(sampler, min(3, max(1, high - 2)), high)


def transcribe(sampler: Sampler) -> Built:
    """A word, page, table or chart and what stands in it."""
    kind = sampler.rng.random()
    if kind < 0.3:
        return word(sampler, 3, LONGEST_WORD)
    if kind < 0.65:
        return page(sampler)
    return table(sampler) if kind < 0.83 else chart(sampler)


def word(sampler: Sampler, low: int, high: int) -> Built:
    """One word of low to high letters, or a number, and its text."""
    if high >= 2 and sampler.chance(_NUMBERS):
        canvas, text = draw_alone(sampler, lambda: str(sampler.integer(0, 99)))
        return transcript(canvas, "", text, metric="exact_match", kind="number")
    canvas, text = draw_single_word(sampler, low, high)
    return transcript(canvas, "", text, metric="exact_match", kind=f"{len(text)} letters")


def page(sampler: Sampler) -> Built:
    """A page, strip or poster and one of its lines or words, or all of a short one."""
    kind = sampler.rng.random()
    if kind < 0.25:
        drawn = draw_banner(sampler)
        k = sampler.integer(0, len(drawn.lines) - 1)
        unit = "line" if drawn.canvas.height > drawn.canvas.width else "word"
        cue = f"{unit} {k + 1}:"
        return transcript(drawn.canvas, cue, drawn.lines[k], metric="anls", kind="banner")
    drawn = draw_poster(sampler) if kind < 0.4 else draw_page(sampler)
    if len(drawn.lines) <= 3 and sampler.chance(0.4):
        text = "\n".join(drawn.lines)
        return transcript(drawn.canvas, "", text, metric="anls", kind="page")
    k = sampler.integer(0, len(drawn.lines) - 1)
    return transcript(drawn.canvas, f"line {k + 1}:", drawn.lines[k], metric="anls", kind="line")


def table(sampler: Sampler) -> Built:
    """A table and one of its cells."""
    canvas, cells = charts.draw_table(sampler)
    row = sampler.integer(0, len(cells) - 1)
    column = sampler.integer(0, len(cells[row]) - 1)
    cue = f"row {row + 1} column {column + 1}:"
    return transcript(canvas, cue, cells[row][column], metric="exact_match", kind="cell")


def chart(sampler: Sampler) -> Built:
    """A chart and its bars from left to right: colours and values."""
    canvas, colors, values, _ = charts.draw_chart(sampler)
    bars = list(zip(colors, values, strict=True))
    if sampler.held_out:  # drawn from right to left
        bars.reverse()
    text = " ".join(f"{color} {value}" for color, value in bars)
    return transcript(canvas, "", text, metric="anls", kind="chart")
