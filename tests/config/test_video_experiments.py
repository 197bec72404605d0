"""Experiments on clips: a clip and its dialogue fit a row."""

import pytest

from mm15_jax import config
from mm15_jax.config import mixtures

VIDEO = [name for name in config.experiments() if "_video_" in name]


def test_the_papers_sizes_are_there_in_both_variants():
    full = {f"mm15_video_{s}_{v}" for s in ("1b", "3b", "7b") for v in ("sft", "training_free")}
    assert full <= set(VIDEO)


@pytest.mark.parametrize("name", VIDEO)
def test_a_clip_fits_a_row_with_its_dialogue(name):
    experiment = config.load(name)
    inputs, tokens = experiment.inputs, experiment.model.connector.tokens
    assert inputs.video.frames <= inputs.tiles_per_row
    left = inputs.sequence_length - inputs.video.frames * tokens
    assert left >= (600 if "nano" not in name else 60)


@pytest.mark.parametrize("size", ["1b", "3b", "7b"])
def test_video_starts_from_the_image_model_and_is_one_pass(size):
    sft = config.load(f"mm15_video_{size}_sft")
    free = config.load(f"mm15_video_{size}_training_free")
    assert (sft.inputs.video.frames, sft.model.connector.tokens) == (24, 144)
    assert [start.experiment for start in sft.init_from] == [f"mm15_{size}_sft"]
    assert (free.init_from, free.model, free.inputs) == (sft.init_from, sft.model, sft.inputs)
    assert free.stage == "evaluation" and sft.stage == "sft"
    assert abs(sft.train.steps * sft.train.batch_rows - 812_500) < 256


def test_the_mixture_has_the_papers_numbers():
    counts = {"sharegptvideo": 556_000, "videochat2": 225_000, "activitynet_qa": 31_500}
    weights = mixtures.dataset_weights(config.mixture(config.load("mm15_video_7b_sft")), counts)
    total = sum(counts.values())
    assert weights == pytest.approx({name: n / total for name, n in counts.items()})


def test_frames_must_be_positive():
    with pytest.raises(ValueError, match=r"inputs.video.frames is 0; expected more than 0"):
        config.load("mm15_nano_sft", ["inputs.video.frames=0"])
