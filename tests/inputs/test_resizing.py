"""Resizing held against Pillow's antialiased bicubic, by content and by scale."""

import functools

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from mm15_jax.inputs.resizing import power_of_two, resize_into
from tests.inputs.test_tiles import photo, psnr

FONT = font_manager.findfont("DejaVu Sans")


def page(height, width):
    """Print of 14 and 24 pixels, black on white."""
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    letters = np.random.default_rng(0).choice(list("abcdefghijklmno rstuv"), 4 * width).tolist()
    for line, top in enumerate(range(8, height - 24, 34)):
        font = ImageFont.truetype(FONT, 14 if line % 2 else 24)
        draw.text((8, top), "".join(letters[line * 7 :][: width // 8]), font=font, fill="black")
    return np.array(picture)


def line_art(height, width):
    """Lines without antialiasing, one to three pixels wide, and a grid of single pixels."""
    image = np.full((height, width, 3), 255, np.uint8)
    rng = np.random.default_rng(1)
    for i in range(60):
        x1, y1, x2, y2 = (int(v) for v in rng.integers(0, min(height, width), 4))
        colour = tuple(int(c) for c in rng.integers(0, 255, 3))
        cv2.line(image, (x1, y1), (x2, y2), colour, 1 + i % 3, cv2.LINE_8)
    image[::23] = image[:, ::37] = 0
    return image


@functools.cache
def content(name, height, width):
    return {"photo": photo, "page": page, "line art": line_art}[name](height, width)


def agreement(image, height, width):
    """Decibels between our resizing and Pillow's."""
    out = np.zeros((height, width, 3), np.uint8)
    resize_into(image, out)
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return psnr(out, np.asarray(picture))


SCALES = [0.25, 0.6, 0.97, 1.03, 1.1, 1.25, 1.5, 1.8, 2, 2.5, 3, 3.9, 4.6, 5.9, 6.1, 9, 13, 20]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("name", "least"), [("photo", 45), ("page", 36), ("line art", 36)])
def test_it_is_pillows_antialiased_bicubic(name, least, scale):
    side = (330, 240) if scale < 1 else (1100, 800) if scale < 6 else (1901, 1407)
    image = content(name, *side)
    assert agreement(image, round(side[0] / scale), round(side[1] / scale)) > least


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["photo", "page", "line art"]), st.integers(16, 1200), st.floats(0.97, 1.03))
@example("page", 992, 1.0)
@example("line art", 1000, 1.0)
def test_any_size_agrees_to_35_decibels(name, height, stretch):
    """Also where rounding makes the two sides' scales differ a little."""
    assert agreement(content(name, 1001, 747), height, round(height * 0.75 * stretch)) > 35


def test_the_same_size_is_a_copy():
    image = photo(40, 30)
    out = np.zeros_like(image)
    resize_into(image, out)
    np.testing.assert_array_equal(out, image)


def test_it_writes_into_a_part_of_a_larger_array_and_nowhere_else():
    canvas = np.full((50, 60, 3), 9, np.uint8)
    resize_into(np.full((80, 70, 3), 200, np.uint8), canvas[:40, :35])
    assert (canvas[:40, :35] == 200).all()
    assert (canvas[40:] == 9).all() and (canvas[:, 35:] == 9).all()


@pytest.mark.parametrize(("ratio", "power"), [(0.2, 1), (1, 1), (1.99, 1), (2, 2), (7.9, 4)])
def test_powers_of_two_do_not_exceed_the_ratio(ratio, power):
    assert power_of_two(ratio) == power


@pytest.mark.parametrize("scale", [1.01, 1.37, 2.6, 8])
@pytest.mark.parametrize("grey", [0, 123, 255])
def test_a_flat_picture_stays_flat(grey, scale):
    side = round(200 * scale)
    out = np.zeros((200, 200, 3), np.uint8)
    resize_into(np.full((side, side, 3), grey, np.uint8), out)
    assert (out == grey).all()
