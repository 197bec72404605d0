"""The scripts of benchmarks/data run and measure what they say."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from mm15_jax.config.schema import SplittingConfig
from mm15_jax.inputs.image_splitting import plan_tiling
from mm15_jax.inputs.tiles import image_size, load_tiles

FOLDER = pathlib.Path(__file__).parents[2] / "benchmarks" / "data"


@pytest.fixture
def pictures(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import pictures

    return pictures


def test_pillow_makes_the_same_tiles(pictures):
    data = pictures.photo(120, 160, 0)
    height, width = image_size(data)
    splitting = SplittingConfig(mode="static", static_grid=(2, 3))
    tiling = plan_tiling(height, width, resolution=48, splitting=splitting, images_in_example=1)
    ours, theirs = load_tiles(data, tiling), pictures.pillow_tiles(data, tiling)
    assert ours.shape == theirs.shape == (7, 48, 48, 3)
    assert np.abs(ours.astype(int) - theirs).mean() < 1


def test_pictures_are_a4_and_of_their_size(pictures):
    assert image_size(pictures.page(75, 0)) == (877, 620)
    assert pictures.page(75, 0) == pictures.page(75, 0) != pictures.page(75, 1)


@pytest.mark.slow
def test_the_scripts_run():
    for script, *options in (
        ("decode.py", "--rounds=1", "--seconds=0.01"),
        ("loaders.py", "--rounds=1", "--seconds=1", "--examples=40"),
    ):
        done = subprocess.run(
            [sys.executable, str(FOLDER / script), *options, "--no_save"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "/s/core" in done.stdout
