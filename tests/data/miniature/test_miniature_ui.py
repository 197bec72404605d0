"""The miniature's screens: boxes are exact, answers are true, held-out screens are new."""

import functools
import io
import itertools

import numpy as np
import pytest
from PIL import Image as PillowImage

from mm15_jax import config
from mm15_jax.data.miniature import SETS, trivial_baseline
from mm15_jax.data.miniature.sampling import Sampler
from mm15_jax.data.miniature.ui import icons, screens
from mm15_jax.data.miniature.ui.themes import HELD_OUT_THEMES, TRAIN_THEMES
from mm15_jax.data.miniature.ui.widgets import rounded
from mm15_jax.inputs.coordinates import parse_boxes, parse_points
from mm15_jax.inputs.example import Text
from mm15_jax.inputs.formatting import measure
from mm15_jax.inputs.tokenizer import load_tokenizer

UI = sorted(name for name, generated in SETS.items() if generated.category == "ui")


@functools.cache
def drawn(split="train", count=160):
    """Screens of both platforms."""
    samplers = (Sampler("screens", split, i, count) for i in range(count))
    return [screens.draw(s, screens.PLATFORMS[s.index % 2]) for s in samplers]


def pixels(screen):
    return np.asarray(PillowImage.open(io.BytesIO(screen.image("user").data)))


def texts(example):
    return [segment for segment in example.segments if isinstance(segment, Text)]


def test_elements_keep_apart():
    for found in drawn():
        for a, b in itertools.combinations(found.elements, 2):
            apart = (
                a.box[2] <= b.box[0]
                or b.box[2] <= a.box[0]
                or a.box[3] <= b.box[1]
                or b.box[3] <= a.box[1]
            )
            assert apart, (found.summary, a, b)


def test_words_and_icons_come_once_on_a_screen():
    for found in drawn():
        says = [(e.widget == "icon", e.says) for e in found.elements if e.says]
        assert len(says) == len(set(says))


@pytest.mark.parametrize("widget", ["text", "icon", "switch", "checkbox", "slider"])
def test_a_box_holds_its_element_and_nothing_of_it_is_outside(widget):
    checked = 0
    for found in drawn():
        image = pixels(found.screen).astype(int)
        for element in found.elements:
            if element.widget != widget:
                continue
            x1, y1, x2, y2 = element.box
            ring = np.zeros(image.shape[:2], bool)
            ring[y1 + 1 : y2 - 1, max(x1 - 1, 0) : x2 + 1] = True  # lines part rows above and below
            ring[y1:y2, x1:x2] = False
            # What is beside it is plain, and inside something is not.
            background = np.median(image[ring], axis=0)
            assert np.abs(image[ring] - background).max() < 26, (found.summary, element)
            inside = np.abs(image[y1:y2, x1:x2] - background).sum(axis=-1) > 60
            assert inside.sum() > 12, (found.summary, element)
            if widget in ("switch", "slider"):  # tight
                _, columns = np.nonzero(inside)
                assert columns.min() <= 2 and columns.max() >= x2 - x1 - 3, element
            checked += 1
    assert checked >= 5


def test_training_and_held_out_share_no_theme_and_no_icon():
    train, test = drawn(), drawn("test")
    assert {f.screen.theme.name for f in train} <= {theme.name for theme in TRAIN_THEMES}
    assert {f.screen.theme.name for f in test} <= {theme.name for theme in HELD_OUT_THEMES}
    colours = [{(t.page, t.accent) for t in themes} for themes in (TRAIN_THEMES, HELD_OUT_THEMES)]
    assert not colours[0] & colours[1]
    assert not {f.screen.style for f in train} & {f.screen.style for f in test}
    assert not set(icons.styles(held_out=True)) & set(icons.styles(held_out=False))
    for name in icons.NAMES:
        sheets = [
            np.array([icons.mask(name, style, icons.SIDE) for style in icons.styles(held_out=h)])
            for h in (False, True)
        ]
        for held_out in sheets[1].astype(float):
            common = np.minimum(sheets[0], held_out).sum(axis=(1, 2))
            either = np.maximum(sheets[0], held_out).sum(axis=(1, 2))
            assert (common / either).max() < 0.97, name


def test_screens_have_many_themes_sizes_and_densities():
    found = drawn()
    assert len({f.screen.theme.name for f in found}) > 8
    assert {f.screen.width for f in found} == set(screens.WIDTHS)
    assert len({f.summary.split(" ")[0] for f in found}) == 6


@pytest.mark.parametrize("platform", screens.PLATFORMS)
def test_what_is_found_is_at_the_box_of_the_answer(platform):
    for example in SETS[f"mini_ui_grd_{platform}"].examples("test", range(60)):
        height, width = example.metadata["size"]
        (box,) = parse_boxes(example.metadata["answer"], width=width, height=height)
        assert np.abs(np.subtract(box, example.metadata["box"])).max() < 4
        assert example.metadata["subset"] in ("text", "icon", "widget")


def test_questions_name_places_by_boxes_and_by_points():
    examples = list(SETS["mini_ui_ref_ios"].examples("test", range(60)))
    asked = [texts(e)[0].text for e in examples]
    size = {"width": 72, "height": 96}
    boxes = [bool(parse_boxes(text, **size)) for text in asked]
    points = [bool(parse_points(text, **size)) for text in asked]
    assert all(a != b for a, b in zip(boxes, points, strict=True))
    assert 10 < sum(points) < 30
    assert {e.metadata["subset"] for e in examples} == {"widget", "icon", "ocr"}


@pytest.mark.parametrize("name", UI)
def test_training_asks_several_times_and_evaluation_once(name):
    for example in SETS[name].examples("train", range(10)):
        assert all(text.loss == (text.role == "assistant") for text in texts(example))
    for example in SETS[name].examples("test", range(10)):
        assert [text.loss for text in texts(example)][-1]
        assert sum(text.loss for text in texts(example)) == 1
    turns = [len(texts(e)) for e in SETS["mini_ui_talk"].examples("test", range(10))]
    assert turns == [6] * 10


def test_two_screens_with_their_dialogues_fit_a_row():
    experiment = config.load("mm15_nano_ui")
    inputs, tokenizer = experiment.inputs, load_tokenizer(experiment.inputs.tokenizer)
    longest = most = 0
    for name in UI:
        for example in SETS[name].examples("train", range(60)):
            tokens, tiles = measure(example, tokenizer, inputs, tokens_per_tile=16, resolution=48)
            longest, most = max(longest, tokens), max(most, tiles)
    assert 2 * longest <= inputs.sequence_length and 3 * most <= inputs.tiles_per_row


def test_parts_of_screens_keep_their_boxes():
    alone = several = 0
    for found in drawn():
        part = screens.part(Sampler("parts", "train", alone + several, 999), found, 48)
        if part is None:
            continue
        image = pixels(part.screen)
        assert image.shape == (48, 48, 3) and part.elements
        whole = found.screen.pixels
        for element in part.elements:
            x1, y1, x2, y2 = element.box
            cuts = [
                whole[e.box[1] : e.box[3], e.box[0] : e.box[2]]
                for e in found.elements
                if (e.widget, e.says) == (element.widget, element.says)
            ]
            assert any(np.array_equal(cut, image[y1:y2, x1:x2]) for cut in cuts), element
        alone += len(part.elements) == 1
        several += len(part.elements) > 1
    assert alone > 40 and several > 20


def test_who_never_looks_scores_little():
    assert trivial_baseline("mini_ui_ref_ios", "test") < 30
    assert 10 < trivial_baseline("mini_ui_parts", "test") < 35  # names and places together
    assert trivial_baseline("mini_ui_grd_android", "test") < 15


def test_round_corners_cover_what_they_should():
    full = rounded(20, 12, 0)
    assert (full == 255).all()
    disc = rounded(20, 20, 10) / 255
    assert disc.sum() == pytest.approx(np.pi * 100, rel=0.01)
    assert disc[0, 0] == 0 and disc[10, 10] == 1
