import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from mm15_jax.config.schema import SplittingConfig
from mm15_jax.infer.batching import (
    Prompt,
    group_prompts,
    padded_length,
    padded_tiles,
    render_prompt,
)
from mm15_jax.infer.sampling import Sampling, choose, nucleus_logits
from mm15_jax.inputs.example import Example, Image
from mm15_jax.inputs.image_splitting import plan_tiling
from mm15_jax.inputs.tiles import PAD_COLOUR


def prompt(index, length, tiles):
    tiling = types.SimpleNamespace(num_tiles=tiles)
    return Prompt(index, None, types.SimpleNamespace(tokens=[0] * length, tilings=(tiling,)))


@given(st.integers(1, 50_000))
def test_padded_length_holds_the_prompt_with_little_waste(length):
    padded = padded_length(length)
    assert length <= padded < length + max(32, length / 2)
    assert padded_length(padded) == padded


@given(st.integers(0, 400))
def test_padded_tiles_hold_the_tiles_with_little_waste(tiles):
    padded = padded_tiles(tiles)
    assert tiles <= padded <= max(6, tiles * 1.34)
    assert padded_tiles(padded) == padded


def test_the_ladders_are_short():
    assert len({padded_length(n) for n in range(1, 4097)}) == 14
    assert sorted({padded_tiles(n) for n in range(25)}) == [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        8,
        10,
        12,
        16,
        20,
        24,
    ]


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 12)), max_size=60), st.integers(1, 20)
)
def test_groups_hold_every_prompt_once_and_fit(sizes, batch_size):
    prompts = [prompt(i, *size) for i, size in enumerate(sizes)]
    groups = group_prompts(prompts, batch_size)
    assert sorted(p.index for g in groups for p in g.prompts) == list(range(len(sizes)))
    for group in groups:
        assert 0 < len(group.prompts) <= group.rows <= batch_size
        assert all(p.length <= group.length and p.tiles <= group.tiles for p in group.prompts)


def test_few_leftovers_join_a_larger_shape():
    prompts = [prompt(i, 100, 1) for i in range(32)] + [prompt(32, 40, 1)]
    assert {(g.length, g.tiles) for g in group_prompts(prompts, 32)} == {(padded_length(100), 1)}
    far = [prompt(i, 1000, 9) for i in range(32)] + [prompt(32, 70, 1)]
    assert len({(g.length, g.tiles) for g in group_prompts(far, 32)}) == 2


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.floats(-5, 5, width=32), min_size=9, max_size=9), st.floats(0.05, 1.0))
def test_nucleus_is_the_smallest_likeliest_set(values, top_p):
    logits = np.array(values, np.float32)
    kept = np.isfinite(np.asarray(nucleus_logits(jnp.asarray(logits), top_p)))
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum()
    assert kept.any()
    assert probabilities[kept].sum() >= top_p - 1e-5
    if (~kept).any():
        assert probabilities[kept].min() >= probabilities[~kept].max() - 1e-7
    if kept.sum() > 1:  # without its last member it would not reach top_p
        assert probabilities[kept].sum() - probabilities[kept].min() <= top_p + 1e-5


def test_sampled_frequencies_follow_the_distribution():
    logits = jnp.log(jnp.array([0.5, 0.3, 0.15, 0.05]))
    rows = 4000
    tokens = choose(
        jnp.tile(logits, (rows, 1)),
        Sampling(temperature=1.0, top_p=0.9),
        jax.random.key(0),
        jnp.arange(rows, dtype=jnp.uint32),
        jnp.int32(0),
    )
    shares = np.bincount(np.asarray(tokens), minlength=4) / rows
    np.testing.assert_allclose(shares, np.array([0.5, 0.3, 0.15, 0]) / 0.95, atol=0.03)


@pytest.mark.parametrize(
    "bad", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}, {"seed": -1}, {"seed": 2**32}]
)
def test_impossible_sampling_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Sampling(**bad)


def test_a_picture_that_cannot_be_read_is_shown_blank_and_named(caplog):
    data = simplejpeg.encode_jpeg(np.full((8, 8, 3), 200, np.uint8))
    tilings = (
        plan_tiling(
            8, 8, resolution=8, splitting=SplittingConfig(mode="none"), images_in_example=1
        ),
    )
    formatted = types.SimpleNamespace(tilings=tilings, pictures=(1,))
    for picture, shade in ((data, 200), (data[:-40] + b"\xff\xd9", PAD_COLOUR)):
        example = Example((Image(picture, 8, 8),), "scenes", "picture 7", "general", {})
        pixels = render_prompt(Prompt(0, example, formatted), 8)
        assert pixels.shape == (1, 8, 8, 3)
        np.testing.assert_allclose(pixels, np.broadcast_to(shade, pixels.shape), atol=3)
    assert caplog.messages[0].startswith("picture 7 of scenes is shown blank: The picture")
    assert len(caplog.messages) == 1
