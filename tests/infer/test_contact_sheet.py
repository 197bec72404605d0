"""A clip's frames on one sheet."""

import numpy as np
import pytest

from mm15_jax.data.miniature import SETS
from mm15_jax.infer.contact_sheet import contact_sheet
from mm15_jax.inputs.video import video_of_file
from tests.clips import clip


def test_frames_stand_in_the_order_of_time():
    shown = SETS["mini_video_direction"].example("test", 0).segments[0]
    sheet = np.asarray(contact_sheet(shown, 8))
    # Two frames of 96 pixels in each of four rows, or the other way round.
    assert min(sheet.shape[:2]) > 2 * 96
    assert contact_sheet(shown, 1).size < contact_sheet(shown, 2).size


@pytest.mark.parametrize("frames", [1, 3, 5, 24])
def test_a_sheet_has_room_for_all_and_no_empty_row(frames):
    sheet = contact_sheet(video_of_file(clip(24)), frames)
    empty = (np.asarray(sheet) == 255).all(axis=(1, 2))
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, empty.astype(int), 0])))[::2]
    assert runs.max() < 40  # rows of white: only gaps and margins


def test_large_frames_are_made_smaller():
    sheet = contact_sheet(video_of_file(clip(6, size=(320, 240))), 1, side=64)
    assert max(sheet.size) < 100
