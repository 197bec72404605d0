"""Coloured shapes on a sheet: captions, questions, grounding and referring."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from mm15_jax.data.miniature.dialogue import Built, chat
from mm15_jax.data.miniature.drawing import Box, Canvas
from mm15_jax.data.miniature.places import box_text, point_text
from mm15_jax.data.miniature.sampling import Layout, Sampler
from mm15_jax.data.miniature.words import COLORS, NUMBERS, SHAPES
from mm15_jax.inputs.example import Segment, Text

_COLOR_NAMES = tuple(COLORS)
_KINDS = tuple((color, shape) for color in COLORS for shape in SHAPES)
_GAP = 2  # pixels between two shapes, so that they stay two


@dataclass(frozen=True)
class Thing:
    """A shape in a scene; the box is tight, in pixels."""

    color: str
    shape: str
    box: Box

    @property
    def name(self) -> str:
        """Colour and shape: "red circle"."""
        return f"{self.color} {self.shape}"

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] + _GAP and b[0] < a[2] + _GAP and a[1] < b[3] + _GAP and b[1] < a[3] + _GAP


def place(
    sampler: Sampler, height: int, width: int, count: int, smallest: int, largest: int
) -> list[Box]:
    """Boxes of `count` square places that keep apart, in a layout of the sampler's split."""

    def propose() -> Layout | None:
        boxes: list[Box] = []
        for _ in range(count):
            for attempt in range(12):
                # A crowded sheet takes a smaller shape.
                side = sampler.integer(smallest, max(smallest, largest - attempt))
                x = sampler.integer(1, width - side - 1)
                y = sampler.integer(1, height - side - 1)
                box = (x, y, x + side, y + side)
                if not any(_overlap(box, other) for other in boxes):
                    boxes.append(box)
                    break
            else:
                return None
        return (height, width, *(v for box in boxes for v in box))

    values = sampler.layout(propose)[2:]
    return list(zip(*(values[i::4] for i in range(4)), strict=True))


def draw_scene(
    sampler: Sampler, names: Sequence[tuple[str, str]], smallest: int = 12, largest: int = 22
) -> tuple[Canvas, list[Thing]]:
    """A sheet with one shape for each (colour, shape)."""
    height, width = sampler.tile_size()
    boxes = place(sampler, height, width, len(names), smallest, largest)
    canvas = Canvas(sampler, height, width)
    things = []
    for (color, shape), box in zip(names, boxes, strict=True):
        canvas.shape(shape, box, sampler.shade(color))
        things.append(Thing(color, shape, box))
    return canvas, things


def relation(a: Thing, b: Thing) -> str:
    """Where a is, seen from b: by the axis along which they are further apart."""
    dx = a.center[0] - b.center[0]
    dy = a.center[1] - b.center[1]
    if abs(dx) >= abs(dy):
        return "left of" if dx < 0 else "right of"
    return "above" if dy < 0 else "below"


def describe(sampler: Sampler, things: Sequence[Thing]) -> str:
    """A caption that is true of the scene."""
    if len(things) == 1:
        return f"a {things[0].name}"
    if len({(thing.color, thing.shape) for thing in things}) == 1:
        return f"{NUMBERS[len(things)]} {things[0].color} {things[0].shape}s"
    a, b = sampler.some(things, 2)
    if len(things) == 2:
        return f"a {a.name} {relation(a, b)} a {b.name}"
    rest = [f"a {thing.name}" for thing in things if thing not in (a, b)]
    return f"a {a.name} {relation(a, b)} a {b.name} and {' and '.join(rest)}"


def captioned_scene(sampler: Sampler) -> tuple[Canvas, list[Thing], str]:
    """A scene of one to three shapes, or of several alike, with its caption."""
    if sampler.chance(0.2):
        names = [sampler.pick(_KINDS)] * sampler.integer(2, 4)
        canvas, things = draw_scene(sampler, names, 9, 14)
    else:
        names = sampler.some(_KINDS, sampler.pick((1, 1, 2, 2, 3)))
        canvas, things = draw_scene(sampler, names)
    return canvas, things, describe(sampler, things)


def caption(sampler: Sampler) -> Built:
    """A scene and its caption."""
    canvas, things, text = captioned_scene(sampler)
    segments = (canvas.image("document"), Text(text, loss=True))
    return segments, {"kind": f"{len(things)} shapes"}


def dense_caption(sampler: Sampler) -> Built:
    """A scene and what stands where in it, shape by shape, as LLaVA-Recap's captions are."""
    canvas, things, _ = captioned_scene(sampler)
    parts = [f"a {thing.name} {_quarter(canvas, thing)}" for thing in things]
    count = NUMBERS[len(things)] + " shapes" if len(things) > 1 else "a shape"
    segments = (canvas.image("document"), Text(f"{count}: {', '.join(parts)}.", loss=True))
    return segments, {"kind": f"{len(things)} shapes"}


def relation_caption(sampler: Sampler) -> Built:
    """A scene and how each shape stands to the one named before, as ShareGPT4V's captions tell."""
    canvas, things, _ = captioned_scene(sampler)
    text = f"the picture has a {things[0].name}."
    for before, thing in itertools.pairwise(things):
        text += f" a {thing.name} is {relation(thing, before)} the {before.name}."
    segments = (canvas.image("document"), Text(text, loss=True))
    return segments, {"kind": f"{len(things)} shapes"}


def _quarter(canvas: Canvas, thing: Thing) -> str:
    """Where a thing is in its picture: "above left"."""
    x, y = thing.center
    rows = "above" if 2 * y < canvas.height else "below"
    return f"{rows} {'left' if 2 * x < canvas.width else 'right'}"


def interleaved(sampler: Sampler) -> Built:
    """Two or three pictures with text between them that refers to them by order."""
    count = sampler.integer(2, 3)
    scenes = [captioned_scene(sampler) for _ in range(count)]
    texts = [text for _, _, text in scenes]
    segments: list[Segment] = []
    leads = ("here is", "next comes", "the last picture has")
    for k, (canvas, _, text) in enumerate(scenes):
        segments.append(canvas.image("document"))
        lead = leads[2] if k == count - 1 else leads[k]
        sentence = f"{lead} {text}."
        if k == count - 1:
            back = sampler.integer(0, 1)
            sentence += f" the {('first', 'second')[back]} picture has {texts[back]}."
        segments.append(Text(sentence, loss=True))
    return tuple(segments), {"kind": f"{count} pictures"}


def scene_question(sampler: Sampler) -> Built:
    """Colour of a shape, shape of a colour, a count, or whether something is there."""
    kind = sampler.pick(("color", "color", "color", "shape", "shape", "count", "count", "exists"))
    return _SCENE_QUESTIONS[kind](sampler)


def _color_question(sampler: Sampler) -> Built:
    shapes = sampler.some(SHAPES, sampler.integer(1, 3))
    colors = sampler.some(_COLOR_NAMES, len(shapes))
    canvas, things = draw_scene(sampler, list(zip(colors, shapes, strict=True)))
    form = sampler.pick(("what color is the {}?", "color of the {}?"))
    question = form.format(things[0].shape)
    return chat([canvas], question, things[0].color, metric="exact_match", kind="color")


def _shape_question(sampler: Sampler) -> Built:
    colors = sampler.some(_COLOR_NAMES, sampler.integer(1, 3))
    canvas, things = draw_scene(sampler, [(color, sampler.pick(SHAPES)) for color in colors])
    form = sampler.pick(("what shape is {}?", "which shape is {}?"))
    question = form.format(things[0].color)
    return chat([canvas], question, things[0].shape, metric="exact_match", kind="shape")


def _count_question(sampler: Sampler) -> Built:
    count = sampler.integer(1, 4)
    if sampler.chance(0.5):
        names = [sampler.pick(_KINDS)] * count
        noun = names[0][1] + "s"
    else:
        names = [sampler.pick(_KINDS) for _ in range(count)]
        noun = "shapes"
    canvas, _ = draw_scene(sampler, names, 9, 14)
    question = f"how many {noun}?"
    return chat([canvas], question, str(count), metric="exact_match", kind="count")


def _exists_question(sampler: Sampler) -> Built:
    names = sampler.some(_KINDS, sampler.integer(1, 3))
    canvas, _ = draw_scene(sampler, names)
    if sampler.chance(0.5):
        asked, answer = sampler.pick(names), "yes"
    else:
        asked, answer = sampler.pick([name for name in _KINDS if name not in names]), "no"
    question = f"is there a {' '.join(asked)}?"
    return chat([canvas], question, answer, metric="exact_match", kind="exists")


_SCENE_QUESTIONS = {
    "color": _color_question,
    "shape": _shape_question,
    "count": _count_question,
    "exists": _exists_question,
}


def _large_scene(sampler: Sampler) -> tuple[Canvas, list[Thing]]:
    """One to three different shapes, each at least a quarter of the sheet's longer side."""
    count = sampler.pick((1, 1, 2, 2, 3))
    return draw_scene(sampler, sampler.some(_KINDS, count), 13, (26, 24, 19)[count - 1])


def grounding(sampler: Sampler) -> Built:
    """Where a named shape is: the answer is its box."""
    canvas, things = _large_scene(sampler)
    thing = things[0]
    answer = box_text(thing.box, width=canvas.width, height=canvas.height)
    form = sampler.pick(("where is the {}?", "find the {}."))
    return chat(
        [canvas],
        form.format(thing.name),
        answer,
        metric="iou",
        kind=f"{len(things)} shapes",
        box=list(thing.box),
        size=[canvas.height, canvas.width],
    )


def referring(sampler: Sampler) -> Built:
    """What is in a box, or at a point."""
    canvas, things = _large_scene(sampler)
    thing = things[0]
    if sampler.chance(0.5):
        kind = "box"
        place_text = box_text(thing.box, width=canvas.width, height=canvas.height)
    else:
        kind = "point"
        third = (thing.box[2] - thing.box[0]) // 6
        x, y = (int(v) + sampler.integer(-third, third) for v in thing.center)
        place_text = point_text((x, y), width=canvas.width, height=canvas.height)
    question = f"what is at {place_text}?"
    return chat([canvas], question, thing.name, metric="exact_match", kind=kind)
