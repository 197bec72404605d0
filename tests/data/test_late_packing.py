import hashlib
import itertools
import logging

import pytest

from mm15_jax.config import replace_nested
from mm15_jax.data import bad_records, late_packing
from mm15_jax.data.late_packing import LatePlan, LateSource
from mm15_jax.data.pipeline import open_pipeline
from mm15_jax.data.plan_items import Budgets
from mm15_jax.data.preparation import BadRecord
from mm15_jax.data.records import open_dataset
from mm15_jax.inputs.example import Example, Text
from tests.data.pipelines import assert_equal_batches


def stream(name, lengths):
    """A function that begins a stream of texts; their length is their number of letters."""

    def begin():
        for i, length in enumerate(lengths):
            text = Text("x" * length, role="user" if i % 2 else "document", loss=True)
            yield Example((text,), name, f"{name}/{i}", "text", {})

    return begin


def measure(example):
    length = len(example.segments[0].text)
    if length == 13:
        raise ValueError("thirteen")
    return length, length % 3


def make(*sources, max_bad_fraction=0.01, budgets=Budgets(100, 8, True)):
    sources = sources or (
        LateSource("a", stream("a", [20, 7, 33, 50, 3, 21, 60]), 2.0),
        LateSource("b", stream("b", [11, 40, 5]), 1.0),
    )
    return LatePlan(sources, budgets, measure, window=16, seed=1, max_bad_fraction=max_bad_fraction)


def as_lists(rows):
    return [(r.sources.tolist(), r.records.tolist(), [e.key for e in r.examples]) for r in rows]


def test_rows_keep_both_budgets_and_the_mixture():
    rows, cursor = make().batch(0, 300)
    assert cursor == 300
    assert all(row.tokens.sum() <= 100 and row.tiles.sum() <= 8 for row in rows)
    drawn = [s for row in rows for s in row.sources.tolist()]
    assert drawn.count(0) / len(drawn) == pytest.approx(2 / 3, abs=0.03)
    for row in rows:
        for example, tokens in zip(row.examples, row.tokens.tolist(), strict=True):
            assert len(example.segments[0].text) == tokens


def test_a_stream_comes_in_its_order_and_begins_again():
    rows, _ = make(LateSource("a", stream("a", [20, 7, 33]), 1.0)).batch(0, 100)
    # Rows are filled side by side: the order is that of the records' running numbers.
    pairs = sorted(
        (r, e.key) for row in rows for r, e in zip(row.records.tolist(), row.examples, strict=True)
    )
    assert {key for _, key in pairs} == {"a/0", "a/1", "a/2"}


def test_the_rows_of_late_packing_never_change():
    plan = make()
    keys = [[e.key for e in row.examples] for row in plan.batch(0, 200)[0]]
    digest = hashlib.sha256(repr(keys).encode()).hexdigest()
    assert digest[:16] == "6d6e89f11718a235"
    assert plan.fingerprint == "5bf75755eb937347"


def test_a_restart_reads_again_and_gives_the_same_rows(caplog):
    straight, _ = make().batch(0, 80)
    plan = make()
    _, cursor = plan.batch(0, 30)
    with caplog.at_level(logging.WARNING):
        going_on, _ = plan.batch(cursor, 50)
        assert not caplog.text
        resumed, _ = make().batch(cursor, 50)
    assert "reading again the 30 rows" in caplog.text
    assert as_lists(going_on) == as_lists(resumed) == as_lists(straight[30:])


def test_long_documents_are_cut_and_long_dialogues_left_out(caplog):
    source = LateSource("a", stream("a", [250, 250, 20, 20]), 1.0)
    plan = make(source)
    with caplog.at_level(logging.WARNING):
        rows, _ = plan.batch(0, 100)
    pieces = {
        (e.key, p, t)
        for row in rows
        for e, p, t in zip(row.examples, row.pieces.tolist(), row.tokens.tolist(), strict=True)
        if e.key == "a/0"
    }
    assert pieces == {("a/0", 0, 100), ("a/0", 1, 100), ("a/0", 2, 52)}
    assert "1 examples have more than 100 tokens and are left out: a/1" in caplog.text
    told = dict(plan.left_out)
    assert told["a", "more than 100 tokens"] > 1
    plan.batch(0, 100)  # read again, they are no more than they were
    assert plan.left_out == told


def test_bad_examples_are_named_and_too_many_end_it(caplog, monkeypatch):
    monkeypatch.setattr(bad_records, "_JUDGED_OVER", 10)
    source = LateSource("a", stream("a", [20, 13, 20]), 1.0)
    with caplog.at_level(logging.WARNING):
        make(source, max_bad_fraction=0.5).batch(0, 200)
    assert "left out a/1 of a: thirteen" in caplog.text
    with pytest.raises(ValueError, match=r"more than data\.max_bad_fraction 0 allows"):
        make(source, max_bad_fraction=0.0).batch(0, 200)


def test_pieces_left_out_of_records_are_neither_bad_nor_take_a_place_in_the_mixture():
    def with_pieces():
        for example in stream("a", [20, 7, 33])():
            yield example
            yield from (BadRecord(f"{example.key}:{box}", "empty", within=True) for box in range(3))

    sources = LateSource("a", with_pieces, 1.0), LateSource("b", stream("b", [11, 40]), 1.0)
    rows, _ = make(*sources, max_bad_fraction=0.0).batch(0, 300)
    drawn = [s for row in rows for s in row.sources.tolist()]
    assert drawn.count(0) / len(drawn) == pytest.approx(1 / 2, abs=0.03)


def test_sources_of_which_nothing_fits_are_an_error(monkeypatch):
    monkeypatch.setattr(late_packing, "_HOPELESS", 50)
    source = LateSource("a", stream("a", [250]), 1.0)
    with pytest.raises(ValueError, match="none of the last 50 examples fits a row"):
        make(source, budgets=Budgets(100, 8, False)).batch(0, 1)


def test_what_fits_no_row_among_much_that_does_is_no_error(monkeypatch):
    monkeypatch.setattr(late_packing, "_HOPELESS", 3)
    source = LateSource("a", stream("a", [250, 20, 250, 250, 20]), 1.0)
    plan = make(source, budgets=Budgets(100, 8, False))
    rows, _ = plan.batch(0, 50)
    assert len(rows) == 50 and plan.left_out["a", "more than 100 tokens"] > 50


def test_an_example_of_more_tiles_than_can_be_counted_is_left_out(caplog):
    def as_a_book(example):
        tokens, tiles = measure(example)
        return tokens, 40_000 if tokens == 21 else tiles

    source = LateSource("a", stream("a", [20, 21, 40]), 1.0)
    plan = LatePlan(
        [source], Budgets(100, 8, True), as_a_book, window=16, seed=1, max_bad_fraction=0.0
    )
    rows, _ = plan.batch(0, 20)
    assert {e.key for row in rows for e in row.examples} == {"a/0", "a/2"}
    assert "1 examples have more than 8 tiles and are left out: a/1" in caplog.text


def breaking(error):
    """A stream of three examples whose second part cannot be read."""

    def begin():
        yield from stream("a", [20, 7, 33])()
        raise error

    return begin


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        (lambda: iter(()), "the stream 'a' has no example"),
        (breaking(ValueError("1.parquet is torn")), "the stream 'a' cannot be read on: 1.parquet"),
        (breaking(ConnectionResetError("no answer")), "the stream 'a' cannot be read on: no answ"),
    ],
)
def test_a_stream_that_cannot_be_read_on_ends_it(examples, words):
    with pytest.raises(ValueError, match=words):
        make(LateSource("a", examples, 1.0)).batch(0, 20)


def test_text_alone_needs_no_tiles():
    rows, _ = LatePlan(
        [LateSource("a", stream("a", [20, 30]), 1.0)],
        Budgets(100, 0, False),
        lambda example: (len(example.segments[0].text), 0),
        window=8,
        seed=0,
        max_bad_fraction=0.0,
    ).batch(0, 20)
    assert all(0 < row.tokens.sum() <= 100 for row in rows)


def test_prepared_data_without_an_index(config, data_dir, mixture, tmp_path):
    import shutil

    for name in ("pictures", "texts"):
        shutil.copytree(data_dir / name, tmp_path / name, ignore=shutil.ignore_patterns("index-*"))
    config = replace_nested(config, {"data.allow_missing": True, "data.packing": "late"})

    def take(count, **arguments):
        with open_pipeline(config, tmp_path, **arguments) as pipeline:
            return list(itertools.islice(pipeline, count)), pipeline.state

    whole, state = take(16)
    assert not list(tmp_path.rglob("index-*"))
    assert state["history"] == [{"from_step": 0, "plan": state["plan"], "packing": "late"}]
    halves = [take(16, host_rows=rows)[0] for rows in (range(0, 2), range(2, 4))]
    for step, (batch, _, cursor) in enumerate(whole):
        for half, rows in zip(halves, (slice(0, 2), slice(2, 4)), strict=True):
            assert_equal_batches(half[step][0], {k: v[rows] for k, v in batch.items()})
        assert cursor == (step + 1) * 4
    resumed, _ = take(11, state={**state, "cursor": whole[4][2]}, step=5)
    for (a, _, _), (b, _, _) in zip(whole[5:], resumed, strict=True):
        assert_equal_batches(a, b)
    counts = dict.fromkeys(("pictures", "texts"), 0)
    for _, stats, _ in whole:
        for name, count in stats.by_source.items():
            counts[name] += count.examples
    assert counts["pictures"] / sum(counts.values()) == pytest.approx(0.75, abs=0.06)
    keys = {e.key for e in open_dataset(tmp_path / "texts" / "train")}
    assert len(keys) == 45
    with pytest.raises(ValueError, match=r"data.packing=late a run cannot go on with others"):
        take(1, state={"cursor": 0, "plan": "another"})
