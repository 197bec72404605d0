"""Experiments on screens: table 12's models and its ablation."""

import pytest

from mm15_jax import config, paper
from mm15_jax.config import mixtures
from mm15_jax.data.registry import all_preparations
from mm15_jax.evaluation.benchmarks import resolve
from mm15_jax.inputs.image_splitting import plan_tiling

FULL = [name for name in config.experiments() if name.startswith("mm15_ui_")]


def test_every_model_of_table_12_is_an_experiment():
    assert set(FULL) == {row.key for row in paper.table(12).rows if row.key.startswith("mm15_ui")}


@pytest.mark.parametrize("name", FULL)
def test_batch_rate_and_splitting_are_those_of_sft(name):
    experiment = config.load(name)
    sft = config.load(f"mm15_{experiment.family.removeprefix('ui_')}_sft")
    assert experiment.optimizer == sft.optimizer
    assert experiment.train.batch_rows == sft.train.batch_rows
    assert (experiment.model, experiment.inputs) == (sft.model, sft.inputs)


def test_epochs_are_of_the_papers_number_of_examples():
    for name, epochs in (("mm15_ui_7b", 3), ("mm15_ui_3b_1_epoch", 1)):
        experiment = config.load(name)
        a_row = examples_a_row(experiment)
        assert a_row == 2
        seen = experiment.train.steps * experiment.train.batch_rows * a_row
        assert abs(seen - epochs * 801_000) <= 256


def examples_a_row(experiment):
    """Screens of today's phones that a packed row has slots for, to a half."""
    sizes = ((1125, 2436), (1242, 2208), (828, 1792), (750, 1334), (1080, 1920), (1440, 2560))
    tiles = [
        plan_tiling(
            height,
            width,
            resolution=experiment.model.encoder.resolution,
            splitting=experiment.inputs.splitting,
            images_in_example=1,
        ).num_tiles
        for width, height in sizes
    ]
    return round(2 * experiment.inputs.tiles_per_row // (sum(tiles) / len(tiles))) / 2


def test_the_ablation_differs_in_what_it_starts_from_alone():
    with_sft = config.load("mm15_ui_3b_1_epoch")
    without = config.load("mm15_ui_3b_1_epoch_without_sft")
    assert [start.experiment for start in with_sft.init_from] == ["mm15_3b_sft"]
    assert [start.experiment for start in without.init_from] == ["mm15_3b_continual"]
    same = {"name": "", "init_from": ()}
    assert config.replace_nested(with_sft, same) == config.replace_nested(without, same)


def test_data_and_benchmarks_can_be_prepared():
    experiment = config.load("mm15_ui_3b")
    names = set(mixtures.dataset_names(config.mixture(experiment)))
    names |= {
        part.data_set for row in resolve(experiment.eval.benchmarks) for part in row.data_sets
    }
    assert names <= set(all_preparations())
    assert "test" in all_preparations()["screen2words"].splits
