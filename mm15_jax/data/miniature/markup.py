"""Pictures written as code, as WebSight and DaTikZ write pages and figures."""

from __future__ import annotations

import itertools

from mm15_jax.data.miniature.dialogue import Built, chat
from mm15_jax.data.miniature.sampling import Sampler
from mm15_jax.data.miniature.scenes import draw_scene
from mm15_jax.data.miniature.words import COLORS, SHAPES

_KINDS = tuple((color, shape) for color in COLORS for shape in SHAPES)
_APART = 4  # pixels between two centres: from left to right must be beyond doubt


def code_question(sampler: Sampler) -> Built:
    """A scene as code: a call for each shape, from left to right."""
    while True:
        names = sampler.some(_KINDS, sampler.integer(1, 3))
        canvas, things = draw_scene(sampler, names)
        things.sort(key=lambda thing: thing.center[0])
        pairs = itertools.pairwise(things)
        if all(b.center[0] - a.center[0] >= _APART for a, b in pairs):
            break
    answer = " ".join(f"{thing.shape}({thing.color})" for thing in things)
    kind = f"{len(things)} shapes"
    return chat([canvas], "write the picture as code.", answer, metric="exact_match", kind=kind)
