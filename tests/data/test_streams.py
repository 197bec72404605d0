"""Data sets that are read as they come, mixed with prepared ones."""

import gzip
import itertools
import json

import pytest

from mm15_jax import config as config_lib
from mm15_jax.config import replace_nested
from mm15_jax.config.mixtures import Group
from mm15_jax.data.pipeline import open_pipeline
from tests.data.pipelines import assert_equal_batches


@pytest.fixture
def corpus(tmp_path):
    """Published text in two files, with a damaged line."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    lines = [json.dumps({"text": f"document {i} " + "word " * (i % 9)}) for i in range(30)]
    (folder / "a.jsonl").write_text("\n".join([*lines[:20], '{"text":']))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(lines[20:]).encode()))
    return folder


@pytest.fixture
def groups(monkeypatch):
    found = (Group("general", 1.0, ("pictures",)), Group("text", 1.0, ("hq_text",)))
    monkeypatch.setattr(config_lib, "mixture", lambda config: found)


def streaming(config, corpus, **changes):
    return replace_nested(
        config,
        {"data.packing": "late", "data.streams": (f"hq_text={corpus}",), **changes},
    )


def test_a_stream_is_mixed_with_prepared_data(config, data_dir, groups, corpus):
    config = streaming(config, corpus, **{"data.max_bad_fraction": 0.1})
    with open_pipeline(config, data_dir) as pipeline:
        batches = list(itertools.islice(pipeline, 20))
        assert pipeline.sources == ["pictures", "hq_text"]
        assert pipeline.categories == ["general", "text"]
    counts = dict.fromkeys(("pictures", "hq_text"), 0)
    for _, stats, _ in batches:
        for name, count in stats.by_source.items():
            counts[name] += count.examples
    # 30 documents came several times over.
    assert counts["hq_text"] > 60
    assert counts["hq_text"] / sum(counts.values()) == pytest.approx(0.5, abs=0.05)
    halves = [open_pipeline(config, data_dir, host_rows=rows) for rows in ((0, 1), (2, 3))]
    for pipeline, rows in zip(halves, (slice(0, 2), slice(2, 4)), strict=True):
        with pipeline:
            for (batch, _, _), (half, _, _) in zip(batches[:6], pipeline, strict=False):
                assert_equal_batches(half, {name: array[rows] for name, array in batch.items()})


def test_a_run_goes_on_with_its_streams_and_with_no_others(
    config, data_dir, groups, corpus, caplog
):
    config = streaming(config, corpus)
    with open_pipeline(config, data_dir) as pipeline:
        straight = list(itertools.islice(pipeline, 8))
        state = {**pipeline.state, "cursor": straight[2][2]}
    with open_pipeline(config, data_dir, state=state, step=3) as pipeline:
        for (batch, _, _), (resumed, _, _) in zip(straight[3:], pipeline, strict=False):
            assert_equal_batches(resumed, batch)
    assert caplog.text.count("reading again the 12 rows") == 1
    (corpus / "again").mkdir()
    (corpus / "again" / "a.jsonl").write_text('{"text": "another"}\n')
    other = streaming(config, corpus / "again")
    with pytest.raises(ValueError, match="a run cannot go on with others"):
        open_pipeline(other, data_dir, state=state, step=3)


def test_bad_records_of_a_stream_are_named(config, data_dir, groups, corpus, caplog):
    with open_pipeline(streaming(config, corpus), data_dir) as pipeline:
        list(itertools.islice(pipeline, 20))
    assert "of hq_text: a line that is not JSON" in caplog.text


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ("hq_txt={}", "unknown data set of the mixture 'hq_txt'"),
        ("hq_text={}/absent", "absent does not exist"),
        ("hq_text={}/held_out", r"held_out holds nothing of 'hq_text' \(train\)"),
        ("pictures={}", "unknown data set 'pictures'"),
    ],
)
def test_a_stream_that_cannot_be_read_is_one_sentence(
    config, data_dir, groups, corpus, stream, words
):
    (corpus / "held_out").mkdir()
    (corpus / "held_out" / "val.jsonl").write_text('{"text": "not to train on"}\n')
    config = replace_nested(
        config, {"data.packing": "late", "data.streams": (stream.format(corpus),)}
    )
    with pytest.raises(ValueError, match=words):
        open_pipeline(config, data_dir)


def test_a_stream_has_no_size_to_share_a_weight_by(config, data_dir, corpus, monkeypatch):
    found = (Group("text", 1.0, ("texts", "hq_text")),)
    monkeypatch.setattr(config_lib, "mixture", lambda config: found)
    with pytest.raises(ValueError, match=r"the stream 'hq_text' has none"):
        open_pipeline(streaming(config, corpus), data_dir)
    found = (Group("text", 1.0, ("texts", "hq_text"), (0.5, 0.5)),)
    with open_pipeline(streaming(config, corpus), data_dir) as pipeline:
        assert next(pipeline)[1].examples
    # Groups without a stream divide their weight as ever.
    found = (Group("general", 1.0, ("pictures", "texts")), Group("text", 1.0, ("hq_text",)))
    with open_pipeline(streaming(config, corpus), data_dir) as pipeline:
        assert set(next(pipeline)[1].by_source) == {"pictures", "texts", "hq_text"}


def test_streams_want_late_packing():
    with pytest.raises(ValueError, match=r"data\.streams needs data\.packing=late"):
        config_lib.load("mm15_nano_pretrain", ["data.streams=mini_text=folder"])
    with pytest.raises(ValueError, match="expected NAME=FOLDER_OR_URL"):
        config_lib.load("mm15_nano_pretrain", ["data.packing=late", "data.streams=folder"])
