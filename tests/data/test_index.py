import dataclasses
import logging
import os

import numpy as np
import pytest

from mm15_jax.config import replace_nested
from mm15_jax.data import index as index_lib
from mm15_jax.data.index import load_index
from mm15_jax.data.plan_items import Budgets, load_items
from mm15_jax.data.planning import plan_mixture
from mm15_jax.data.records import open_dataset, write_dataset
from mm15_jax.inputs.example import Example, Text
from mm15_jax.inputs.formatting import format_example
from mm15_jax.inputs.tokenizer import load_tokenizer

SIZES = {"tokens_per_tile": 4, "resolution": 16}


@pytest.fixture
def dataset(tmp_path, data_dir):
    """A copy of "pictures" without any cached index."""
    write_dataset(tmp_path / "pictures" / "train", open_dataset(data_dir / "pictures" / "train"))
    return open_dataset(tmp_path / "pictures" / "train")


@pytest.fixture
def counted(monkeypatch):
    """Records how often a data set is counted."""
    calls = []
    count = index_lib._count
    monkeypatch.setattr(index_lib, "_count", lambda *a: calls.append(1) or count(*a))
    return calls


def test_counts_are_those_of_formatting(dataset, config):
    index = load_index(dataset, config.inputs, **SIZES)
    counts = index[:]
    tokenizer = load_tokenizer(config.inputs.tokenizer)
    for i, example in enumerate(dataset):
        formatted = format_example(example, tokenizer, config.inputs, **SIZES)
        assert counts[i]["tokens"] == len(formatted.tokens)
        assert counts[i]["tiles"] == sum(tiling.num_tiles for tiling in formatted.tilings)
    assert len(set(counts["tiles"].tolist())) > 1  # some pictures are split, some are not


def test_more_tiles_than_can_be_counted_are_more_than_a_row_holds(dataset, config, monkeypatch):
    monkeypatch.setattr(index_lib.formatting, "measure", lambda *_, **__: (5, 40_000))
    index = load_index(dataset, config.inputs, **SIZES)
    items = load_items(index, Budgets(tokens=64, tiles=2**15 - 2, cut_documents=True))
    assert items.totals.left_out["too_many_tiles"].records == len(dataset)


def test_pixels_are_not_decoded(dataset, config, monkeypatch):
    monkeypatch.setattr("mm15_jax.inputs.tiles._decode", lambda *a: pytest.fail("decoded"))
    load_index(dataset, config.inputs, **SIZES)


def test_a_second_time_reads_the_cache(dataset, config, counted):
    first = load_index(dataset, config.inputs, **SIZES)
    second = load_index(dataset, config.inputs, **SIZES)
    assert counted == [1]
    assert np.array_equal(first[:], second[:]) and first.checksum == second.checksum


def test_damage_in_a_shard_leaves_out_its_record(dataset, config):
    (shard,) = dataset.directory.glob("*.array_record")
    content = bytearray(shard.read_bytes())
    content[70_000] ^= 0xFF
    shard.write_bytes(content)
    damaged = open_dataset(dataset.directory)
    counts = load_index(damaged, config.inputs, **SIZES)[:]
    assert (counts["tokens"] == index_lib.UNUSABLE).sum() == 1


def test_code_that_counts_the_same_resumes_a_run(config, data_dir, mixture, monkeypatch):
    config = replace_nested(config, {"data.allow_missing": True})
    plan, _ = plan_mixture(config, data_dir)
    monkeypatch.setattr(index_lib, "_code_checksum", lambda: "of another release")
    again, _ = plan_mixture(config, data_dir)
    assert again.fingerprint == plan.fingerprint


def test_row_sizes_play_no_part_but_everything_else_does(dataset, config, counted):
    load_index(dataset, config.inputs, **SIZES)
    load_index(dataset, dataclasses.replace(config.inputs, sequence_length=7), **SIZES)
    assert len(counted) == 1
    load_index(dataset, replace_nested(config.inputs, {"splitting.n_max": 6}), **SIZES)
    load_index(dataset, config.inputs, tokens_per_tile=5, resolution=16)
    load_index(dataset, config.inputs, tokens_per_tile=4, resolution=24)
    assert len(counted) == 4


def test_other_records_are_counted_anew(dataset, config, counted):
    load_index(dataset, config.inputs, **SIZES)
    write_dataset(dataset.directory, list(dataset)[:9])
    index = load_index(open_dataset(dataset.directory), config.inputs, **SIZES)
    assert len(counted) == 2 and len(index) == 9


def test_a_damaged_cache_is_counted_anew(dataset, config, counted):
    whole = load_index(dataset, config.inputs, **SIZES)[:]
    (path,) = dataset.directory.glob("index-*.npy")
    content = path.read_bytes()
    for number, other in enumerate((whole[:-1], whole["tokens"], None), start=2):
        path.write_bytes(content[:50])
        if other is not None:
            np.save(path, other)
        assert np.array_equal(load_index(dataset, config.inputs, **SIZES)[:], whole)
        assert len(counted) == number


def test_a_directory_that_cannot_be_written_does_not_matter(dataset, config, monkeypatch):
    def refuse(_):
        raise PermissionError("read-only")

    kept = load_index(dataset, config.inputs, **SIZES)[:]
    for path in dataset.directory.glob("index-*"):
        path.unlink()
    monkeypatch.setattr(index_lib.storage, "draft", refuse)
    assert np.array_equal(load_index(dataset, config.inputs, **SIZES)[:], kept)
    assert not list(dataset.directory.glob("index-*"))


def test_records_that_cannot_be_formatted_are_marked_and_named(tmp_path, config, caplog):
    good = Example((Text("fine", loss=True),), "texts", "1", "text", {})
    bad = Example((Text("fine", role="narrator"),), "texts", "2", "text", {})
    write_dataset(tmp_path / "texts" / "train", [good, bad, good])
    with caplog.at_level(logging.WARNING):
        index = load_index(open_dataset(tmp_path / "texts" / "train"), config.inputs, **SIZES)
    assert (index[:]["tokens"] < 0).tolist() == [False, True, False]
    assert "record 1 of texts cannot be used" in caplog.text


def test_processes_count_what_one_process_counts(dataset, config, monkeypatch, caplog):
    alone = load_index(dataset, config.inputs, **SIZES)[:]
    for path in dataset.directory.glob("index-*.npy"):
        os.unlink(path)
    monkeypatch.setattr(index_lib, "_PARALLEL_FROM", 0)
    monkeypatch.setattr(index_lib, "_CHUNK", 25)
    monkeypatch.setattr(index_lib, "_QUIET_SECONDS", 0.0)
    with caplog.at_level(logging.INFO):
        together = load_index(dataset, config.inputs, **SIZES, workers=2)
    assert np.array_equal(alone, together[:])
    told = [record.getMessage() for record in caplog.records]
    assert [text.split(",")[0].split(": ")[1] for text in told] == [
        "25 of 60 records",
        "50 of 60 records",
    ]


def test_dense_labels_are_one_tile(tmp_path, config, labelled_picture):
    write_dataset(tmp_path / "labels" / "train", [labelled_picture(i) for i in range(4)])
    inputs = dataclasses.replace(config.inputs, objective="dense_labels")
    dataset = open_dataset(tmp_path / "labels" / "train")
    as_text = load_index(dataset, config.inputs, **SIZES)
    index = load_index(dataset, inputs, **SIZES)
    # One cache does not serve both.
    assert as_text[:]["tokens"].tolist() != index[:]["tokens"].tolist()
    assert index[:].tolist() == [(5, 1)] * 4


def test_plain_text_is_told_from_dialogue(tmp_path, config):
    turns = Text("hello", role="user"), Text("hello", role="assistant", loss=True)
    plain = Example((Text("hello", loss=True),), "texts", "1", "text", {})
    talk = Example(turns, "texts", "2", "text", {})
    write_dataset(tmp_path / "texts" / "train", [plain, talk])
    index = load_index(open_dataset(tmp_path / "texts" / "train"), config.inputs, **SIZES)
    assert index[:]["tiles"].tolist() == [index_lib.DOCUMENT, 0]


def test_an_index_comes_in_chunks():
    index = index_lib.Index.of(range(10), [0] * 10)
    chunks = [(start, counts["tokens"].tolist()) for start, counts in index.chunks(4)]
    assert chunks == [(0, [0, 1, 2, 3]), (4, [4, 5, 6, 7]), (8, [8, 9])]
