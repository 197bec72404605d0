"""Draws made in different places, put together."""

import dataclasses

import pytest

from mm15_jax.ablations import catalog
from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.join import changed_rows, joined
from mm15_jax.ablations.runs import content_key, plan
from mm15_jax.config import load, replace_nested
from mm15_jax.data.miniature import SETS
from tests.ablations.results_made_up import FIG8, SEEDS, fig8, result


def test_draws_of_both_are_there_and_a_draw_of_both_is_the_new_one():
    here, there = fig8([Draw(0, 0), Draw(2, 0)]), fig8([Draw(0, 0), Draw(1, 0)])
    both, left_out = joined(FIG8, here, there)
    assert not left_out and both.draws == (Draw(0, 0), Draw(1, 0), Draw(2, 0))
    assert both.row("all").draws[Draw(0, 0)] is here.row("all").draws[Draw(0, 0)]
    assert both.row("all").draws[Draw(1, 0)] is there.row("all").draws[Draw(1, 0)]
    assert both.commands == ("mm15 ablate fig8 --scale nano --starts 3",)


def test_rows_that_one_place_alone_has_run_are_in_their_order():
    here, there = fig8([Draw(0, 0)], rows=("all",)), fig8([Draw(0, 0)], rows=("base", "all"))
    both, _ = joined(FIG8, here, there)
    assert [row.key for row in both.rows] == ["base", "all"]


def test_draws_of_an_experiment_that_has_changed_are_left_out():
    here, there = fig8([Draw(0, 0)]), fig8([Draw(1, 0)], overrides=["train.steps=7"])
    both, left_out = joined(FIG8, here, there)
    assert left_out == ("base", "single_image", "all") and both.draws == (Draw(0, 0),)


def test_seeds_of_rows_that_begin_at_different_stages_are_not_joined():
    fig9a, rows = catalog.find("fig9a", "nano"), {}
    for key in ("none", "378"):
        asked = plan(fig9a, seeds=2, rows=[key]).asked
        rows[key] = result("fig9a", {key: {"mini_scene_qa": 0.5}}, ("mmbase",), draws=SEEDS)
        (row,) = rows[key].rows
        row = dataclasses.replace(row, content=asked[0].content, generated=asked[0].generated)
        rows[key] = dataclasses.replace(rows[key], rows=(row,))
    with pytest.raises(ValueError, match="378 has 2, none has 1; expected --starts"):
        joined(fig9a, rows["378"], rows["none"])
    both, _ = joined(fig9a, rows["378"], rows["378"])
    assert both.draws == SEEDS


def test_rows_that_have_changed_are_named():
    assert changed_rows(FIG8, fig8([Draw(0, 0)])) == ()
    older = fig8([Draw(0, 0)], overrides=["train.steps=7"], rows=("base", "all"))
    assert changed_rows(FIG8, older) == ("base", "all")


def test_rows_of_data_that_is_generated_otherwise_now_are_named(monkeypatch):
    found = fig8([Draw(0, 0)])
    generated = {a.row.key: a.generated for a in plan(FIG8).asked}
    rows = [dataclasses.replace(row, generated=generated[row.key]) for row in found.rows]
    found = dataclasses.replace(found, rows=tuple(rows))
    assert changed_rows(FIG8, found) == ()
    for name, keys in (
        ("mini_video_order", ()),
        ("mini_compare", ("base", "single_image", "all")),  # all of which are asked about it
        ("mini_instructions", ("all",)),
        ("mini_captions", ("base", "single_image", "all")),  # that pre-training has read
    ):
        raised = dataclasses.replace(SETS[name], version=99)
        with monkeypatch.context() as patch:
            patch.setitem(SETS, name, raised)
            assert changed_rows(FIG8, found) == keys


@pytest.mark.parametrize(
    "overrides", [["eval.examples=7"], ["optimizer.peak_learning_rate=0.5"], ["train.steps=7"]]
)
def test_a_rows_content_is_what_decides_its_scores_and_not_its_draw(overrides):
    (once,) = plan(FIG8, rows=["all"]).asked
    *_, again = plan(FIG8, rows=["all"], starts=2, seeds=2).asked
    (other,) = plan(FIG8, rows=["all"], overrides=overrides).asked
    assert again.draw == Draw(1, 1) and again.content == once.content != other.content


def test_rows_that_ask_one_run_differently_differ_in_content():
    contents = {a.row.key: a.content for a in plan(catalog.find("table2", "nano")).asked}
    assert len(set(contents.values())) == len(contents)


def test_what_is_as_by_default_is_not_in_a_key():
    """So that a new setting leaves the keys of what was run before it as they are."""
    config = load("mm15_nano_sft")
    assert content_key(replace_nested(config, {"train.steps": 7})) != content_key(config)

    @dataclasses.dataclass(frozen=True)
    class TrainConfig(type(config.train)):
        is_new: bool = False

    newer = dataclasses.replace(config, train=TrainConfig(**vars(config.train)))
    assert content_key(newer) == content_key(config)
    newer = dataclasses.replace(config, train=TrainConfig(**vars(config.train), is_new=True))
    assert content_key(newer) != content_key(config)
