"""Prepared data sets in buckets: written there, opened there, read through the cache."""

import dataclasses
import json
import os

import numpy as np
import pytest

from mm15_jax.data import cache, parts, records, registry, storage
from mm15_jax.data import index as index_lib
from mm15_jax.data.index import load_index
from mm15_jax.data.inventory import dataset_counts
from mm15_jax.data.parts import RECEIPTS
from mm15_jax.data.planning import count_dataset, make_plan
from mm15_jax.data.prepare import prepare
from mm15_jax.data.prepare_report import REPORT
from mm15_jax.data.records import MANIFEST, open_dataset, read_manifest, write_dataset
from mm15_jax.data.storage import StorageError, to_path, write_atomically
from tests.data.conftest import picture_question

NAME = "mini_word_qa"


def prepare_words(data_dir, **arguments):
    arguments = {"workers": 1, "limit": 600, "progress": lambda event: None, **arguments}
    return prepare(registry.get(NAME), data_dir, ["test"], **arguments)[0]


@pytest.fixture(scope="module")
def local_words(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("words")
    prepare_words(data_dir)
    return read_manifest(data_dir / NAME / "test")


def copies():
    """Names of the files in the cache, without those that are being written and locks."""
    found = []
    for _, _, names in os.walk(os.environ[cache.CACHE]):
        found += [name for name in names if not name.startswith(".")]
    return sorted(found)


def test_preparing_into_a_bucket_gives_the_same_shards(prefix, local_words):
    report = prepare_words(prefix)
    split = to_path(prefix) / NAME / "test"
    assert report.directory == str(split)
    assert read_manifest(split).shards == local_words.shards and len(local_words.shards) > 1
    beside = {MANIFEST, REPORT, RECEIPTS}
    assert set(storage.sizes(split)) == beside | {s.file for s in local_words.shards}
    again = prepare_words(prefix)
    assert (again.shards_kept, again.shards) == (report.shards, report.shards)
    assert copies() == []  # nothing was read back
    text = dataclasses.replace(report, bad=1).as_text()
    assert text.endswith(f"all bad records: {prefix}/{NAME}/test/{RECEIPTS}")


def test_tasks_go_through_a_file_in_a_bucket(prefix):
    path = to_path(prefix) / NAME / "test" / ".tasks.jsonl"
    tasks = parts.tasks_of(registry.get(NAME), "test", None, path.parent)
    parts.write_tasks(path, tasks)
    assert list(parts.read_tasks(str(path))) == tasks


def test_preparing_into_a_bucket_goes_on_where_it_was_stopped(prefix, local_words, monkeypatch):
    write_shard, written = records.write_shard, []

    def stopping(path, encoded):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        return write_shard(path, encoded)

    monkeypatch.setattr(records, "write_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        prepare_words(prefix)
    with pytest.raises(ValueError, match="is not whole"):
        open_dataset(f"{prefix}/{NAME}/test")
    monkeypatch.setattr(records, "write_shard", write_shard)
    assert prepare_words(prefix).shards_kept == 1
    assert read_manifest(to_path(prefix) / NAME / "test").shards == local_words.shards


@pytest.fixture
def pictures(prefix):
    """A data set of three shards with twenty examples each; its address."""
    write_dataset(f"{prefix}/pictures/train", map(picture_question, range(60)), shards=3)
    return f"{prefix}/pictures/train"


def test_only_shards_that_are_read_are_fetched(pictures):
    dataset = open_dataset(pictures)
    assert len(dataset) == 60 and copies() == []
    assert dataset[25] == picture_question(25)
    assert [name.split("-", 1)[1] for name in copies()] == ["00001-of-00003.array_record"]
    assert [example.key for example in dataset] == [f"pictures/{i}" for i in range(60)]
    assert len(copies()) == 3


def test_a_second_process_reads_what_the_first_has_fetched(pictures, monkeypatch):
    assert open_dataset(pictures)[0] == picture_question(0)
    monkeypatch.setattr(cache, "fetch", lambda *_: pytest.fail("fetched again"))
    assert open_dataset(pictures)[19] == picture_question(19)


def test_a_shard_that_is_missing_is_told_when_the_set_is_opened(pictures):
    (to_path(pictures) / "00001-of-00003.array_record").unlink()
    with pytest.raises(ValueError, match=r"00001-of-00003\.array_record is missing.*mm15 prepare"):
        open_dataset(pictures)


def test_a_shard_that_is_damaged_is_told_and_never_a_bad_record(pictures):
    path = to_path(pictures) / "00000-of-00003.array_record"
    write_atomically(path, bytes(storage.sizes(path.parent)[path.name]))
    with pytest.raises(StorageError, match="has not the size and sha256"):
        open_dataset(pictures)[0]


def test_a_manifest_cannot_lead_out_of_its_folder(tmp_path):
    write_dataset(tmp_path / "pictures" / "train", map(picture_question, range(2)))
    path = tmp_path / "pictures" / "train" / MANIFEST
    fields = json.loads(path.read_text())
    fields["shards"][0]["file"] = "../elsewhere"
    path.write_text(json.dumps(fields))
    with pytest.raises(ValueError, match="leads out of its folder"):
        open_dataset(path.parent)


def test_the_index_is_kept_in_the_bucket(pictures, config, monkeypatch):
    sizes = {"tokens_per_tile": 4, "resolution": 16}
    counted = load_index(open_dataset(pictures), config.inputs, **sizes)
    monkeypatch.setattr("mm15_jax.data.index._count", lambda *_: pytest.fail("counted again"))
    found = load_index(open_dataset(pictures), config.inputs, **sizes)
    np.testing.assert_array_equal(found[:], counted[:])


def test_an_index_that_the_bucket_does_not_take_is_counted_once(pictures, config, monkeypatch):
    def refuse(local, remote):
        raise StorageError(f"{remote}: 403 no access")

    counted, measure = [], index_lib._measure
    monkeypatch.setattr(storage, "_upload", refuse)
    monkeypatch.setattr(index_lib, "_measure", lambda *a: counted.append(a) or measure(*a))
    found = load_index(open_dataset(pictures), config.inputs, tokens_per_tile=4, resolution=16)
    assert len(counted) == 1 and len(found[:]) == 60


def test_a_plan_of_a_bucket_is_that_of_a_disk(prefix, data_dir, config):
    for name in ("pictures", "texts"):
        write_dataset(f"{prefix}/{name}/train", open_dataset(data_dir / name / "train"), shards=2)
    weights = {"pictures": 0.5, "texts": 0.5}
    there, here = (
        make_plan(weights, {name: count_dataset(name, place, config) for name in weights}, config)
        for place in (prefix, data_dir)
    )
    for mine, other in zip(there.batch(0, 4)[0], here.batch(0, 4)[0], strict=True):
        np.testing.assert_array_equal(mine.records, other.records)


def test_an_absent_data_set_names_the_command(prefix):
    with pytest.raises(ValueError, match=r"no data set 'nothing' \(train\) at .*mm15 prepare"):
        open_dataset(f"{prefix}/nothing/train")
    with pytest.raises(ValueError, match=r"does not exist: run `mm15 prepare"):
        dataset_counts(["nothing"], f"{prefix}/nowhere")
