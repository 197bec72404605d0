"""What reading alone does not answer: sums, arrows, pies and corners."""

from __future__ import annotations

import math

import cv2

from mm15_jax.data.miniature.dialogue import Built, chat
from mm15_jax.data.miniature.drawing import Canvas, regular_polygon
from mm15_jax.data.miniature.sampling import Layout, Sampler
from mm15_jax.data.miniature.words import CHOICE_LETTERS, COLORS

# Without i and l, which small print confuses, and a to c, which name the choices.
_LETTERS = "defghjkmnpqrstuvwxyz"


def arithmetic_question(sampler: Sampler) -> Built:
    """A printed sum or difference of numbers up to six, never below zero."""
    a, b = sampler.integer(0, 6), sampler.integer(0, 6)
    minus = sampler.chance(0.3)
    if minus and b > a:
        a, b = b, a
    sign = "-" if minus else "+"
    text = f"{a}{sign}{b}" if sampler.chance(0.5) else f"{a} {sign} {b}"
    font = sampler.font(11, 15)
    height, width = sampler.tile_size()
    ink = font.ink(text)
    if ink.width > width - 2:
        height, width = 48, 48

    def propose() -> Layout:
        x = sampler.integer(1, width - ink.width - 1)
        y = sampler.integer(1, height - ink.height - 1)
        return height, width, x, y, ink.width, ink.height

    layout = sampler.layout(propose)
    canvas = Canvas(sampler, height, width)
    canvas.text(layout[2], layout[3], ink, sampler.ink())
    question = sampler.pick(("what is the result?", "solve it."))
    kind = "minus" if minus else "plus"
    answer = str(a - b if minus else a + b)
    return chat([canvas], question, answer, metric="exact_match", kind=kind)


def diagram_question(sampler: Sampler) -> Built:
    """Multiple choice on a diagram of one of three kinds; arrows, the hardest, are fewest."""
    return sampler.pick((_arrows, _pies, _pies, _corners, _corners))(sampler)


def _multiple_choice(
    canvas: Canvas, question: str, truth: str, options: list[str], kind: str
) -> Built:
    """Options behind the letters A, B, C; the answer is the letter."""
    listed = " ".join(f"{c} {o}" for c, o in zip(CHOICE_LETTERS, options, strict=False))
    return chat(
        [canvas],
        f"{question} {listed}",
        CHOICE_LETTERS[options.index(truth)],
        metric="multiple_choice",
        kind=kind,
        choices=options,
    )


def _arrows(sampler: Sampler) -> Built:
    """Three labelled nodes and two arrows: what does a node point to?"""
    names = sampler.some(_LETTERS, 4)
    font = sampler.font(10, 12)
    canvas = Canvas(sampler, 48, 48)
    inks = [font.ink(name) for name in names[:3]]

    def propose() -> Layout:
        # The nodes stand near three of the four corners.
        corners = sampler.some(((11, 11), (36, 11), (11, 36), (36, 36)), 3)
        return tuple(v + sampler.integer(-2, 2) for corner in corners for v in corner)

    flat = sampler.layout(propose)
    centers = [(flat[i], flat[i + 1]) for i in (0, 2, 4)]
    color = sampler.shade(sampler.pick(("blue", "red", "green", "purple")))
    # The first points to the second, and the third to the first or second.
    pairs = [(0, 1), (2, sampler.integer(0, 1))]
    for tail, head in pairs:
        _draw_arrow(canvas, centers[tail], centers[head], color)
    print_color = sampler.ink()
    for ink, (x, y) in zip(inks, centers, strict=True):
        canvas.text(x - ink.width // 2, y - ink.height // 2, ink, print_color)
    tail, head = sampler.pick(pairs)
    options = [names[k] for k in range(4) if k != tail]
    sampler.rng.shuffle(options)
    question = f"what does {names[tail]} point to?"
    return _multiple_choice(canvas, question, names[head], options, "arrows")


def _draw_arrow(canvas: Canvas, tail: tuple[int, int], head: tuple[int, int], color) -> None:
    """An arrow between two nodes that stays clear of their labels."""
    length = math.dist(tail, head)
    ux, uy = (head[0] - tail[0]) / length, (head[1] - tail[1]) / length
    clear = 8
    start = (round(tail[0] + clear * ux), round(tail[1] + clear * uy))
    tip = (head[0] - (clear - 1) * ux, head[1] - (clear - 1) * uy)
    base = (tip[0] - 5 * ux, tip[1] - 5 * uy)
    canvas.line(*start, round(base[0]), round(base[1]), color)
    unit = 47  # polygon corners are shares of a box of 48 pixels
    corners = [tip, (base[0] - 3 * uy, base[1] + 3 * ux), (base[0] + 3 * uy, base[1] - 3 * ux)]
    canvas.polygon([(x / unit, y / unit) for x, y in corners], (0, 0, 48, 48), color)


def _pies(sampler: Sampler) -> Built:
    """Three pies beside or below each other, filled to different degrees; one is half full."""
    fills = sampler.some((0, 90, 180, 360), 3)
    asked = sampler.pick([degrees for degrees in fills if degrees in (180, 360)])
    across = sampler.chance(0.6)
    radius = 7

    def propose() -> Layout:
        return tuple(
            v for k in range(3) for v in (8 + 16 * k, sampler.integer(radius + 1, 47 - radius))
        )

    flat = sampler.layout(propose)
    canvas = Canvas(sampler, 48, 48)
    color = sampler.shade(sampler.pick(tuple(COLORS)))
    turn = sampler.pick((0, 90, 180, 270))
    for k, degrees in enumerate(fills):
        center = (flat[2 * k], flat[2 * k + 1])
        if not across:
            center = center[::-1]
        if degrees:
            axes = (radius, radius)
            cv2.ellipse(canvas.pixels, center, axes, turn, 0, degrees, color, -1, cv2.LINE_AA)
        cv2.circle(canvas.pixels, center, radius, (60, 60, 60), 1, cv2.LINE_AA)
    name = "half full" if asked == 180 else "full"
    order = ["first", "second", "last"]
    truth = order[fills.index(asked)]
    return _multiple_choice(canvas, f"which pie is {name}?", truth, order, "pies")


def _corners(sampler: Sampler) -> Built:
    """One large regular polygon: how many corners has it?"""
    sides = sampler.integer(3, 6)
    turn = sampler.rng.random() * 2 * math.pi

    def propose() -> Layout:
        side = sampler.integer(26, 42)
        return side, sampler.integer(1, 47 - side), sampler.integer(1, 47 - side)

    side, x, y = sampler.layout(propose)
    canvas = Canvas(sampler, 48, 48)
    color = sampler.shade(sampler.pick(tuple(COLORS)))
    canvas.polygon(regular_polygon(sides, turn), (x, y, x + side, y + side), color)
    others = sampler.some([n for n in range(3, 7) if n != sides], 2)
    options = [str(n) for n in sorted((sides, *others))]
    return _multiple_choice(canvas, "how many corners?", str(sides), options, "corners")
