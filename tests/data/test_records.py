import concurrent.futures
import dataclasses
import functools
import json
import os
import random
import re
import resource

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm15_jax.data import records, shard_files
from mm15_jax.data.records import (
    decode_example,
    encode_example,
    open_dataset,
    write_dataset,
)
from mm15_jax.inputs.example import Example, Image, Text, Video

text = st.text(max_size=20)
segments = st.lists(
    st.builds(Text, text, st.sampled_from(["document", "user", "assistant"]), st.booleans())
    | st.builds(Image, st.binary(max_size=30), st.integers(1, 9999), st.integers(1, 9999))
    | st.builds(
        Video,
        st.binary(max_size=30) | st.lists(st.binary(max_size=9), max_size=3).map(tuple),
        st.integers(1, 9999),
        st.floats(0, 9999),
        st.integers(1, 9999),
        st.integers(1, 9999),
    ),
    max_size=5,
).map(tuple)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
examples = st.builds(
    Example, segments, text, text, text, st.dictionaries(text, json_values, max_size=3)
)


@given(examples)
def test_an_example_comes_back_as_it_was(example):
    assert decode_example(encode_example(example)) == example


@pytest.mark.parametrize("damaged", [b"", b"\xc1", b"\x93\x01\x02", msgpack.packb([1, 2])])
def test_a_damaged_record_is_a_value_error(damaged):
    with pytest.raises(ValueError, match="not a serialised example"):
        decode_example(damaged)


def test_records_without_clips_are_as_they_were():
    """Shards of earlier versions are read, and new ones without clips have their bytes."""
    example = Example((Image(b"png", 3, 4, "user"), Text("a", "user")), "s", "k", "c", {"n": 1})
    segments = [[1, b"png", 3, 4, "user"], [0, "a", "user", False]]
    written = msgpack.packb([1, "s", "k", "c", segments, {"n": 1}])
    assert encode_example(example) == written and decode_example(written) == example


def test_a_record_with_a_clip_has_a_version_that_older_programs_refuse():
    example = Example((Video(b"mp4", 9, 1.5, 3, 4), Text("a")), "s", "k", "c", {})
    assert msgpack.unpackb(encode_example(example))[0] == 2


def test_a_record_of_another_version_is_refused():
    fields = msgpack.unpackb(encode_example(Example((), "s", "k", "c", {})))
    with pytest.raises(ValueError, match=r"record of version 99.*prepare the data set again"):
        decode_example(msgpack.packb([99, *fields[1:]]))


def make_examples(n, start=0):
    return [
        Example(
            (Text(f"text {i}", loss=True),), "numbers", f"{i}", ["even", "odd"][i % 2], {"n": i}
        )
        for i in range(start, start + n)
    ]


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "numbers" / "train"
    write_dataset(path, make_examples(31), shards=4, licence="CC0")
    return path


def test_random_access_over_shards(directory):
    dataset = open_dataset(directory)
    assert len(dataset) == 31
    assert [dataset[i].metadata["n"] for i in (30, 0, 17, 7, 8)] == [30, 0, 17, 7, 8]
    assert list(dataset) == make_examples(31)
    with pytest.raises(IndexError):
        dataset[31]


def test_manifest_tells_what_is_there(directory):
    manifest = open_dataset(directory).manifest
    assert (manifest.name, manifest.split, manifest.licence) == ("numbers", "train", "CC0")
    assert manifest.categories == {"even": 16, "odd": 15}
    assert sum(shard.records for shard in manifest.shards) == manifest.records == 31
    for shard in manifest.shards:
        assert records.file_sha256(directory / shard.file) == shard.sha256


def test_threads_may_share_a_data_set(directory):
    dataset = open_dataset(directory)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: dataset[i % 31].metadata["n"], range(2000)))
    assert read == [i % 31 for i in range(2000)]


def test_few_files_are_open_however_many_shards_were_read(tmp_path, monkeypatch):
    write_dataset(tmp_path / "many" / "train", make_examples(40), shards=40)
    dataset = open_dataset(tmp_path / "many" / "train")
    opened = functools.lru_cache(maxsize=3)(shard_files._open)
    monkeypatch.setattr(shard_files, "_readers", lambda: opened)
    before = len(os.listdir("/proc/self/fd"))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: dataset[i % 40].metadata["n"], range(800)))
    assert read == [i % 40 for i in range(800)]
    assert len(os.listdir("/proc/self/fd")) <= before + 3
    assert opened.cache_info().misses >= 40


def test_a_data_set_that_was_written_again_is_read_anew(directory):
    assert open_dataset(directory)[0].metadata["n"] == 0
    write_dataset(directory, make_examples(31, start=1), shards=4)
    assert open_dataset(directory)[0].metadata["n"] == 1


def test_damage_in_a_shard_is_of_its_record_alone(tmp_path):
    path = tmp_path / "numbers" / "train"
    examples = [
        dataclasses.replace(example, segments=(Text(random.Random(n).randbytes(4000).hex()),))
        for n, example in enumerate(make_examples(31))
    ]
    write_dataset(path, examples)
    shard = path / "00000-of-00001.array_record"
    content = bytearray(shard.read_bytes())
    content[64_000] ^= 0xFF
    shard.write_bytes(content)
    dataset, damaged = open_dataset(path), []
    for n, example in enumerate(examples):
        try:
            assert dataset[n] == example
        except ValueError as error:
            damaged.append(str(error))
    assert len(damaged) == 1
    assert re.match(r"record \d+ of 'numbers': 00000-of-00001.array_record is damaged", damaged[0])


def test_a_shard_that_goes_is_an_error_of_files(directory):
    dataset = open_dataset(directory)
    for shard in directory.glob("*.array_record"):
        shard.unlink()
    with pytest.raises(OSError, match=r"00000-of-00004\.array_record cannot be opened"):
        dataset[0]


def test_a_disk_that_takes_no_more_is_an_error_of_files(tmp_path):
    path = tmp_path / "numbers" / "train" / "00000-of-00001.array_record"
    texts = (Text(random.Random(n).randbytes(4000).hex()) for n in range(1000))
    examples = (Example((text,), "numbers", "0", "even", {}) for text in texts)
    encoded = (("even", encode_example(example)) for example in examples)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OSError, match=r"cannot be written: .*File too large"):
            records.write_shard(path, encoded)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(path.parent.iterdir()) == []


def test_equal_examples_make_equal_files(directory, tmp_path):
    again = write_dataset(tmp_path / "other" / "train", make_examples(31), shards=4)
    assert again.checksum == open_dataset(directory).manifest.checksum
    other = write_dataset(tmp_path / "third" / "train", make_examples(31, start=1), shards=4)
    assert other.checksum != again.checksum


def test_an_empty_data_set_opens(tmp_path):
    write_dataset(tmp_path / "none" / "train", [])
    assert len(open_dataset(tmp_path / "none" / "train")) == 0


def test_absent_and_empty_directories_name_the_command(tmp_path):
    path = tmp_path / "numbers" / "train"
    with pytest.raises(ValueError, match=r"no data set 'numbers'.*`mm15 prepare numbers --out .*`"):
        open_dataset(path)
    path.mkdir(parents=True)
    with pytest.raises(ValueError, match=r"no data set 'numbers'.*`mm15 prepare numbers --out .*`"):
        open_dataset(path)


def test_a_data_set_without_manifest_is_not_whole(directory):
    (directory / records.MANIFEST).unlink()
    with pytest.raises(ValueError, match="is not whole: run `mm15 prepare numbers --out "):
        open_dataset(directory)


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_missing_or_short_shard_is_named(directory, damage):
    shard = directory / "00002-of-00004.array_record"
    if damage == "gone":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"00002-of-00004.*`mm15 prepare numbers --out .*` again"):
        open_dataset(directory)


@pytest.mark.parametrize("content", ["{", "[]", '{"shards": []}', '{"shards": [{"x": 1}]}'])
def test_a_damaged_manifest_is_one_sentence(directory, content):
    (directory / records.MANIFEST).write_text(content)
    with pytest.raises(ValueError, match="cannot be read"):
        open_dataset(directory)


def test_a_manifest_of_another_version_is_refused(directory):
    path = directory / records.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"record_version": 0}))
    with pytest.raises(ValueError, match="record version 0"):
        open_dataset(directory)


def test_a_failing_writer_leaves_no_file(tmp_path):
    def fail():
        yield from (("even", encode_example(example)) for example in make_examples(3))
        raise RuntimeError("source gone")

    path = tmp_path / "numbers" / "train" / "00000-of-00001.array_record"
    with pytest.raises(RuntimeError, match="source gone"):
        records.write_shard(path, fail())
    assert list(path.parent.iterdir()) == []


def test_manifest_survives_its_own_json(directory):
    manifest = records.read_manifest(directory)
    records.write_manifest(directory, manifest)
    assert records.read_manifest(directory) == manifest
    assert dataclasses.replace(manifest, shards=()).checksum != manifest.checksum
