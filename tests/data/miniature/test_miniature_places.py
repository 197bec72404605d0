"""Coordinates of the miniature: few enough to be a token each."""

import pytest

from mm15_jax.data.miniature.places import COORDINATE_SYMBOLS, STEP, box_text, point_text
from mm15_jax.inputs.coordinates import parse_boxes
from mm15_jax.inputs.tokenizer import load_tokenizer


def test_a_box_is_five_tokens_and_a_point_three():
    tokenizer = load_tokenizer("nano")
    assert len(tokenizer.encode(box_text((3, 7, 40, 47), width=48, height=48))) == 5
    assert len(tokenizer.encode(point_text((3, 7), width=48, height=48))) == 3


@pytest.mark.parametrize("box", [(0, 0, 48, 48), (11, 5, 30, 29), (47, 47, 48, 48)])
def test_a_coordinate_is_off_by_half_a_step_at_most_but_at_the_edge(box):
    ((*found,),) = parse_boxes(box_text(box, width=48, height=48), width=48, height=48)
    for written, true in zip(found, box, strict=True):
        assert abs(written - min(true, 48 - 48 * STEP / 1000)) <= 48 * (STEP / 2 + 1) / 1000


def test_all_coordinates_are_pieces():
    assert len(COORDINATE_SYMBOLS) == 100
    assert box_text((0, 0, 48, 48), width=48, height=48) == "<0,0,980,980>"
