"""Screens of RICO."""

import pytest

from mm15_jax.data.convert import rico_views
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Image
from tests.data.convert.converted import convert, turns
from tests.data.convert.fixtures.screen_sets import FIXTURES, ROOT
from tests.data.convert.pictures import write


@pytest.mark.parametrize("name", FIXTURES)
def test_counts(tmp_path, name):
    fixture = FIXTURES[name]
    fixture.make(tmp_path)
    for split, count in fixture.records.items():
        good, bad = convert("rico", name, split, tmp_path)
        assert (len(good), len(bad)) == (count, fixture.bad.get(split, 0)), (split, bad)


def test_screen2words_trains_on_each_summary_and_tests_against_all(tmp_path):
    FIXTURES["screen2words"].make(tmp_path)
    good, bad = convert("rico", "screen2words", "train", tmp_path)
    answers = {key: turns(example)[0][1] for key, example in good.items()}
    assert answers == {"10:0": "a login screen", "10:1": "screen, with login"}
    assert "no picture" in bad["12"]
    example = convert("rico", "screen2words", "test", tmp_path)[0]["11"]
    assert example.metadata == {"answer": ["list of songs", "songs"], "metric": "cider"}


def test_widgets_are_found_by_path_and_cut_at_the_screen(tmp_path):
    FIXTURES["widget_captioning"].make(tmp_path)
    good, bad = convert("rico", "widget_captioning", "train", tmp_path)
    button, row = "<500,500,999,625>", "<0,937,999,999>"  # the row goes on below the screen
    dialogues = {key: turns(example) for key, example in good.items()}
    answers = {key: [answer for _, answer in found] for key, found in dialogues.items()}
    assert answers == {
        "10:caption0": ["press ok", "last row"],
        "10:caption1": ["confirm", "row"],
        "10:caption2": ["ok button"],
    }
    for found in dialogues.values():
        for (question, _), place in zip(found, (button, row), strict=False):
            assert place in question
    assert "not on the screen" in bad["10:0.1.1"] and "no node '0.0'" in bad["10:0.0"]
    example = convert("rico", "widget_captioning", "test", tmp_path)[0]["11:0.2"]
    assert example.metadata["answer"] == ["go", "go on"]


def test_label_0_of_taperception_means_tappable(tmp_path):
    FIXTURES["taperception"].make(tmp_path)
    good, bad = convert("rico", "taperception", "train", tmp_path)
    (button, row) = turns(good["10"])
    assert button[1] == "yes" and "<500,500,999,625>" in button[0]
    assert row[1] == "no"
    assert "no node with pointer 'nothing'" in bad["10:nothing"]
    (example,) = convert("rico", "taperception", "validation", tmp_path)[0].values()
    assert example.metadata == {
        "answer": "no", "metric": "f1_yes_no", "raters_marked_tappable": "0",
    }  # fmt: skip
    good, bad = convert("rico", "taperception", "test", tmp_path)
    assert good["11:row"].metadata["answer"] == "yes"
    assert "expected 0 or 1" in bad["11:list"]


def test_bounds_of_a_screen_that_lies_are_on_its_longer_side():
    image = Image(b"", height=54, width=96, role="user")
    node = {"bounds": [0, 0, 1280, 1440]}
    assert rico_views.visible_box(node, image) == (0, 0, 48, 54)
    with pytest.raises(DataError, match="bounds are None"):
        rico_views.visible_box({}, image)


def test_pointers_are_found_depth_first():
    assert rico_views.node_with_pointer(ROOT, "below")["bounds"][1] == 2600


def test_a_table_without_its_lists_or_columns_is_told(tmp_path):
    FIXTURES["widget_captioning"].make(tmp_path)
    for path in (tmp_path / "split").iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r"widget_captions\.csv without split/train\.txt"):
        convert("rico", "widget_captioning", "train", tmp_path)
    write(tmp_path / "rico_tap_annotations_idsonly.csv", "img_id,label\n1,0\n")
    with pytest.raises(ValueError, match="no column object_id"):
        convert("rico", "taperception", "train", tmp_path)
