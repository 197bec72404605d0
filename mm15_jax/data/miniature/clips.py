"""Clips of moving shapes, with questions that no single frame answers.

Whatever the answer, a frame alone looks the same, also to one who knows when it is shown: a shape
that leaves the sheet comes in again on the other side, so that it may be anywhere at any time; what
is asked about and what answers are never seen together; something is seen for half of the time
however often it comes; and of two shapes that meet, either may have begun on either side.

Clips are real H.264 files of 16 to 32 frames. What happens is laid out in eight equal slots of
time, so that eight frames taken uniformly see each slot once.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from mm15_jax.data.miniature.dialogue import Built
from mm15_jax.data.miniature.drawing import Canvas
from mm15_jax.data.miniature.sampling import Layout, Sampler
from mm15_jax.data.miniature.words import COLORS, NUMBERS, SHAPES
from mm15_jax.inputs.example import Text, Video

SLOTS = 8
_SIDE = 48
_RATE = 8  # frames a second
_KINDS = tuple((color, shape) for color in COLORS for shape in SHAPES)
_VISIBLE = SLOTS // 2  # slots in which something is seen, whatever the number of appearances

# A shape in a frame: its name, the centre of it in pixels, and its side.
_Thing = tuple[tuple[str, str], float, float, int]
_Frame = Sequence[_Thing]


def direction(sampler: Sampler) -> Built:
    """Where a moving shape is going."""
    name = sampler.pick(_KINDS)

    def propose() -> Layout:
        # At most 5 pixels a slot: less than half of the shape.
        side, length = sampler.integer(12, 18), sampler.integer(24, 36)
        return side, length, sampler.integer(0, _SIDE - 1), sampler.integer(side, _SIDE - side)

    side, length, start, across = sampler.layout(propose)
    frames = _frame_count(sampler)
    sideways, back = sampler.chance(0.5), sampler.chance(0.5)
    sign = -1 if back else 1
    clip: list[_Frame] = []
    for i in range(frames):
        along = (start + sign * length * i / (frames - 1)) % _SIDE
        # Near an edge it is drawn twice, as much of each as is on the sheet.
        clip.append(
            [
                (name, *((x, across) if sideways else (across, x)), side)
                for x in (along - _SIDE, along, along + _SIDE)
                if -side < x < _SIDE + side
            ]
        )
    answer = (("right", "left") if sideways else ("below", "above"))[back]
    return _ask(sampler, clip, f"where is the {' '.join(name)} next?", answer, "direction")


def order(sampler: Sampler) -> Built:
    """Four shapes come one after the other: which follows one of them."""
    names = sampler.some(_KINDS, 4)

    def propose() -> Layout:
        side = sampler.integer(14, 20)
        low, high = side // 2 + 1, _SIDE - side // 2 - 1
        return side, *(sampler.integer(low, high) for _ in range(2 * len(names)))

    side, *places = sampler.layout(propose)
    each = SLOTS // len(names)
    shown = [slot // each for slot in _slots(_frame_count(sampler))]
    clip: list[_Frame] = [[(names[i], places[2 * i], places[2 * i + 1], side)] for i in shown]
    asked = sampler.integer(0, len(names) - 2)
    question = f"a {' '.join(names[asked])} comes, what comes next?"
    return _ask(sampler, clip, question, " ".join(names[asked + 1]), "order")


def count(sampler: Sampler) -> Built:
    """How many shapes come, one after the other, for half of the time in all."""
    name = sampler.pick(_KINDS)
    number = sampler.integer(2, _VISIBLE)

    def propose() -> Layout:
        side = sampler.integer(10, 16)
        low, high = side // 2 + 1, _SIDE - side // 2 - 1
        return side, *(sampler.integer(low, high) for _ in range(2 * _VISIBLE))

    side, *places = sampler.layout(propose)
    runs = _parts(sampler, _VISIBLE, number, 1)
    # Nothing is seen before, between and after; between, for one slot at least.
    inner = _parts(sampler, SLOTS - _VISIBLE + 2, number + 1, 1)
    pauses = [inner[0] - 1, *inner[1:-1], inner[-1] - 1]
    shown: list[int | None] = []
    for i, pause in enumerate(pauses):
        shown += [None] * pause
        if i < number:
            shown += [i] * runs[i]
    assert len(shown) == SLOTS, shown
    frames = _frame_count(sampler)
    clip: list[_Frame] = []
    for slot in _slots(frames):
        now = shown[slot]
        clip.append([] if now is None else [(name, places[2 * now], places[2 * now + 1], side)])
    question = f"how many {name[0]} {name[1]}s are there?"
    return _ask(sampler, clip, question, NUMBERS[number], "count")


def collide(sampler: Sampler) -> Built:
    """Whether a shape comes back from another that it meets, or passes it."""
    names = sampler.some(_KINDS, 2)

    def propose() -> Layout:
        side = sampler.integer(10, 14)
        low, high = side // 2 + 1, _SIDE - side // 2 - 1
        start, across = sampler.integer(low, low + 5), sampler.integer(low, high)
        return side, start, sampler.integer(high - 5, high), across

    side, start, end, across = sampler.layout(propose)
    frames = _frame_count(sampler)
    sideways, back = sampler.chance(0.5), sampler.chance(0.5)
    middle = (start + end) / 2
    clip: list[_Frame] = []
    for i in range(frames):
        share = i / (frames - 1)
        first, second = start + (end - start) * share, end + (start - end) * share
        if back and first > middle:  # the second half mirrored: each stays on its side
            first, second = second, first
        spots = [(x, across) if sideways else (across, x) for x in (first, second)]
        clip.append([(name, *spot, side) for name, spot in zip(names, spots, strict=True)])
    asked = sampler.pick(names)
    question = f"the {' '.join(asked)} comes backwards, yes or no?"
    return _ask(sampler, clip, question, "yes" if back else "no", "collide")


def _frame_count(sampler: Sampler) -> int:
    return SLOTS * sampler.integer(2, 4)


def _slots(frames: int) -> list[int]:
    """The slot of each frame."""
    return [i * SLOTS // frames for i in range(frames)]


def _parts(sampler: Sampler, total: int, parts: int, least: int) -> list[int]:
    """A whole number as a sum of so many, each at least `least`; all such sums equally often."""
    free = total - least * parts
    cuts = sorted(sampler.some(range(free + parts - 1), parts - 1))
    bounds = [-1, *cuts, free + parts - 1]
    return [bounds[i + 1] - bounds[i] - 1 + least for i in range(parts)]


def _ask(
    sampler: Sampler, frames: Sequence[_Frame], question: str, answer: str, kind: str
) -> Built:
    """Draws and encodes the frames, on one sheet of paper."""
    paper = Canvas(sampler, _SIDE, _SIDE)
    colors = {
        name: sampler.shade(name[0])
        for name in dict.fromkeys(thing[0] for frame in frames for thing in frame)
    }
    pictures = []
    for frame in frames:
        pixels = paper.pixels.copy()
        paper_pixels, paper.pixels = paper.pixels, pixels
        for name, x, y, side in frame:
            left, top = round(x - side / 2), round(y - side / 2)
            paper.shape(name[1], (left, top, left + side, top + side), colors[name])
        pictures.append(paper.pixels)
        paper.pixels = paper_pixels
    video = Video(_encoded(pictures), len(frames), len(frames) / _RATE, _SIDE, _SIDE, "user")
    segments = (video, Text(question, "user"), Text(answer, "assistant", loss=True))
    return segments, {"answer": answer, "metric": "exact_match", "kind": kind}


def _encoded(pictures: Sequence[np.ndarray]) -> bytes:
    """An MP4 of frames, uint8[48, 48, 3] each."""
    import av

    file = io.BytesIO()
    # One thread: the same bytes on every machine with the same release.
    options = {"preset": "ultrafast", "crf": "10", "g": str(_RATE), "threads": "1"}
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = _SIDE, _SIDE, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()
