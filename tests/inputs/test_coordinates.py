"""Boxes and points as text."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm15_jax.inputs.coordinates import format_box, format_point, parse_boxes, parse_points

# What the model reads and writes in figure 3 of the paper.
FIGURE_3 = (
    "Sure! The flour <112,26,316,239>, sugar <306,19,484,251>, eggs <312,239,392,312>"
    " <386,243,461,316>, butter <383,371,571,481>, and baking soda <457,155,567,308> are the"
    " ingredients you would need for a cake."
)
FIGURE_3_QUESTION = (
    "What can I make with these ingredients <111,24,315,229> <308,235,460,314> <383,372,571,485>?"
)


def test_boxes_of_figure_3_are_found_and_written_back():
    boxes = parse_boxes(FIGURE_3, width=1333, height=750)
    assert len(boxes) == 6
    written = [format_box(box, width=1333, height=750) for box in boxes]
    assert written[0] == "<112,26,316,239>"
    assert written[-1] == "<457,155,567,308>"
    assert all(text in FIGURE_3 for text in written)
    assert len(parse_boxes(FIGURE_3_QUESTION, width=640, height=480)) == 3


def test_point_of_figure_3_is_no_box():
    text = "Should I add this stuff <101,306> to my cake too? Yes, the cherries <54,211,165,388>."
    assert parse_points(text, width=1000, height=1000) == [(101.5, 306.5)]
    assert parse_boxes(text, width=1000, height=1000) == [(54.5, 211.5, 165.5, 388.5)]


def test_a_box_in_pixels_by_hand():
    # 64 * 1000 / 640 = 100; 36 * 1000 / 480 = 75; 200 -> 312.5; 110 -> 229.17
    assert format_box((64, 36, 200, 110), width=640, height=480) == "<100,75,312,229>"
    assert format_point((320, 479.9), width=640, height=480) == "<500,999>"


def test_the_inverse_is_the_centre_of_the_bin():
    assert parse_boxes("<0,0,999,500>", width=2000, height=100) == [(1.0, 0.05, 1999.0, 50.05)]


def test_coordinates_outside_go_to_the_edge():
    assert format_box((-5, -0.1, 640, 9999), width=640, height=480) == "<0,0,999,999>"


@pytest.mark.parametrize(
    "text",
    [
        "", "<1,2,3>", "<1,2,3,4", "1,2,3,4", "<1,2,3,4,5>", "<1000,2,3,4>", "<-1,2,3,4>",
        "<1.5,2,3,4>", "<a,b,c,d>", "<1,,3,4>", "< >", "<n>", "<1 2 3 4>", "<١,٢,٣,٤>",
    ],
)  # fmt: skip
def test_malformed_boxes_are_passed_over(text):
    assert parse_boxes(text, width=100, height=100) == []
    assert parse_points(text, width=100, height=100) == []


def test_spaces_are_tolerated():
    assert len(parse_boxes("< 1, 2 ,3,  4 > and <5,6,7,8>", width=100, height=100)) == 2
    assert len(parse_points("< 1 , 2 >", width=100, height=100)) == 1


def test_a_malformed_box_does_not_hide_the_next():
    assert parse_boxes("<1,2,<3,4,5,6>", width=1000, height=1000) == [(3.5, 4.5, 5.5, 6.5)]


_SIZES = st.integers(1, 10_000)


@given(_SIZES, _SIZES, st.data())
def test_round_trip_stays_within_one_bin(width, height, data):
    xs = st.floats(0, width, exclude_max=True)
    ys = st.floats(0, height, exclude_max=True)
    box = (data.draw(xs), data.draw(ys), data.draw(xs), data.draw(ys))
    (back,) = parse_boxes(format_box(box, width=width, height=height), width=width, height=height)
    for value, returned, size in zip(box, back, (width, height) * 2, strict=True):
        assert abs(value - returned) <= size / 2000 * (1 + 1e-9)


@given(_SIZES, _SIZES, st.integers(0, 10_000))
def test_bins_are_exact(width, height, x):
    point = format_point((x, 0), width=width, height=height)
    assert point == f"<{min(math.floor(Fraction(x * 1000, width)), 999)},0>"


@given(st.lists(st.integers(0, 999), min_size=4, max_size=4), _SIZES, _SIZES)
def test_text_to_pixels_to_text_is_the_identity(numbers, width, height):
    text = "<{},{},{},{}>".format(*numbers)
    (box,) = parse_boxes(text, width=width, height=height)
    assert format_box(box, width=width, height=height) == text


def test_numpy_numbers_are_numbers():
    box = np.array([64, 36, 200, 110], np.int64)
    assert format_box(box, width=np.int32(640), height=np.float32(480)) == "<100,75,312,229>"


@pytest.mark.parametrize(
    ("box", "width", "message"),
    [
        ((1, 2, 3), 10, "four numbers"),
        ((1, 2, 3, math.nan), 10, "nan"),
        ((1, 2, math.inf, 4), 10, "inf"),
        (("1", 2, 3, 4), 10, "finite number"),
        ((1, 2, 3, 4), 0, "positive"),
    ],
)
def test_wrong_boxes_are_named(box, width, message):
    with pytest.raises(ValueError, match=message):
        format_box(box, width=width, height=10)


@pytest.mark.parametrize("parse", [parse_boxes, parse_points])
@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, 0)])
def test_parsing_rejects_an_empty_picture(parse, width, height):
    with pytest.raises(ValueError, match="positive"):
        parse("", width=width, height=height)
