import numpy as np
import pytest
from PIL import Image, ImageColor

from mm15_jax.infer.draw import draw_boxes


def test_the_original_is_untouched_and_small_pictures_grow_by_a_whole_factor():
    picture = Image.new("RGB", (48, 40), "white")
    drawn = draw_boxes(picture, [(5, 5, 20, 20)])
    assert picture.getextrema() == ((255, 255),) * 3
    assert drawn.size == (48 * 8, 40 * 8) and drawn.mode == "RGB"


@pytest.mark.parametrize("background", ["white", "black", "#D55E00"])
def test_an_outline_stands_out_on_any_background(background):
    pixels = np.asarray(
        draw_boxes(Image.new("RGB", (400, 400), background), [(100, 100, 300, 300)])
    )
    across = pixels[200, 80:120].astype(int).sum(axis=-1)
    assert across.max() - across.min() > 400  # light and dark rims side by side
    colour = np.array(ImageColor.getrgb("#D55E00"))
    assert (pixels[200, 96:108] == colour).all(axis=-1).sum() >= 2
    assert (pixels[200, 200] == np.array(ImageColor.getrgb(background))).all()


def test_lines_stand_where_the_box_is():
    drawn = np.asarray(draw_boxes(np.zeros((400, 400, 3), np.uint8), [(100, 50, 300, 250)]))
    rows, columns = np.nonzero(drawn.any(axis=-1))
    assert abs(rows.min() - 50) <= 4 and abs(rows.max() - 250) <= 4
    assert abs(columns.min() - 100) <= 4 and abs(columns.max() - 300) <= 4


def test_boxes_outside_and_turned_round_are_drawn_inside():
    black = Image.new("RGB", (400, 400))
    boxes = [(380, 350, -90, 9000), (0, 0, 0, 0)]
    turned = np.asarray(draw_boxes(black, boxes))
    rows, columns = np.nonzero(turned[20:].any(axis=-1))
    assert abs(rows.min() + 20 - 350) <= 4 and rows.max() + 20 == 399
    assert columns.min() == 0 and abs(columns.max() - 380) <= 4
    assert turned[:4, :4].any() and not turned[10:340].any()
    named = np.asarray(draw_boxes(black, boxes, ["turned", "at the edge"]))
    for place in (slice(0, 40), slice(310, 400)):
        assert (named[place] != turned[place]).any(axis=-1).sum() > 300


def test_labels_and_points_are_visible():
    plain = np.asarray(draw_boxes(Image.new("RGB", (400, 400)), [(100, 100, 300, 300)]))
    named = np.asarray(
        draw_boxes(Image.new("RGB", (400, 400)), [(100, 100, 300, 300)], ["red cat"])
    )
    assert (plain != named).any(axis=-1).sum() > 300
    pointed = np.asarray(draw_boxes(Image.new("RGB", (400, 400)), [], points=[(200, 200)]))
    assert pointed[180:220, 180:220].any() and not pointed[:150].any()


def test_numbers_of_labels_and_colours_must_match():
    picture = Image.new("RGB", (64, 64))
    with pytest.raises(ValueError, match="2 labels for 1 boxes"):
        draw_boxes(picture, [(0, 0, 9, 9)], ["a", "b"])
    with pytest.raises(ValueError, match="0 colours for 1"):
        draw_boxes(picture, [(0, 0, 9, 9)], colours=[])


def test_labels_of_boxes_that_agree_stand_apart():
    black = Image.new("RGB", (400, 400))
    box = (100, 100, 300, 300)
    both = np.asarray(
        draw_boxes(black, [box, box], ["truth", "answer"], colours=["#E69F00", "#0072B2"])
    )
    alone = np.asarray(draw_boxes(black, [box], ["truth"], colours=["#E69F00"]))
    colour = np.array(ImageColor.getrgb("#E69F00"))
    tag = (slice(60, 96), slice(90, 180))  # above the box
    assert (alone[tag] == colour).all(axis=-1).sum() > 150
    assert (alone[tag] == colour).all(axis=-1).sum() == (both[tag] == colour).all(axis=-1).sum()
