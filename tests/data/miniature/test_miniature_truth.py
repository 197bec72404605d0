"""The answers, checked against pixels that are found without asking the generator."""

import re

import cv2
import numpy as np
import pytest

from mm15_jax.config import SplittingConfig, load, mixture
from mm15_jax.data.miniature import SETS
from mm15_jax.data.miniature.ocr import longest_word
from mm15_jax.data.miniature.reading import draw_page
from mm15_jax.data.miniature.sampling import Sampler
from mm15_jax.data.miniature.words import COLORS
from mm15_jax.evaluation.box_metrics import iou
from mm15_jax.inputs.coordinates import parse_boxes
from mm15_jax.inputs.example import Image, Text
from mm15_jax.inputs.image_splitting import plan_tiling
from mm15_jax.inputs.tiles import decode_image

SPLITS = ("train", "validation", "test")


def pictures(example):
    return [decode_image(s.data) for s in example.segments if isinstance(s, Image)]


def question(example):
    return next(s.text for s in example.segments if isinstance(s, Text) and s.role == "user")


def foreground(picture):
    """Pixels far from the sheet's colour; sheets are shaded by 20 at most."""
    sheet = np.median(picture.reshape(-1, 3), axis=0)
    return np.abs(picture - sheet).max(axis=2) > 70


def components(picture):
    """(mask of each connected component of more than four pixels), corners included."""
    count, labels = cv2.connectedComponents(foreground(picture).astype(np.uint8), connectivity=8)
    masks = [labels == k for k in range(1, count)]
    return [mask for mask in masks if mask.sum() > 4]


def color_of(picture, mask):
    mean = np.median(picture[mask], axis=0)
    return min(COLORS, key=lambda name: np.abs(mean - COLORS[name]).sum())


def box_of(mask):
    ys, xs = np.nonzero(mask)
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def examples(name, count=80):
    for split in SPLITS:
        yield from SETS[name].examples(split, range(count))


def test_grounding_boxes_are_tight_and_the_colour_is_inside():
    for example in examples("mini_grounding"):
        (picture,) = pictures(example)
        truth = example.metadata["box"]
        asked = next(color for color in COLORS if color in question(example))
        found = [box_of(mask) for mask in components(picture) if color_of(picture, mask) == asked]
        assert any(np.abs(np.array(box) - truth).max() <= 1 for box in found), (found, truth)
        height, width = example.metadata["size"]
        assert picture.shape[:2] == (height, width)
        (answer,) = parse_boxes(example.metadata["answer"], width=width, height=height)
        # Written to the nearest 20 of 1000, read as the middle of a bin.
        assert np.abs(np.array(answer) - truth).max() <= 0.021 * max(height, width)
        assert iou(answer, truth) > 0.8
        assert min(truth[2] - truth[0], truth[3] - truth[1]) * 4 >= max(height, width)


def test_counts_are_the_connected_components():
    seen = set()
    for example in examples("mini_scene_qa", 200):
        if example.metadata["kind"] == "count":
            count = len(components(pictures(example)[0]))
            assert str(count) == example.metadata["answer"]
            seen.add(count)
    assert seen == {1, 2, 3, 4}


def test_colour_of_a_lone_shape():
    checked = 0
    for example in examples("mini_scene_qa", 200):
        (picture,) = pictures(example)
        masks = components(picture)
        if example.metadata["kind"] == "color" and len(masks) == 1:
            assert color_of(picture, masks[0]) == example.metadata["answer"]
            checked += 1
    assert checked > 20


def test_yes_and_no_are_balanced_and_true_of_the_colours():
    answers = []
    for example in examples("mini_scene_qa", 250):
        if example.metadata["kind"] == "exists":
            (picture,) = pictures(example)
            present = {color_of(picture, mask) for mask in components(picture)}
            asked = next(color for color in COLORS if color in question(example))
            answers.append(example.metadata["answer"])
            assert answers[-1] == "no" or asked in present
    assert 0.35 < answers.count("yes") / len(answers) < 0.65


def test_more_shapes_are_where_more_components_are():
    for example in examples("mini_compare"):
        first, second = pictures(example)
        kind, answer = example.metadata["kind"], example.metadata["answer"]
        if kind == "more":
            counts = len(components(first)), len(components(second))
            assert answer == ("first" if counts[0] > counts[1] else "second")
            assert counts[0] != counts[1]
        elif kind == "named" and "color" in question(example):
            named = first if "first" in question(example) else second
            assert answer == color_of(named, components(named)[0])
        elif kind == "contains":
            asked = next(color for color in COLORS if color in question(example))
            colors = [color_of(p, components(p)[0]) for p in (first, second)]
            assert answer == ("first", "second")[colors.index(asked)]


def bar_heights(picture):
    """Height in pixels of each bar by colour; bars are broad, print and axes are not."""
    distance = np.stack(
        [np.abs(picture.astype(int) - COLORS[name]).max(axis=2) for name in COLORS], axis=-1
    )
    heights = {}
    for k, name in enumerate(COLORS):
        mask = ((distance[..., k] <= 20) & (distance.argmin(-1) == k)).astype(np.uint8)
        kernel = np.ones((1, 6), np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, kernel)[:-6]
        rows = np.flatnonzero(mask.any(axis=1))
        if name != "black" and len(rows) >= 1:
            heights[name] = len(rows)
    return heights


def test_charts_answer_what_their_bars_show():
    checked = 0
    for example in examples("mini_chart_qa", 150):
        heights = bar_heights(pictures(example)[0])
        kind, answer = example.metadata["kind"], example.metadata["answer"]
        if kind == "highest" and answer != "black" and answer in heights:
            assert heights[answer] == max(heights.values())
            checked += 1
        elif kind == "axis value":
            assert int(answer) % 10 == 0
        elif kind == "printed value":
            assert int(answer) % 5 == 0
    assert checked > 30


def test_sums_are_right():
    rng_free = re.compile(r"what is (\d)([+-])(\d)\?")
    checked = 0
    for example in examples("mini_instructions", 300):
        match = rng_free.search(question(example))
        if match:
            a, sign, b = match.groups()
            result = int(a) + int(b) if sign == "+" else int(a) - int(b)
            assert example.metadata["answer"] == str(result) and result >= 0
            checked += 1
    assert checked > 10
    assert {e.metadata["kind"] for e in examples("mini_arithmetic_qa")} == {"plus", "minus"}


def test_labelled_patches_have_ink_and_background_patches_little():
    labelled, background = [], []
    for example in examples("mini_glyphs", 150):
        (picture,) = pictures(example)
        assert picture.shape == (48, 48, 3)
        names = re.findall(r"\[(.+?)\]", example.metadata["answer"])
        ink = foreground(picture).reshape(6, 8, 6, 8).mean(axis=(1, 3)).ravel()
        for name, share in zip(names, ink, strict=True):
            (background if name == "." else labelled).append(share)
        if example.metadata["kind"] != "shapes":
            assert all(len(name) == 1 for name in names)
    assert np.mean(np.array(labelled) == 0) < 0.01  # the empty corner of a slanted glyph's box
    assert np.quantile(background, 0.95) < 0.3


def test_multiple_choice_puts_the_truth_everywhere():
    answers = [e.metadata["answer"] for e in examples("mini_diagram_qa", 150)]
    assert all(answers.count(letter) > len(answers) / 5 for letter in "ABC")
    for example in examples("mini_diagram_qa"):
        assert len(set(example.metadata["choices"])) == 3


@pytest.mark.parametrize("name", ["mini_document_qa", "mini_table_qa"])
def test_pages_are_split_into_sub_images(name):
    splitting = SplittingConfig(n_min=1, n_max=4)
    grids = set()
    for example in examples(name):
        (image,) = [s for s in example.segments if isinstance(s, Image)]
        tiling = plan_tiling(
            image.height, image.width, resolution=48, splitting=splitting, images_in_example=1
        )
        grids.add(tiling.grid)
    assert grids == ({(2, 2)} if name == "mini_table_qa" else {(2, 2), (1, 2), (2, 1)})


@pytest.mark.parametrize("name", ["mini_word_qa", "mini_scene_qa", "mini_chart_qa", "mini_compare"])
def test_small_pictures_are_one_tile(name):
    splitting = SplittingConfig(n_min=1, n_max=4)
    for example in examples(name, 150):
        for image in (s for s in example.segments if isinstance(s, Image)):
            tiling = plan_tiling(
                image.height, image.width, resolution=48, splitting=splitting, images_in_example=1
            )
            assert tiling.num_tiles == 1


def test_print_of_a_page_is_too_small_in_the_overview():
    for split in SPLITS:
        for index in range(50):
            page = draw_page(Sampler("mini_ocr", split, index, 100))
            scale = 48 / max(page.canvas.height, page.canvas.width)
            small, tall = (page.font.ink(c).height * scale for c in "xl")
            assert small <= 4 and tall <= 6


def test_lines_of_a_page_stand_one_below_the_other():
    for index in range(60):
        page = draw_page(Sampler("mini_ocr", "train", index, 100))
        assert 2 <= len(page.lines) == len(set(page.lines)) <= 5
        rows = np.abs(page.canvas.pixels.astype(int) - page.canvas.paper).max(axis=2)[:, 3:] > 110
        bands = np.diff(np.concatenate([[0], rows.any(axis=1).astype(int), [0]]))
        assert (bands == 1).sum() >= len(page.lines)  # dots of i and j may make bands of their own


def test_longest_word_of_the_curriculum():
    assert [longest_word(p) for p in (0, 0.079, 0.08, 0.54, 0.999)] == [1, 1, 2, 4, 5]


def test_the_curriculum_is_read_once():
    """Read on, it begins again with single letters, and longer words are forgotten."""
    config = load("mm15_nano_words")
    pictures = config.train.steps * config.train.batch_rows * config.inputs.tiles_per_row
    weights = {group.category: group.weight for group in mixture(config)}
    words = weights["words"] / (weights["words"] + weights["captions"])  # of pictures
    assert words * pictures <= SETS["mini_words"].train_count
