"""The clips of the miniature: the answer is what is seen, and no frame alone tells it."""

import collections
import functools
import itertools

import numpy as np
import pytest

from mm15_jax.data.miniature import SETS
from mm15_jax.data.miniature.clips import SLOTS
from mm15_jax.data.miniature.words import COLORS
from mm15_jax.inputs.example import Text
from mm15_jax.inputs.video import load_frames, plan_frames, video_of_file

KINDS = ("direction", "order", "count", "collide")


@functools.cache
def examples(kind, split="test", count=60):
    return list(SETS[f"mini_video_{kind}"].examples(split, range(count)))


def frames(example, wanted=SLOTS):
    """float[wanted, 48, 48, 3]: the frames that training takes."""
    segment = example.segments[0]
    tiles = load_frames(segment, plan_frames(segment, wanted=wanted, resolution=48))
    return np.concatenate(tiles).astype(float)


def question(example):
    return next(s.text for s in example.segments if isinstance(s, Text))


def ink(frame):
    """Where a frame is coloured: paper is light in all channels."""
    return frame.min(axis=-1) < 170


def middle(mask):
    """(x, y) of a mask's middle."""
    rows, columns = np.nonzero(mask)
    return columns.mean(), rows.mean()


def of_color(frame, color):
    """Where a frame has a colour rather than another one."""
    distances = [np.abs(frame - np.array(rgb)).sum(axis=-1) for rgb in COLORS.values()]
    return ink(frame) & (np.argmin(distances, axis=0) == list(COLORS).index(color))


@pytest.mark.parametrize("kind", KINDS)
def test_clips_are_files_that_are_what_their_records_say(kind):
    for split in ("train", "validation"):
        for example in examples(kind, split, 12):
            segment = example.segments[0]
            read = video_of_file(segment.data)
            assert (read.frames, read.seconds) == (segment.frames, pytest.approx(segment.seconds))
            assert (read.height, read.width) == (segment.height, segment.width) == (48, 48)
            assert segment.frames in (16, 24, 32)
            assert example.metadata["kind"] == kind


def test_a_shape_goes_where_the_answer_says():
    for example in examples("direction"):
        seen = [ink(frame) for frame in frames(example)]
        answer = example.metadata["answer"]
        axis, sign = {"right": (1, 1), "left": (1, -1), "below": (0, 1), "above": (0, -1)}[answer]
        # The shift by which a frame is most like the one before, over the edges of the sheet.
        for before, after in itertools.pairwise(seen):
            overlap = {d: (np.roll(before, d, axis) & after).sum() for d in range(-6, 7)}
            assert sign * max(overlap, key=overlap.get) > 0, example.key


def test_the_answer_follows_what_is_asked_about():
    for example in examples("order"):
        asked, answer = question(example).split(" ")[1], example.metadata["answer"].split(" ")[0]
        colors = [
            max(COLORS, key=lambda color, frame=frame: of_color(frame, color).sum())
            for frame in frames(example)[::2]
        ]
        if len(set(colors)) == 4:
            assert colors.index(answer) == colors.index(asked) + 1, example.key


def test_as_many_come_as_the_answer_says_and_for_half_of_the_time():
    numbers = {"two": 2, "three": 3, "four": 4}
    for example in examples("count"):
        seen = [ink(frame).any() for frame in frames(example)]
        assert sum(seen) == SLOTS // 2
        comes = sum(now and not before for before, now in zip([False, *seen], seen, strict=False))
        assert comes == numbers[example.metadata["answer"]], example.key


def test_a_shape_comes_back_or_passes():
    checked = 0
    for example in examples("collide"):
        first, *_, last = frames(example)
        color = question(example).split(" ")[1]
        begins, ends = of_color(first, color), of_color(last, color)
        if ink(first).sum() > 1.5 * begins.sum():  # two of one colour cannot be told apart here
            moved = np.abs(np.subtract(middle(begins), middle(ends))).max()
            assert (moved < 8) == (example.metadata["answer"] == "yes"), example.key
            checked += 1
    assert checked > 30


def test_one_frame_does_not_tell_where_a_shape_goes():
    """Whether it stands left or right (high or low) in a frame says nothing about the answer."""
    tables = [collections.Counter() for _ in range(SLOTS)]
    for example in examples("direction", "train", 200):
        answer = example.metadata["answer"]
        for table, frame in zip(tables, frames(example), strict=True):
            x, y = middle(ink(frame))
            along = x if answer in ("left", "right") else y
            table[along > 23.5, answer in ("right", "below")] += 1
    for table in tables:
        assert 80 <= table[True, True] + table[False, False] <= 120, table


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_balanced(kind):
    answers = collections.Counter(e.metadata["answer"] for e in examples(kind))
    most = {"direction": 24, "order": 9, "count": 30, "collide": 40}[kind]
    assert max(answers.values()) <= most, answers
