import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm15_jax.data import plan_items
from mm15_jax.data.index import COUNTS, DOCUMENT, Index
from mm15_jax.data.plan_items import Budgets, load_items, piece_start

BUDGETS = Budgets(tokens=64, tiles=6, cut_documents=True)


def naive_items(tokens, tiles, budgets):
    """(record, piece, tokens, tiles) of every item, one by one."""
    found = []
    for record, (length, count) in enumerate(zip(tokens, tiles, strict=True)):
        if length < 0 or count > budgets.tiles:
            continue
        if length <= budgets.tokens:
            found.append((record, 0, length, max(count, 0)))
        elif budgets.cut_documents and count == DOCUMENT:
            start = piece = 0
            while True:
                found.append((record, piece, min(budgets.tokens, length - start), 0))
                if start + budgets.tokens >= length:
                    break
                start, piece = start + budgets.tokens - 1, piece + 1
    return found


records_strategy = st.lists(
    st.one_of(
        st.tuples(st.integers(1, 64), st.integers(-1, 6)),
        st.tuples(st.integers(1, 400), st.integers(-1, 9)),
        st.just((-1, 0)),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=80, deadline=None)
@given(records=records_strategy, cut=st.booleans(), block=st.sampled_from([1, 3, 256]))
def test_items_by_position_are_those_counted_one_by_one(records, cut, block):
    tokens, tiles = zip(*records, strict=True)
    budgets = Budgets(64, 6, cut)
    before = plan_items._BLOCK, plan_items._SCANNED
    plan_items._BLOCK, plan_items._SCANNED = block, 4 * block
    try:
        items = load_items(Index.of(tokens, tiles), budgets)
        expected = naive_items(tokens, tiles, budgets)
        assert len(items) == len(expected)
        order = np.random.default_rng(0).permutation(len(expected))
        found = items.find(order)
    finally:
        plan_items._BLOCK, plan_items._SCANNED = before
    columns = (found.records, found.pieces, found.tokens, found.tiles)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == [expected[i] for i in order]
    totals = items.totals
    assert totals.tokens == sum(item[2] for item in expected)
    assert totals.tiles == sum(item[3] for item in expected)
    assert totals.max_tokens == max((item[2] for item in expected), default=0)
    assert totals.max_tiles == max((item[3] for item in expected), default=0)
    left_out = sum(found.records for found in totals.left_out.values())
    assert left_out == len(records) - len({item[0] for item in expected})


def test_reasons_are_told_apart_and_some_records_named():
    tokens = [10, 65, 20, -1, 64, 200, 99]
    tiles = [0, 0, 7, 0, 6, 9, DOCUMENT]
    totals = load_items(Index.of(tokens, tiles), BUDGETS).totals
    assert totals.left_out["too_long"].first == (1, 5)
    assert totals.left_out["too_many_tiles"].first == (2,)
    assert totals.left_out["unusable"].first == (3,)
    assert totals.cut == 1 and totals.items == 4


def test_every_token_but_the_first_is_predicted_in_one_piece():
    length, budget = 200, 64
    predicted = []
    for _, piece, tokens, _ in naive_items([length], [DOCUMENT], BUDGETS):
        start = piece_start(piece, budget)
        predicted += range(start + 1, start + tokens)
    assert predicted == list(range(1, length))


def test_whole_data_sets_need_no_list():
    items = load_items(Index.of([5] * 1000, [1] * 1000), BUDGETS)
    assert items._starts is None and len(items) == 1000


@pytest.fixture
def on_disk(tmp_path):
    counts = np.zeros(1000, COUNTS)
    counts["tokens"] = np.arange(1000) % 80 + 1
    np.save(tmp_path / "index-0.npy", counts)
    return Index(tmp_path / "index-0.npy", "a checksum")


def test_what_a_scan_found_is_kept_for_its_budgets(on_disk, monkeypatch):
    first = load_items(on_disk, BUDGETS)
    scans = []
    scan = plan_items._scan
    monkeypatch.setattr(plan_items, "_scan", lambda *a: scans.append(1) or scan(*a))
    again = load_items(on_disk, BUDGETS)
    assert not scans and again.totals == first.totals
    positions = np.arange(len(first))
    assert np.array_equal(again.find(positions).records, first.find(positions).records)
    load_items(on_disk, Budgets(32, 6, True))
    load_items(on_disk, Budgets(64, 6, False))
    load_items(Index(on_disk.counts, "another"), BUDGETS)
    assert len(scans) == 3


def test_totals_say_of_which_counts_they_are(on_disk, tmp_path):
    same = Index.of(on_disk[:]["tokens"], on_disk[:]["tiles"], "of another release")
    other = Index.of(on_disk[:]["tokens"] + 1, on_disk[:]["tiles"])
    counts = [load_items(index, BUDGETS).totals.counts for index in (on_disk, same, other)]
    assert counts[0] == counts[1] != counts[2]


def test_a_damaged_file_is_scanned_anew(on_disk, caplog):
    first = load_items(on_disk, BUDGETS)
    (path,) = on_disk.counts.parent.glob("*.items-*.npz")
    path.write_bytes(path.read_bytes()[:90])
    with caplog.at_level(logging.WARNING):
        assert load_items(on_disk, BUDGETS).totals == first.totals
    assert "cannot be read" in caplog.text


def test_a_lookup_leaves_no_mapping_behind(on_disk):
    def mapped():
        with open("/proc/self/maps") as maps:
            return sum("index-0.npy" in line for line in maps)

    items = load_items(on_disk, BUDGETS)
    found = items.find(np.arange(50))
    assert mapped() == 0 and len(found.records) == 50
