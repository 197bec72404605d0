import json

import pytest

from mm15_jax.data.convert.published import files_of, published_files, split_named
from mm15_jax.data.convert.questions import Maker, most_common, texts_of
from mm15_jax.data.convert.reading import (
    FILE_NAMES,
    JSON_LINES,
    grouped,
    in_memory,
    json_array,
    json_object,
    requiring,
    uncounted,
)
from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Image


@pytest.fixture
def source(tmp_path):
    rows = [{"image": name, "n": i} for i, name in enumerate("abacab")]
    rows.insert(2, {"n": 9})
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"cut": ')
    (tmp_path / "data").mkdir()
    for name in ("x-1.txt", "x-2.txt"):
        (tmp_path / "data" / name).write_text(name)
    return Source(tmp_path)


def records(reading, source, files):
    return [r for part in reading.parts(source, files) for _, r in reading.records(source, part)]


def test_records_of_a_picture_come_together_in_the_order_of_their_first(source):
    reading = grouped(json_array(), lambda record: (record["image"], record["n"]))
    [part] = reading.parts(source, ["rows.json"])
    assert part.records == 4 and part.files == ("rows.json",)
    *groups, bad = records(reading, source, ["rows.json"])
    assert groups == [("a", [0, 2, 4]), ("b", [1, 5]), ("c", [3])]
    assert isinstance(bad, DataError) and str(bad) == "KeyError: 'image'"


def test_groups_of_lines_keep_what_their_reading_refused(source):
    reading = grouped(JSON_LINES, lambda record: (record["image"], record["n"]))
    found = records(reading, source, ["rows.jsonl"])
    assert [str(r).partition(" (")[0] for r in found if isinstance(r, DataError)] == [
        "KeyError: 'image'",
        "a line that is not JSON: Expecting value: line 1 column 9",
    ]


def test_of_alternatives_the_first_that_is_there_counts(source):
    assert files_of(source, ["none.json|rows.json|rows.jsonl", "data/x-*.txt"]) == [
        "rows.json",
        "data/x-1.txt",
        "data/x-2.txt",
    ]
    assert files_of(source, ["y-*|data/*-2.txt"]) == ["data/x-2.txt"]
    [part] = FILE_NAMES.parts(source, files_of(source, ["data/*"]))
    assert records(FILE_NAMES, source, part.files) == ["data/x-1.txt", "data/x-2.txt"]


def test_a_split_without_files_is_no_error_and_a_source_without_any_is(source):
    files = {"train": ["rows.json"], "test": ["test.json"]}
    assert published_files(source, files, "test", "x") == []
    with pytest.raises(ValueError, match=r"has rows\.json, rows\.jsonl; expected y: test\.json"):
        published_files(source, {"test": ["test.json"]}, "test", "y: test.json")


def test_files_that_belong_together_are_all_there_or_refused(source):
    files = {"train": ["rows.json", "answers.json|rows.jsonl"], "test": ["rows.json", "none.json"]}
    found = published_files(source, files, "train", "x", together=True)
    assert found == ["rows.json", "rows.jsonl"]
    with pytest.raises(ValueError, match=r"has rows\.json alone; expected x: both"):
        published_files(source, files, "test", "x: both", together=True)


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("train.jsonl", "train"),
        ("c4-validation.00000-of-00008.json.gz", "validation"),
        ("val/0.jsonl", "validation"),
        ("my_dev_set.parquet", "validation"),
        ("test.json", "test"),
        ("latest.jsonl", "train"),
        ("values/evaluation.jsonl", "train"),
        ("validation/chunk1/example_holdout_0.jsonl.zst", "validation"),
        ("Test/chunk2/en/example_holdout_1.jsonl.zst", "test"),
        ("test/train/chunk1/0.jsonl", "train"),
        ("dev/en/c4-train.00000-of-00008.json.gz", "train"),
        ("test/val/chunk1/0.jsonl", "validation"),
        ("a-test-crawl/chunk1/0.jsonl", "train"),
    ],
)
def test_words_of_a_name_tell_the_split(file, split):
    assert split_named(file) == split


def test_what_is_read_whole_is_divided_by_its_records(source):
    rows = [(f"r{i}", i) for i in range(5)]
    reading = in_memory(lambda source, files: rows, per_part=2)
    parts = reading.parts(source, ["a", "b"])
    assert [(part.records, part.files) for part in parts] == [
        (count, ("a", "b")) for count in (2, 2, 1)
    ]
    assert [pair for part in parts for pair in reading.records(source, part)] == rows


def test_a_package_that_is_missing_is_said_before_anything_is_read(source):
    def check():
        raise ValueError("install it")

    with pytest.raises(ValueError, match="install it"):
        requiring(check, json_array()).parts(source, ["rows.json"])


def test_parts_of_several_splits_do_not_promise_their_number(source):
    assert [p.records for p in json_array().parts(source, ["rows.json"])] == [7]
    assert [p.records for p in uncounted(json_array()).parts(source, ["rows.json"])] == [None]
    with pytest.raises(ValueError, match="an object at its top"):
        json_object().parts(source, ["rows.json"])


def test_answers_are_texts_and_the_majority_is_trained_on(source):
    assert texts_of([" yes", "", None, 3, 2.5]) == ["yes", "3", "2.5"]
    assert most_common(["b", "a", "a", "b"]) == "b"
    with pytest.raises(DataError, match="no answer"):
        texts_of([" ", None])
    maker, image = Maker(source, "set", "general", "train"), Image(b"", 1, 1, "user")
    example = maker.short("k", image, " What? ", ["no", "yes", "yes"], "vqa_accuracy")
    assert [s.text for s in example.segments[1:]] == [
        "What?\nAnswer the question using a single word or phrase.",
        "yes",
    ]
    assert example.metadata == {"answer": ["no", "yes", "yes"], "metric": "vqa_accuracy"}


def test_questions_that_cannot_be_asked_are_refused(source):
    maker, image = Maker(source, "set", "general", "train"), Image(b"", 1, 1, "user")
    with pytest.raises(DataError, match="empty question"):
        maker.dialogue("k", image, [("Q", "a"), (" ", "b")])
    with pytest.raises(DataError, match="correct choice is None"):
        maker.choice("k", image, "Q", ["a", "b"], None)
    with pytest.raises(ValueError, match="27 choices"):
        maker.choice("k", image, "Q", ["ab"] * 27, 0)
