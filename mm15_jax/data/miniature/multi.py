"""Questions that only two pictures together answer."""

from __future__ import annotations

from mm15_jax.data.miniature.dialogue import Built, chat
from mm15_jax.data.miniature.sampling import Sampler
from mm15_jax.data.miniature.scenes import draw_scene
from mm15_jax.data.miniature.words import COLORS, SHAPES

_COLOR_NAMES = tuple(COLORS)
_KINDS = tuple((color, shape) for color in COLORS for shape in SHAPES)
_ORDER = ("first", "second")


def compare(sampler: Sampler) -> Built:
    """Which picture has more shapes or holds one, what one of them has, or whether they agree."""
    return sampler.pick((_more, _contains, _named, _same))(sampler)


def _more(sampler: Sampler) -> Built:
    # At least two more: which of three and four is more would be counting, `mini_scene_qa`'s work.
    counts = sampler.pick(((1, 3), (1, 4), (2, 4), (2, 5), (3, 5)))
    if sampler.chance(0.5):
        counts = counts[::-1]
    canvases = [
        draw_scene(sampler, [sampler.pick(_KINDS) for _ in range(count)], 9, 14)[0]
        for count in counts
    ]
    form = sampler.pick(("which picture has more shapes?", "where are more shapes?"))
    answer = _ORDER[int(counts[1] > counts[0])]
    return chat(canvases, form, answer, metric="exact_match", kind="more")


def _contains(sampler: Sampler) -> Built:
    """One shape a picture, different in colour and form."""
    names = _two_unlike(sampler)
    which = sampler.integer(0, 1)
    asked = names[which]
    canvases = [draw_scene(sampler, [name])[0] for name in names]
    question = f"which picture has a {' '.join(asked)}?"
    return chat(canvases, question, _ORDER[which], metric="exact_match", kind="contains")


def _named(sampler: Sampler) -> Built:
    """One shape a picture, different in colour and form; colour or form of one picture's."""
    names = _two_unlike(sampler)
    which = sampler.integer(0, 1)
    part = sampler.integer(0, 1)
    canvases = [draw_scene(sampler, [name])[0] for name in names]
    question = f"what {('color', 'shape')[part]} is in the {_ORDER[which]} picture?"
    return chat(canvases, question, names[which][part], metric="exact_match", kind="named")


def _two_unlike(sampler: Sampler) -> list[tuple[str, str]]:
    """(colour, shape) of two shapes that share neither."""
    colors, shapes = sampler.some(_COLOR_NAMES, 2), sampler.some(SHAPES, 2)
    return list(zip(colors, shapes, strict=True))


def _same(sampler: Sampler) -> Built:
    """One shape a picture, alike or different in both colour and form."""
    alike = sampler.chance(0.5)
    asked = sampler.pick(("color", "shape"))
    first, second = _two_unlike(sampler)
    names = [first, first if alike else second]
    canvases = [draw_scene(sampler, [name])[0] for name in names]
    answer = "same" if alike else "different"
    question = f"same {asked} or different?"
    return chat(canvases, question, answer, metric="exact_match", kind="same")
