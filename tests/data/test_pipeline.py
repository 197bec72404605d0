import dataclasses
import itertools
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mm15_jax import config as config_lib
from mm15_jax.data import pipeline as pipeline_lib
from mm15_jax.data.pipeline import decode, open_pipeline
from mm15_jax.data.records import open_dataset, write_dataset
from mm15_jax.inputs.example import Image, Text
from mm15_jax.inputs.tokenizer import load_tokenizer
from tests.data.pipelines import WEIGHTS, assert_equal_batches, plan_of, start, take


def test_rows_hold_the_planned_examples_decoded(config, data_dir):
    plan, datasets = plan_of(WEIGHTS, data_dir, config)
    rows, after = plan.batch(0, 4)
    ((batch, stats, cursor),) = take(config, data_dir, 1)
    assert cursor == after and stats.examples == sum(len(row.records) for row in rows)
    tokenizer = load_tokenizer(config.inputs.tokenizer)
    for b, row in enumerate(rows):
        slot = 0
        for segment, (s, r) in enumerate(zip(row.sources, row.records, strict=True), start=1):
            example = decode(
                datasets[s][int(r)], tokenizer, config.inputs, tokens_per_tile=4, resolution=16
            )
            mine = batch["segment_ids"][b] == segment
            np.testing.assert_array_equal(batch["tokens"][b][mine], example.formatted.tokens)
            for picture in example.tiles:
                np.testing.assert_array_equal(
                    batch["tiles"][b, slot : slot + len(picture)], picture
                )
                slot += len(picture)
        assert batch["tile_valid"][b].sum() == slot
    assert batch["tiles"].any() and stats.loss_tokens > 0


@pytest.mark.parametrize("threads", [1, 5])
def test_threads_change_nothing(config, data_dir, threads):
    reference = take(config, data_dir, 12)
    other = dataclasses.replace(config.data, decode_threads=threads, prefetch=threads)
    changed = take(dataclasses.replace(config, data=other), data_dir, 12)
    for (a, stats_a, cursor_a), (b, stats_b, cursor_b) in zip(reference, changed, strict=True):
        assert_equal_batches(a, b)
        assert stats_a == stats_b and cursor_a == cursor_b


def test_a_restart_from_a_cursor_goes_on_exactly(config, data_dir):
    straight = take(config, data_dir, 14)
    resumed = take(config, data_dir, 8, cursor=straight[5][2])
    for (a, _, cursor_a), (b, _, cursor_b) in zip(straight[6:], resumed, strict=True):
        assert_equal_batches(a, b)
        assert cursor_a == cursor_b


@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_divide_the_batch_of_one_host(config, data_dir, hosts):
    whole = take(config, data_dir, 6)
    parts = [
        take(config, data_dir, 6, host_rows=range(h * 4 // hosts, (h + 1) * 4 // hosts))
        for h in range(hosts)
    ]
    for step, (batch, stats, cursor) in enumerate(whole):
        joined = {k: np.concatenate([part[step][0][k] for part in parts]) for k in batch}
        assert_equal_batches(batch, joined)
        assert {part[step][2] for part in parts} == {cursor}
        assert sum(part[step][1].tokens for part in parts) == stats.tokens


def test_a_run_may_go_on_with_another_number_of_hosts(config, data_dir):
    whole = take(config, data_dir, 6)
    cursor = take(config, data_dir, 3, host_rows=[3])[-1][2]
    second = take(config, data_dir, 3, host_rows=[2, 3], cursor=cursor)
    for (a, _, _), (b, _, _) in zip(whole[3:], second, strict=True):
        assert_equal_batches({k: v[2:] for k, v in a.items()}, b)


def test_the_mixture_is_by_examples(config, data_dir):
    counts = {"pictures": 0, "texts": 0}
    for _, stats, _ in take(config, data_dir, 100):
        for name, count in stats.by_source.items():
            counts[name] += count.examples
    assert counts["pictures"] / sum(counts.values()) == pytest.approx(0.7, abs=0.02)


def test_categories_number_the_tokens(config, data_dir):
    with start(config, data_dir) as pipeline:
        batch, stats, _ = next(pipeline)
    assert pipeline.categories == ["general", "text"]
    numbers = batch["category_ids"][batch["segment_ids"] > 0]
    by_number = np.bincount(numbers, minlength=2)
    assert by_number[0] == stats.by_category["general"].tokens
    assert by_number[1] == stats.by_category["text"].tokens


def test_dense_labels(config, tmp_path, labelled_picture):
    write_dataset(tmp_path / "labels" / "train", map(labelled_picture, range(30)))
    changes = {
        "inputs.objective": "dense_labels",
        "inputs.sequence_length": 12,
        "inputs.tiles_per_row": 2,
    }
    config = config_lib.replace_nested(config, changes)
    ((batch, stats, _),) = take(config, tmp_path, 1, weights={"labels": 1.0})
    tokenizer = load_tokenizer(config.inputs.tokenizer)
    assert (stats.examples, stats.tokens, stats.loss_tokens) == (8, 40, 32)
    assert batch["segment_ids"][0].tolist() == [1] * 5 + [2] * 5 + [0] * 2
    assert batch["vision_index"][0].tolist() == [0, 1, 2, 3, -1, 4, 5, 6, 7, -1, -1, -1]
    assert batch["loss_weights"][0].tolist() == [0, 1, 1, 1, 1, 0, 1, 1, 1, 1, 0, 0]
    assert tokenizer.decode(batch["tokens"][0, 1:5].tolist()) in ("abcd", "bcda", "cdab", "dabc")


def test_an_error_of_our_own_reaches_the_consumer(config, data_dir, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(pipeline_lib, "load_example", fail)
    with start(config, data_dir) as pipeline, pytest.raises(ZeroDivisionError, match="a bug"):
        next(pipeline)


def test_closing_ends_all_threads_at_any_time(config, data_dir):
    before = set(threading.enumerate())
    for consumed in (0, 1, 5):
        began = time.monotonic()
        pipeline = start(config, data_dir)
        for _ in range(consumed):
            next(pipeline)
        pipeline.close()
        pipeline.close()
        assert set(threading.enumerate()) == before
        assert time.monotonic() - began < 5
        with pytest.raises(RuntimeError, match="closed"):
            next(pipeline)


def settled(noted):
    """The length of a list that others append to, once they have stopped for a second."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        before = len(noted)
        time.sleep(1)
        if 0 < before == len(noted):
            return before
    raise AssertionError(f"{len(noted)} and no end")


def test_reading_ahead_is_bounded(config, data_dir, monkeypatch):
    decoded = []
    load = pipeline_lib.load_example
    monkeypatch.setattr(pipeline_lib, "load_example", lambda *a: decoded.append(1) or load(*a))
    with start(config, data_dir):
        assert settled(decoded) > 0


def test_large_batches_are_not_read_ahead_by_number(config, data_dir, monkeypatch):
    monkeypatch.setattr(pipeline_lib, "_AHEAD", 1)  # less than a batch has
    made = []
    empty = pipeline_lib.batch_lib.empty_batch
    monkeypatch.setattr(
        pipeline_lib.batch_lib, "empty_batch", lambda shape: made.append(1) or empty(shape)
    )
    with start(config, data_dir) as pipeline:
        assert settled(made) == 2  # one ready, one that waits to be
        first = [next(pipeline) for _ in range(5)]
    with start(config, data_dir) as pipeline:
        for (a, _, _), (b, _, _) in zip(first, pipeline, strict=False):
            assert_equal_batches(a, b)


def test_the_size_of_a_batch_is_known_beforehand(config, data_dir):
    with start(config, data_dir) as pipeline:
        batch, _, _ = next(pipeline)
        size = sum(array.nbytes for array in batch.values())
        assert abs(pipeline.shape.bytes - size) < 0.01 * size


FORGOTTEN = """
    import sys
    sys.path.insert(0, {tests!r})
    import pickle, test_pipeline
    pipeline = test_pipeline.start(pickle.loads({config!r}), {data_dir!r})
    next(pipeline)
    print("consumed")
"""


def test_a_forgotten_pipeline_does_not_hang_the_program(config, data_dir):
    import pickle

    script = FORGOTTEN.format(
        tests=str(Path(__file__).parent), config=pickle.dumps(config), data_dir=str(data_dir)
    )
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "consumed\n", "")


def test_a_cursor_of_other_data_is_refused_at_once(config, data_dir):
    with pytest.raises(ValueError, match="is no row of this plan"):
        start(config, data_dir, cursor=31)


def test_an_experiment_opens_its_mixture(config, data_dir, mixture, caplog):
    config = config_lib.replace_nested(config, {"data.allow_missing": True})
    with caplog.at_level(logging.WARNING), open_pipeline(config, data_dir) as pipeline:
        batch, _, _ = next(pipeline)
    assert batch["tokens"].shape == (4, 96)
    weights = {source.name: source.weight for source in pipeline.plan.sources}
    assert weights == {"pictures": 0.75, "texts": 0.25}
    assert "not prepared, left out with their weight: photos" in caplog.text


def test_a_missing_data_set_is_one_sentence(config, data_dir, tmp_path, mixture):
    with pytest.raises(
        ValueError,
        match=r"1 of 3 data sets are not prepared in .*: photos; run `mm15 prepare photos --source "
        r"DIR --out .*`, or leave them out, with their weight, by --set data.allow_missing=true",
    ):
        open_pipeline(config, data_dir)
    with pytest.raises(ValueError, match="is empty: run `mm15 prepare pictures --source DIR --out"):
        open_pipeline(config, tmp_path)


def test_examples_keep_their_pictures_in_order(config, data_dir, tmp_path):
    pictures = list(open_dataset(data_dir / "pictures" / "train"))[:4]
    images = [s for example in pictures for s in example.segments if isinstance(s, Image)]
    example = dataclasses.replace(
        pictures[0], segments=(*images, Text("all four", loss=True, role="assistant"))
    )
    tokenizer = load_tokenizer(config.inputs.tokenizer)
    decoded = decode(example, tokenizer, config.inputs, tokens_per_tile=4, resolution=16)
    assert [len(tiles) for tiles in decoded.tiles] == [1, 1, 1, 1]
    for tiles, image in zip(decoded.tiles, images, strict=True):
        alone = dataclasses.replace(example, segments=(image, image, image))
        first = decode(alone, tokenizer, config.inputs, tokens_per_tile=4, resolution=16).tiles[0]
        np.testing.assert_array_equal(tiles, first)


@pytest.mark.parametrize("unit", ["examples", "tokens"])
def test_ratios_of_a_long_run_are_those_asked_for(config, data_dir, mixture, unit, caplog):
    config = config_lib.replace_nested(
        config, {"data.allow_missing": True, "data.weigh_by": unit, "train.batch_rows": 16}
    )
    measures = ("examples", "tokens", "tiles", "loss_tokens")
    counts = {name: dict.fromkeys(measures, 0) for name in ("pictures", "texts")}
    learned = 0
    with caplog.at_level(logging.INFO), open_pipeline(config, data_dir) as pipeline:
        for _, stats, _ in itertools.islice(pipeline, 60):
            for name, count in stats.by_source.items():
                for measure in measures:
                    counts[name][measure] += getattr(count, measure)
            assert stats.loss_tokens == sum(c.loss_tokens for c in stats.by_category.values())
            learned += stats.loss_tokens
    share = {u: counts["pictures"][u] / sum(c[u] for c in counts.values()) for u in counts["texts"]}
    assert share[unit] == pytest.approx(0.75, abs=0.01)
    other = share["tokens" if unit == "examples" else "examples"]
    assert abs(other - 0.75) > 0.02 and learned > 0
    # What is learned, and the tiles, follow from the examples.
    tokenizer = load_tokenizer(config.inputs.tokenizer)
    for name, found in counts.items():
        examples = [
            decode(e, tokenizer, config.inputs, tokens_per_tile=4, resolution=16)
            for e in open_dataset(data_dir / name / "train")
        ]
        for measure, each in (
            ("loss_tokens", lambda e: np.count_nonzero(e.formatted.loss_weights)),
            ("tiles", lambda e: sum(map(len, e.tiles))),
        ):
            mean = np.mean([each(example) for example in examples])
            assert found[measure] / found["examples"] == pytest.approx(mean, rel=0.05)
    told = "mixture by tokens: pictures 75.00% of the tokens" in caplog.text
    assert told == (unit == "tokens")
    assert "weight of general: 75.00%, 75.00% in the whole mixture" in caplog.text
