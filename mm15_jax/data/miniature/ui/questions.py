"""What Ferret-UI asks about screens: referring, finding, describing, and talking about them.

Training's examples are dialogues of several questions about one screen, so that its tiles are seen
once for all of them; the held-out ones ask one question, or the last one of a conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mm15_jax.data.miniature.dialogue import Built
from mm15_jax.data.miniature.places import box_text, point_text
from mm15_jax.data.miniature.sampling import Sampler
from mm15_jax.data.miniature.ui import screens
from mm15_jax.data.miniature.ui.screens import Drawn
from mm15_jax.data.miniature.ui.widgets import Element
from mm15_jax.inputs.example import Segment, Text

TURNS = 8  # most questions of a training dialogue
SIDE = 48  # pixels of a part of a screen: a tile
DESCRIBE = "what screen is it?"

# Question, answer, and metadata of the answer.
Turn = tuple[str, str, dict[str, Any]]


def referring(platform: str) -> Callable[[Sampler], Built]:
    """Naming what is in a box or at a point: its kind of widget, its icon, its text."""

    def build(sampler: Sampler) -> Built:
        drawn = screens.draw(sampler, platform)
        return _dialogue(sampler, drawn, lambda: _refer(sampler, drawn))

    return build


def grounding(platform: str) -> Callable[[Sampler], Built]:
    """Finding a widget, an icon or a text: the answer is its box."""

    def build(sampler: Sampler) -> Built:
        drawn = screens.draw(sampler, platform)
        return _dialogue(sampler, drawn, lambda: _ground(sampler, drawn))

    return build


def parts(sampler: Sampler) -> Built:
    """Naming and finding within a square of a screen that is one tile.

    Icons, and places, are learned here first: on whole screens, at which nothing is known, not.
    """
    while True:
        drawn = screens.part(sampler, screens.draw(sampler, sampler.pick(screens.PLATFORMS)), SIDE)
        if drawn is not None:
            break
    if len(drawn.elements) == 1:
        (element,) = drawn.elements
        turns = [_name(element, task, "it") for task in _tasks(element)]
        return _built(drawn, [sampler.pick(turns)] if sampler.held_out else turns, sampler)

    def ask() -> Turn:
        return _refer(sampler, drawn) if sampler.chance(0.7) else _ground(sampler, drawn)

    return _dialogue(sampler, drawn, ask)


def description(sampler: Sampler) -> Built:
    """What kind of screen it is, and of how many parts."""
    drawn = screens.draw(sampler, sampler.pick(screens.PLATFORMS))
    turn = DESCRIBE, drawn.summary, {"metric": "exact_match", "kind": drawn.summary.split(" ")[0]}
    return _built(drawn, [turn], sampler)


def conversation(sampler: Sampler) -> Built:
    """A screen described, an element found, then a question about that element.

    What the last question means follows from the answer before it.
    """
    while True:
        drawn = screens.draw(sampler, sampler.pick(screens.PLATFORMS))
        first: Turn = (DESCRIBE, drawn.summary, {})
        options = list(_follow_ups(drawn))
        if options:
            kind = sampler.pick(sorted({kind for kind, *_ in options}))
            _, element, question, answer = sampler.pick([o for o in options if o[0] == kind])
            found = _find(drawn, element)
            last = question, answer, {"metric": "exact_match", "kind": kind}
            return _built(drawn, [first, found, last], sampler)


def _dialogue(sampler: Sampler, drawn: Drawn, ask: Callable[[], Turn]) -> Built:
    """One question, or as many different ones as training's dialogues have."""
    turns = [ask()]
    while not sampler.held_out and len(turns) < TURNS:
        turn = ask()
        if turn[0] not in [question for question, *_ in turns]:
            turns.append(turn)
        elif sampler.chance(0.2):
            break  # a screen with little on it
    return _built(drawn, turns, sampler)


def _built(drawn: Drawn, turns: Sequence[Turn], sampler: Sampler) -> Built:
    """The screen, then the turns; of a held-out example the last one alone is asked."""
    segments: list[Segment] = [drawn.screen.image("user")]
    for number, (question, answer, _) in enumerate(turns):
        asked = not sampler.held_out or number == len(turns) - 1
        segments += [Text(question, "user"), Text(answer, "assistant", loss=asked)]
    _, answer, facts = turns[-1]
    return tuple(segments), {"answer": answer, **facts}


def _box(drawn: Drawn, element: Element) -> str:
    return box_text(element.box, width=drawn.screen.width, height=drawn.screen.height)


def _place(sampler: Sampler, drawn: Drawn, element: Element) -> str:
    """The element's box, or a point inside it."""
    if sampler.chance(0.7):
        return _box(drawn, element)
    x1, y1, x2, y2 = element.box
    reach_x, reach_y = (x2 - x1) // 6, (y2 - y1) // 6
    x, y = (int(v) for v in element.center)
    point = x + sampler.integer(-reach_x, reach_x), y + sampler.integer(-reach_y, reach_y)
    return point_text(point, width=drawn.screen.width, height=drawn.screen.height)


def _tasks(element: Element) -> list[str]:
    """Tasks of referring that an element is for."""
    if not element.says:
        return ["widget"]
    return ["widget", "icon" if element.widget == "icon" else "ocr"]


def _name(element: Element, task: str, place: str) -> Turn:
    """The question what it is, by "it" or by its place, and the answer."""
    answer = element.widget if task == "widget" else element.says
    facts = {"metric": "exact_match", "kind": task, "subset": task}
    if task == "ocr":  # in the words in which single words are read before
        question = "what is written?" if place == "it" else f"what is written at {place}?"
    else:
        question = f"what {task} is it?" if place == "it" else f"what {task} is at {place}?"
    return question, answer, facts


def _refer(sampler: Sampler, drawn: Drawn) -> Turn:
    by_task: dict[str, list[Element]] = {}
    for element in drawn.elements:
        for task in _tasks(element):
            by_task.setdefault(task, []).append(element)
    task = sampler.pick(sorted(by_task))
    elements = by_task[task]
    if task == "widget":  # else most answers would be "text" and "icon"
        widget = sampler.pick(sorted({element.widget for element in elements}))
        elements = [element for element in elements if element.widget == widget]
    element = sampler.pick(elements)
    return _name(element, task, _place(sampler, drawn, element))


def _ground(sampler: Sampler, drawn: Drawn) -> Turn:
    widgets = [element.widget for element in drawn.elements]
    by_task: dict[str, list[Element]] = {}
    for element in drawn.elements:
        if screens.is_title(element):
            continue  # it is always there
        if element.widget in ("icon", "text"):
            by_task.setdefault(element.widget, []).append(element)
        elif widgets.count(element.widget) == 1:
            by_task.setdefault("widget", []).append(element)
    if not by_task:  # a part with a title alone
        return _refer(sampler, drawn)
    element = sampler.pick(by_task[sampler.pick(sorted(by_task))])
    return _find(drawn, element)


def _find(drawn: Drawn, element: Element) -> Turn:
    """The question where an element is, and its box."""
    task = element.widget if element.widget in ("icon", "text") else "widget"
    name = {"icon": f"{element.says} icon", "text": f"text {element.says}"}
    facts = {
        "metric": "iou",
        "kind": task,
        "subset": task,
        "box": list(element.box),
        "size": [drawn.screen.height, drawn.screen.width],
    }
    question = f"where is the {name.get(element.widget, element.widget)}?"
    return question, _box(drawn, element), facts


def _follow_ups(drawn: Drawn):
    """(kind, element that is found first, question about it, answer)."""
    widgets = [element.widget for element in drawn.elements]
    for element in drawn.elements:
        findable = element.widget in ("icon", "text") or widgets.count(element.widget) == 1
        if not findable or screens.is_title(element):
            continue
        yield "press", element, "is it to press, yes or no?", "yes" if element.tappable else "no"
        x1, y1, x2, y2 = element.box
        row = [
            other
            for other in drawn.elements
            if other is not element and other.box[1] < (y1 + y2) / 2 < other.box[3]
        ]
        left = [other for other in row if other.box[2] <= x1 + 2]
        right = [other for other in row if other.box[0] >= x2 - 2]
        for side, others, nearest in (
            ("left", left, lambda other: -other.box[2]),
            ("right", right, lambda other: other.box[0]),
        ):
            if others:
                other = min(others, key=nearest)
                answer = f"{other.says} icon" if other.widget == "icon" else other.widget
                yield side, element, f"what is {side} of it?", answer
