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
    """A page of two to four printed lines; its sub-images are two by two at most."""
    height, width = page_size(sampler)
    return print_page(sampler, height, width, lines=(2, 4), margin=16)


def draw_poster(sampler: Sampler) -> Page:
    """A page of four to six printed lines, of three by three sub-images: two by two blur it."""
    height, width = sampler.integer(136, 144), sampler.integer(136, 144)
    return print_page(sampler, height, width, lines=(4, 6), margin=80)


def draw_banner(sampler: Sampler) -> Page:
    """A strip of three or four sub-images, high or wide, with a word in each line or place."""
    if sampler.chance(0.5):
        height, width = sampler.integer(144, 192), sampler.integer(46, 48)
        return print_page(sampler, height, width, lines=(3, 5), margin=16)
    return _print_strip(sampler, sampler.integer(36, 48), sampler.integer(144, 192))


def print_page(
    sampler: Sampler, height: int, width: int, *, lines: tuple[int, int], margin: int
) -> Page:
    """A page of printed lines of one or two short words.

    Lines start at a common margin or each at its own indent, and may straddle sub-images, as real
    ones do. Training's pages are bare, or have a margin rule; the held-out ones are bare or framed.

    Args:
      sampler: of the example.
      height: of the page in pixels.
      width: of the page in pixels.
      lines: fewest and most; fewer where no more fit.
      margin: the largest common one, in pixels.
    """
    font = sampler.font(*PRINT)
    count = sampler.integer(lines[0], min(lines[1], (height - 4) // font.line_height))
    return _print_lines(sampler, height, width, font, count, margin)


def _print_lines(
    sampler: Sampler, height: int, width: int, font: Font, count: int, margin: int
) -> Page:
    lines: dict[str, Ink] = {}
    while len(lines) < count:
        pair = width > 90 and sampler.chance(0.15)
        line = " ".join(sampler.word(3, 4) for _ in range(1 + pair))
        ink = font.ink(line)
        if ink.width <= width - 8:
            lines[line] = ink
    pitch = (height - 4) / count

    def propose() -> Layout:
        common = sampler.integer(4, margin)
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


def _print_strip(sampler: Sampler, height: int, width: int) -> Page:
    """Words side by side, each somewhere in a place of its own."""
    font = sampler.font(*PRINT)
    count = sampler.integer(3, width // 48)
    place = width // count
    found: dict[str, Ink] = {}
    while len(found) < count:
        word = sampler.word(3, 4)
        ink = font.ink(word)
        if ink.width <= place - 6:
            found[word] = ink
    inks = list(found.values())

    def propose() -> Layout:
        across = [
            k * place + sampler.integer(3, place - 3 - ink.width) for k, ink in enumerate(inks)
        ]
        down = [sampler.integer(1, height - 1 - ink.height) for ink in inks]
        return (height, width, *across, *down)

    positions = sampler.layout(propose)[2:]
    canvas = Canvas(sampler, height, width)
    color = sampler.ink()
    for k, ink in enumerate(inks):
        canvas.text(positions[k], positions[count + k], ink, color)
    return Page(canvas, tuple(found), font)


def banner_question(sampler: Sampler) -> Built:
    """The question what a line of a high strip, or a word of a wide one, says."""
    page = draw_banner(sampler)
    high = page.canvas.height > page.canvas.width
    k = sampler.integer(0, len(page.lines) - 1)
    forms = ("what does line {} say?", "read line {}.")
    form = sampler.pick(forms if high else ("what does word {} say?", "read word {}."))
    kind = "high" if high else "wide"
    return chat([page.canvas], form.format(k + 1), page.lines[k], metric="anls", kind=kind)


def document_question(sampler: Sampler) -> Built:
    """The question what a line of a page says."""
    return _line_question(sampler, draw_page(sampler))


def poster_question(sampler: Sampler) -> Built:
    """The question what a line of a large page says."""
    return _line_question(sampler, draw_poster(sampler))


def _line_question(sampler: Sampler, page: Page) -> Built:
    k = sampler.integer(0, len(page.lines) - 1)
    form = sampler.pick(("what does line {} say?", "read line {}."))
    answer = page.lines[k]
    words = "one word" if " " not in answer else "two words"
    return chat([page.canvas], form.format(k + 1), answer, metric="anls", kind=words)
