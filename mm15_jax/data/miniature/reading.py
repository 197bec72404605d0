"""Print to be read: single words, and pages whose print only their sub-images resolve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mm15_jax.data.miniature.dialogue import Built, chat
from mm15_jax.data.miniature.drawing import Canvas
from mm15_jax.data.miniature.fonts import Font, Ink
from mm15_jax.data.miniature.sampling import Layout, Sampler

PRINT = (10, 13)  # smallest and largest print in pixels, at the picture's own size

LONGEST_WORD = 5  # letters of a word that stands alone


def draw_single_word(sampler: Sampler, low: int, high: int) -> tuple[Canvas, str]:
    """A picture of one tile with one word of low to high letters."""
    length = sampler.integer(low, high)
    return draw_alone(sampler, lambda: sampler.word(length, length))


def draw_alone(sampler: Sampler, propose_word: Callable[[], str]) -> tuple[Canvas, str]:
    """A picture of one tile with the first proposed word that fits it."""
    while True:
        word = propose_word()
        font = sampler.font(*PRINT)
        ink = font.ink(word)
        w, h = ink.width, ink.height
        if w > 46:
            continue
        kind = sampler.rng.random()
        if kind < 0.6:
            height, width = 48, 48
        elif kind < 0.9:  # not so flat that splitting would cut it into two enlarged halves
            height, width = sampler.integer(32, 47), 48
        else:
            height, width = 48, sampler.integer(max(36, w + 2), 48)
        if w + 2 <= width:
            break

    def propose() -> Layout:
        return height, width, sampler.integer(1, width - w - 1), sampler.integer(1, height - h - 1)

    # A large print in a narrow sheet leaves few layouts; the size of the word is part of them.
    layout = sampler.layout(lambda: (*propose(), w, h))
    canvas = Canvas(sampler, height, width)
    canvas.text(layout[2], layout[3], ink, sampler.ink())
    return canvas, word


def word_question(sampler: Sampler) -> Built:
    """The question what the word in a picture is."""
    canvas, word = draw_single_word(sampler, 3, LONGEST_WORD)
    question = sampler.pick(("what is written?", "read the word."))
    return chat([canvas], question, word, metric="exact_match", kind=f"{len(word)} letters")


@dataclass(frozen=True)
class Page:
    """A drawn page and the text of its lines, from the top."""

    canvas: Canvas
    lines: tuple[str, ...]
    font: Font


def page_size(sampler: Sampler) -> tuple[int, int]:
    """(height, width) of a page: near 96 x 96, a few half as high or half as wide."""
    kind = sampler.rng.random()
    if kind < 0.5:
        return 96, 96
    if kind < 0.85:
        return sampler.integer(90, 96), sampler.integer(90, 96)
    if kind < 0.95:
        return 48, 96
    return 96, 48


def draw_page(sampler: Sampler) -> Page:
    """A page of two to four printed lines of one or two short words.

    Lines start at a common margin or each at its own indent, and may straddle sub-images, as real
    ones do. Training's pages are bare, or have a margin rule; the held-out ones are bare or framed.
    """
    height, width = page_size(sampler)
    font = sampler.font(*PRINT)
    count = sampler.integer(2, min(4, (height - 4) // font.line_height))
    lines: dict[str, Ink] = {}
    while len(lines) < count:
        pair = width > 90 and sampler.chance(0.15)
        line = " ".join(sampler.word(3, 4) for _ in range(1 + pair))
        ink = font.ink(line)
        if ink.width <= width - 8:
            lines[line] = ink
    pitch = (height - 4) / count

    def propose() -> Layout:
        common = sampler.integer(4, 16)
        ragged = sampler.chance(0.3)
        slack = max(0, int(pitch) - font.line_height)
        positions = []
        for k, ink in enumerate(lines.values()):
            room = width - 4 - ink.width
            positions.append(min(room, sampler.integer(4, room) if ragged else common))
            positions.append(2 + int(k * pitch) + sampler.integer(0, slack))
        return (height, width, *positions)

    positions = sampler.layout(propose)[2:]
    canvas = Canvas(sampler, height, width)
    if sampler.chance(0.3):
        rule = (205, 205, 215)
        if sampler.held_out:
            canvas.rectangle((0, 0, width, height), rule, outline=True)
        else:
            canvas.line(2, 0, 2, height - 1, rule)
    color = sampler.ink()
    for k, ink in enumerate(lines.values()):
        canvas.text(positions[2 * k], positions[2 * k + 1] + ink.top, ink, color)
    return Page(canvas, tuple(lines), font)


def document_question(sampler: Sampler) -> Built:
    """The question what a line of a page says."""
    page = draw_page(sampler)
    k = sampler.integer(0, len(page.lines) - 1)
    form = sampler.pick(("what does line {} say?", "read line {}."))
    answer = page.lines[k]
    words = "one word" if " " not in answer else "two words"
    return chat([page.canvas], form.format(k + 1), answer, metric="anls", kind=words)
