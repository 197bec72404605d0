"""Clips on the way from shards to batches, and what a damaged one does."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from mm15_jax.config.schema import VideoConfig
from mm15_jax.data.index import load_index
from mm15_jax.data.pipeline import decode
from mm15_jax.data.records import open_dataset, write_dataset
from mm15_jax.data.tally import Tally
from mm15_jax.infer.batching import Prompt, render_prompt
from mm15_jax.inputs.example import Example, Text
from mm15_jax.inputs.formatting import format_example
from mm15_jax.inputs.tokenizer import load_tokenizer
from mm15_jax.inputs.video import frame_numbers, video_of_file, video_of_frames
from tests.clips import clip, folder, number_of
from tests.data.conftest import picture_question
from tests.data.pipelines import start, take

FRAMES = (3, 40, 7)
SIZES = {"tokens_per_tile": 4, "resolution": 16}


def clip_question(i, damaged=False):
    """Files and folders of frames in turn."""
    frames = FRAMES[i % 3]
    segment = video_of_file(clip(frames)) if i % 2 else video_of_frames(folder(frames))
    if damaged:
        segment = dataclasses.replace(segment, data=clip(frames)[:900])
    texts = Text("what is it?", "user"), Text(f"number {i}", "assistant", loss=True)
    return Example((segment, *texts), "clips", f"clips/{i}", "video", {})


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    write_dataset(root / "clips" / "train", map(clip_question, range(9)), shards=2)
    write_dataset(root / "pictures" / "train", map(picture_question, range(9)))
    return root


@pytest.fixture
def config(config):
    inputs = dataclasses.replace(config.inputs, video=VideoConfig(5))
    return dataclasses.replace(config, inputs=inputs)


def test_lengths_are_counted_without_decoding(clips, config, monkeypatch):
    monkeypatch.setattr("mm15_jax.inputs.video.load_frames", lambda *a: pytest.fail("decoded"))
    dataset = open_dataset(clips / "clips" / "train")
    counts = load_index(dataset, config.inputs, **SIZES)[:]
    assert counts["tiles"].tolist() == [min(FRAMES[i % 3], 5) for i in range(9)]
    tokenizer = load_tokenizer(config.inputs.tokenizer)
    for i, example in enumerate(dataset):
        formatted = format_example(example, tokenizer, config.inputs, **SIZES)
        assert counts["tokens"][i] == len(formatted.tokens)
    fewer = dataclasses.replace(config.inputs, video=VideoConfig(2))
    assert set(load_index(dataset, fewer, **SIZES)[:]["tiles"].tolist()) == {2}


def test_training_and_inference_see_the_frames_that_were_chosen(clips, config):
    tokenizer = load_tokenizer(config.inputs.tokenizer)
    for i, example in enumerate(open_dataset(clips / "clips" / "train")):
        decoded = decode(example, tokenizer, config.inputs, **SIZES)
        numbers = [number_of(tile[0, :12]) for tile in decoded.tiles]
        assert numbers == frame_numbers(FRAMES[i % 3], 5)
        prompt = format_example(example, tokenizer, config.inputs, **SIZES, for_generation=True)
        np.testing.assert_array_equal(
            render_prompt(Prompt(i, example, prompt), 16), np.concatenate(decoded.tiles)
        )


def test_rows_of_clips_and_pictures_hold_both_budgets(clips, config):
    weights = {"clips": 0.5, "pictures": 0.5}
    seen = dict.fromkeys(weights, 0)
    for batch, stats, _ in take(config, clips, 3, weights=weights):
        for name, count in stats.by_source.items():
            seen[name] += count.examples
        assert stats.bad_records == 0 and stats.tiles == batch["tile_valid"].sum()
        # Every vision token stands for a token of a tile that is there.
        for row in range(len(batch["tokens"])):
            places = batch["vision_index"][row]
            shown = np.unique(places[places >= 0] // 4)
            assert batch["tile_valid"][row, shown].all()
            assert len(shown) == batch["tile_valid"][row].sum()
    assert all(seen.values())


def test_a_damaged_clip_is_named(tmp_path, config, caplog):
    examples = [clip_question(i, damaged=i == 1) for i in range(6)]
    write_dataset(tmp_path / "clips" / "train", examples)
    strict = dataclasses.replace(config, data=dataclasses.replace(config.data, max_bad_fraction=0))
    with (
        pytest.raises(ValueError, match=r"clips/1 of clips: The video is not readable"),
        start(strict, tmp_path, {"clips": 1.0}) as pipeline,
    ):
        list(itertools.islice(pipeline, 4))
    assert "left out clips/1 of clips" in caplog.text


def test_clips_are_tallied_and_old_receipts_read():
    tally = Tally()
    tally.add(clip_question(0))
    tally.add(picture_question(0))
    assert (tally.videos, tally.images, tally.widths.high) == (1, 1, 64)
    # A clip of 8 frames; a picture of 16 x 16, which fits 2 x 2 sub-images, and its overview.
    assert tally.tiles == clip_question(0).segments[0].frames + 5
    fields = json.loads(json.dumps(tally.as_dict()))
    assert Tally.from_dict(fields) == tally
    assert Tally.of([Tally.from_dict(fields), tally]).tiles == 2 * tally.tiles
    del fields["videos"], fields["tiles"]
    assert Tally.of([Tally.from_dict(fields), tally]).videos == 1
