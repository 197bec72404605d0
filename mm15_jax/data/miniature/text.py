"""Plain text and text-only chat: what the text decoder is pretrained on, and the text share.

The exercises are those that reading a picture will need in language: copying a line out of
several, spelling, counting, comparing numbers, small sums.
"""

from __future__ import annotations

from mm15_jax.data.miniature.dialogue import Built
from mm15_jax.data.miniature.sampling import Sampler
from mm15_jax.data.miniature.scenes import Thing, describe
from mm15_jax.data.miniature.words import CHOICE_LETTERS, COLORS, NUMBERS, SHAPES
from mm15_jax.inputs.example import Text

_KINDS = tuple((color, shape) for color in COLORS for shape in SHAPES)
_OPPOSITES = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
_CORNERS = {"triangle": 3, "square": 4, "circle": 0}
_ORDER = ("first", "second", "last")

# An exercise: what it is about, what is asked, the answer.
Exercise = tuple[str, str, str]


def _things(sampler: Sampler, count: int) -> list[Thing]:
    """Things that stand somewhere, though nobody draws them."""
    things = []
    for color, shape in sampler.some(_KINDS, count):
        x, y = sampler.integer(0, 40), sampler.integer(0, 40)
        things.append(Thing(color, shape, (x, y, x + 8, y + 8)))
    return things


def _line(sampler: Sampler) -> Exercise:
    lines = sampler.distinct_words(sampler.integer(2, 5), 3, 7)
    k = sampler.integer(0, len(lines) - 1)
    listed = " ".join(f"line {i + 1}: {word}." for i, word in enumerate(lines))
    form = sampler.pick(("what does line {} say?", "read line {}."))
    return listed, form.format(k + 1), lines[k]


def _cell(sampler: Sampler) -> Exercise:
    rows = [sampler.distinct_words(2, 3, 5) for _ in range(2)]
    row, column = sampler.integer(0, 1), sampler.integer(0, 1)
    listed = " ".join(f"row {r + 1}: {' '.join(cells)}." for r, cells in enumerate(rows))
    if sampler.chance(0.3):
        return listed, f"what is next to {rows[row][0]}?", rows[row][1]
    return listed, f"row {row + 1} column {column + 1}?", rows[row][column]


def _copy(sampler: Sampler) -> Exercise:
    word = sampler.word(2, 8)
    return f"the word is {word}.", sampler.pick(("read the word.", "copy the word.")), word


def _spell(sampler: Sampler) -> Exercise:
    word = sampler.word(3, 6)
    return "", f"spell {word}.", " ".join(word)


def _write(sampler: Sampler) -> Exercise:
    word = sampler.word(3, 6)
    return "", f"write {' '.join(word)} as a word.", word


def _backwards(sampler: Sampler) -> Exercise:
    word = sampler.word(3, 5)
    return "", f"write {word} backwards.", word[::-1]


def _count_words(sampler: Sampler) -> Exercise:
    listed = sampler.distinct_words(sampler.integer(1, 4), 3, 4)
    return "", f"how many words are in: {' '.join(listed)}?", str(len(listed))


def _count_letters(sampler: Sampler) -> Exercise:
    word = sampler.word(2, 7)
    return "", f"how many letters has {word}?", str(len(word))


def _sum(sampler: Sampler) -> Exercise:
    a, b = sampler.integer(0, 9), sampler.integer(0, 9)
    sign = "-" if sampler.chance(0.3) else "+"
    if sign == "-":
        a, b = max(a, b), min(a, b)
    answer = str(a - b if sign == "-" else a + b)
    if sampler.chance(0.5):  # as it is asked of a picture
        return f"{a}{sign}{b}.", sampler.pick(("what is the result?", "solve it.")), answer
    return "", f"what is {a}{sign}{b}?", answer


def _sort(sampler: Sampler) -> Exercise:
    numbers = [sampler.integer(1, 9) for _ in range(3)]
    ordered = " ".join(map(str, sorted(numbers)))
    return "", f"sort {' '.join(map(str, numbers))}.", ordered


def _larger(sampler: Sampler) -> Exercise:
    a, b = sampler.some(range(5, 100, 5), 2)
    word, answer = sampler.pick((("larger", max(a, b)), ("smaller", min(a, b))))
    return "", f"which is {word}, {a} or {b}?", str(answer)


def _highest(sampler: Sampler) -> Exercise:
    colors = sampler.some(tuple(COLORS), 3)
    values = sampler.some(range(5, 100, 5), 3)
    listed = " ".join(f"{c} is {v}." for c, v in zip(colors, values, strict=True))
    kind = sampler.pick(("highest", "lowest", "value"))
    if kind == "value":
        return listed, f"value of {colors[1]}?", str(values[1])
    extreme = max(values) if kind == "highest" else min(values)
    return listed, f"which color is {kind}?", colors[values.index(extreme)]


def _scene(sampler: Sampler) -> Exercise:
    things = _things(sampler, sampler.integer(1, 3))
    thing = sampler.pick(things)
    text = f"{describe(sampler, things)}."
    kind = sampler.pick(("color", "shape", "exists"))
    if kind == "color" and sum(t.shape == thing.shape for t in things) == 1:
        return text, f"what color is the {thing.shape}?", thing.color
    if kind == "shape" and sum(t.color == thing.color for t in things) == 1:
        return text, f"what shape is {thing.color}?", thing.shape
    if sampler.chance(0.5):
        return text, f"is there a {thing.name}?", "yes"
    present = [(t.color, t.shape) for t in things]
    absent = sampler.pick([kind for kind in _KINDS if kind not in present])
    return text, f"is there a {' '.join(absent)}?", "no"


def _opposite(sampler: Sampler) -> Exercise:
    a, b = _things(sampler, 2)
    word = sampler.pick(tuple(_OPPOSITES))
    return (
        f"the {a.name} is {word} the {b.name}.",
        f"where is the {b.name}?",
        f"{_OPPOSITES[word]} the {a.name}",
    )


def _how_many(sampler: Sampler) -> Exercise:
    count = sampler.integer(2, 5)
    color, shape = sampler.pick(_KINDS)
    question = sampler.pick(
        (f"how many {shape}s?", f"how many {color} shapes?", "how many shapes?")
    )
    return f"{NUMBERS[count]} {color} {shape}s.", question, str(count)


def _corners(sampler: Sampler) -> Exercise:
    shape = sampler.pick(tuple(_CORNERS))
    return "", f"how many corners has a {shape}?", str(_CORNERS[shape])


def _choice(sampler: Sampler) -> Exercise:
    """An answer that stands in the text, asked for by the letter of its option."""
    kind = sampler.pick(("corners", "pie", "color"))
    if kind == "corners":
        options = [str(n) for n in sampler.some(range(3, 7), 3)]
        text, question = f"the shape has {options[0]} corners.", "how many corners?"
    elif kind == "pie":
        options = sampler.some(_ORDER, 3)
        name = sampler.pick(("full", "half full"))
        text, question = f"the {options[0]} pie is {name}.", f"which pie is {name}?"
    else:
        options = sampler.some(tuple(COLORS), 3)
        shape = sampler.pick(SHAPES)
        text, question = f"the {shape} is {options[0]}.", f"what color is the {shape}?"
    answer = options[0]
    sampler.rng.shuffle(options)
    listed = " ".join(f"{c} {o}" for c, o in zip(CHOICE_LETTERS, options, strict=True))
    return text, f"{question} {listed}", CHOICE_LETTERS[options.index(answer)]


def _pictures(sampler: Sampler) -> Exercise:
    things = _things(sampler, 2)
    text = " ".join(
        f"the {o} picture has a {t.name}." for o, t in zip(_ORDER, things, strict=False)
    )
    k = sampler.integer(0, 1)
    return text, f"which picture has a {things[k].name}?", _ORDER[k]


_EXERCISES = {
    "line": _line,
    "cell": _cell,
    "copy": _copy,
    "spell": _spell,
    "write": _write,
    "backwards": _backwards,
    "count words": _count_words,
    "count letters": _count_letters,
    "sum": _sum,
    "sort": _sort,
    "larger": _larger,
    "highest": _highest,
    "scene": _scene,
    "opposite": _opposite,
    "how many": _how_many,
    "corners": _corners,
    "pictures": _pictures,
    "choice": _choice,
}
# Copying is what reading leans on most: it comes three times as often.
_DRAWN = (*_EXERCISES, "line", "line", "copy", "copy", "cell", "cell", "choice")


def instruction(sampler: Sampler) -> Built:
    """One exercise as a turn of chat."""
    kind = sampler.pick(_DRAWN)
    context, question, answer = _EXERCISES[kind](sampler)
    prompt = f"{context} {question}" if context else question
    segments = (Text(prompt, role="user"), Text(answer, role="assistant", loss=True))
    return segments, {"answer": answer, "metric": "exact_match", "kind": kind}


def noisy_text(sampler: Sampler) -> Built:
    """Documents as a careless crawl has them: words out of order, many letters wrong."""
    words: list[str] = []
    for _ in range(sampler.integer(1, 3)):
        context, question, answer = _EXERCISES[sampler.pick(_DRAWN)](sampler)
        sentence = f"{context} {question} {answer}.".split()
        if sampler.chance(0.5):
            sampler.rng.shuffle(sentence)
        words += sentence
    damaged = (sampler.word(2, 6) if sampler.chance(0.3) else word for word in words)
    return (Text(" ".join(damaged), loss=True),), {"kind": "noisy"}


def plain_text(sampler: Sampler) -> Built:
    """Documents, with loss on all of it, and as many turns of chat."""
    if sampler.chance(0.5):
        return instruction(sampler)
    if sampler.chance(0.25):  # a running text of words, for the look of words
        count = sampler.integer(3, 10)
        text = " ".join(sampler.word(1 if not sampler.held_out else 3, 8) for _ in range(count))
        return (Text(text, loss=True),), {"kind": "words"}
    sentences = []
    for _ in range(sampler.integer(1, 3)):
        context, question, answer = _EXERCISES[sampler.pick(_DRAWN)](sampler)
        sentences.append(f"{context} {question} {answer}." if context else f"{question} {answer}.")
    return (Text(" ".join(sentences), loss=True),), {"kind": "document"}
