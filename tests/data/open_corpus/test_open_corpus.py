from __future__ import annotations

import hashlib
import io
import itertools

import fsspec
import PIL.Image
import pytest

from mm15_jax.data.open_corpus import common, documents
from mm15_jax.data.preparation import Part
from mm15_jax.data.prepare import prepare
from mm15_jax.data.source import Source
from mm15_jax.evaluation.metrics import METRICS
from mm15_jax.inputs.example import Text
from tests.data.open_corpus.read_corpus import (
    BY_NAME,
    DOCUMENT_SETS,
    answer_of,
    count,
    every,
    examples,
    images,
)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_example_is_whole_and_counted(corpus, name):
    found = every(name, corpus)
    assert len(found) == count(name, corpus) > 0
    assert len({e.key for _, e in found}) == len(found)
    for _, example in found:
        assert example.source == name
        assert example.category == BY_NAME[name].category
        assert any(isinstance(s, Text) and s.loss and s.text for s in example.segments)
        for image in images(example):
            with PIL.Image.open(io.BytesIO(image.data)) as picture:
                assert picture.size == (image.width, image.height)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_truth_scores_full_marks_by_its_own_metric(corpus, name):
    for split, example in every(name, corpus):
        if split != "train" and name not in DOCUMENT_SETS:
            assert METRICS[example.metadata["metric"]](answer_of(example), example) == 1


@pytest.mark.parametrize("name", ["open_stamps", "open_maps", "open_flags", "open_handbook"])
def test_no_picture_is_in_two_splits(corpus, name):
    splits = {}
    for split, example in every(name, corpus):
        for image in images(example):
            splits.setdefault(hashlib.sha256(image.data).digest(), set()).add(split)
    assert all(len(s) == 1 for s in splits.values())


def test_a_page_is_in_the_same_split_of_all_document_sets(corpus):
    splits = {}
    for name in ("open_lines", "open_paragraphs", "open_pages", "open_page_texts"):
        for split, example in every(name, corpus):
            page = (example.metadata["document"], example.metadata["page"])
            splits.setdefault(page, set()).add(split)
    assert len(splits) == 20
    assert all(len(s) == 1 for s in splits.values())


@pytest.mark.parametrize("name", BY_NAME)
def test_a_range_gives_the_same_examples_as_the_whole(corpus, name):
    whole, source = examples(name, "train", corpus), Source(corpus)
    n = len(whole)
    parts = [Part("", n // 3, (), 0, n // 3), Part("", n - n // 3, (), n // 3, n)]
    cut = [made for part in parts for made in BY_NAME[name].convert("train", part, source)]
    assert tuple(cut) == whole


@pytest.mark.parametrize("name", BY_NAME)
def test_a_missing_source_says_how_to_obtain_it(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name}: .*get_open_corpus.sh"):
        BY_NAME[name].parts("train", Source(tmp_path))
    with pytest.raises(ValueError, match=f"{name}.*--source.*get_open_corpus.sh"):
        prepare(BY_NAME[name], tmp_path / "out")


def test_a_bucket_is_refused():
    fsspec.filesystem("memory").pipe("/corpus/file", b"")
    with pytest.raises(ValueError, match="local folder"):
        BY_NAME["open_stamps"].parts("train", Source("memory://corpus"))


def test_split_shares_are_eight_one_one():
    splits = [common.split_of(f"unit {i}") for i in range(5000)]
    assert abs(splits.count("train") / 5000 - 0.8) < 0.02
    assert abs(splits.count("test") / 5000 - 0.1) < 0.02


def test_names_that_share_marks_by_way_of_others_are_one_unit():
    units = common.linked([("c", ["1"]), ("b", ["1", "2"]), ("a", ["2"]), ("d", ["3"]), ("1", [])])
    assert units == {"a": "a", "b": "a", "c": "a", "d": "d", "1": "1"}


def test_the_first_examples_of_a_split_are_a_fair_sample(corpus):
    first = examples("open_stamps", "test", corpus) + examples("open_stamps", "validation", corpus)
    assert [e.key for e in first] != sorted(e.key for e in first)
    train = examples("open_stamps", "train", corpus)[:12]
    assert len({e.key.split("/")[0] for e in train}) > 1
    pages = [e.metadata["page"] for e in examples("open_lines", "train", corpus)]
    changes = sum(a != b for a, b in itertools.pairwise(pages))
    assert changes < len(pages) // documents.LINE_CROPS + 1  # a page is read once


# Stamps.
