import collections
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm15_jax.data.index import DOCUMENT, Index
from mm15_jax.data.pack_plan import PackPlan, PlanSource
from mm15_jax.data.permutation import shuffled
from mm15_jax.data.plan_items import Budgets, load_items

BUDGETS = Budgets(tokens=64, tiles=6, cut_documents=True)


def arrays_source(name, tokens, tiles, weight=1.0, *, budgets=BUDGETS, **changes):
    return PlanSource(name, load_items(Index.of(tokens, tiles), budgets), weight, **changes)


def source(name, n, seed, *, weight=1.0, longest=50, most=4, budgets=BUDGETS, **changes):
    rng = np.random.default_rng(seed)
    tokens, tiles = rng.integers(1, longest + 1, n), rng.integers(0, most + 1, n)
    return arrays_source(name, tokens, tiles, weight, budgets=budgets, **changes)


def make(sources=None, *, seed=0, window=48, budgets=BUDGETS):
    sources = sources or [
        source("a", 70, 1, budgets=budgets),
        source("b", 90, 2, weight=0.5, budgets=budgets),
    ]
    return PackPlan(sources, budgets, window=window, seed=seed)


def as_lists(rows):
    columns = ("sources", "records", "pieces", "tokens", "tiles")
    return [tuple(getattr(row, name).tolist() for name in columns) for row in rows]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), window=st.integers(1, 60), index=st.integers(0, 10**6))
def test_rows_hold_a_window_of_the_mixture_within_both_budgets(seed, window, index):
    plan = make(seed=seed, window=window)
    rows = plan.rows(index)
    for row in rows:
        assert 0 < row.tokens.sum() <= 64 and row.tiles.sum() <= 6
    laid = sorted((s, r) for row in as_lists(rows) for s, r in zip(*row[:2], strict=True))
    ids = sorted(zip(*(x.tolist() for x in plan.mixture.ids(index)), strict=True))
    assert laid == ids


documents = st.lists(st.integers(1, 300), min_size=1, max_size=25)


@settings(max_examples=20, deadline=None)
@given(
    lengths=documents,
    pictures=st.lists(st.tuples(st.integers(1, 90), st.integers(0, 9)), min_size=1, max_size=25),
    seed=st.integers(0, 1000),
    window=st.integers(1, 40),
)
def test_every_example_comes_once_an_epoch_whole_or_in_all_its_pieces(
    lengths, pictures, seed, window
):
    usable = [i for i, (t, n) in enumerate(pictures) if t <= 64 and n <= 6]
    if not usable:
        return
    sources = [
        arrays_source("documents", lengths, [DOCUMENT] * len(lengths), 2.0),
        arrays_source("pictures", *zip(*pictures, strict=True), 1.0),
    ]
    plan = make(sources, seed=seed, window=window)
    items = [len(s.items) for s in sources]
    windows = 2 * max(items[0], 2 * items[1]) // window + 2
    seen = [collections.Counter(), collections.Counter()]
    for number in range(windows):
        for row in plan.rows(number):
            for s, r, p in zip(row.sources, row.records, row.pieces, strict=True):
                seen[s][int(r), int(p)] += 1
    for counts, total in zip(seen, items, strict=True):
        assert len(counts) == total  # all of them have come
        assert max(counts.values()) - min(counts.values()) <= 1  # none twice before all once
    assert {r for r, _ in seen[1]} == set(usable)
    for record, length in enumerate(lengths):
        pieces = sorted(p for r, p in seen[0] if r == record)
        assert pieces == list(range(max(1, -(-(length - 1) // 63))))


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 1000), skipped=st.integers(0, 20))
def test_the_global_order_is_the_same_for_any_number_of_hosts_and_any_restart(seed, skipped):
    rows, steps, window = 64, 3, 150
    plan = make(seed=seed, window=window)
    _, cursor = plan.batch(0, skipped + 1)
    straight, end = [], cursor
    for _ in range(steps):
        batch, end = plan.batch(end, rows)
        straight.append(as_lists(batch))
    for hosts in (1, 2, 4, 8, 64):
        own = rows // hosts
        at = cursor
        for step in range(steps):
            if step in (0, 2):  # hosts start, and start again
                plans = [make(seed=seed, window=window) for _ in range(min(hosts, 2))]
            joined = []
            for host in range(hosts):
                batch, after = plans[host % len(plans)].batch(at, rows)
                joined += as_lists(batch[host * own : (host + 1) * own])
            assert joined == straight[step]
            at = after
        assert at == end


def test_records_that_no_row_can_hold_never_come():
    plan = make([arrays_source("a", [10, 65, 20, -1, 64, 200], [0, 0, 7, 0, 6, 9])], window=8)
    seen = {r for w in range(5) for row in plan.rows(w) for r in row.records.tolist()}
    assert seen == {0, 4}


def test_dropped_records_do_not_change_the_ratio_of_those_that_train():
    first = arrays_source("a", [10] * 5 + [999] * 95, [0] * 100, 0.5)
    plan = make([first, source("b", 80, 3, weight=0.5)], window=100)
    sources = np.concatenate([row.sources for row in plan.rows(0)])
    assert np.bincount(sources).tolist() == [50, 50]


def test_a_source_of_which_nothing_fits_is_refused():
    with pytest.raises(ValueError, match=r"'a' has weight 1.0 but no example that fits a row"):
        make([arrays_source("a", [99], [0])])


def test_small_batches_and_large_ones_give_the_same_rows():
    plan = make()
    small, cursor = [], 0
    for _ in range(30):
        rows, cursor = plan.batch(cursor, 3)
        small += as_lists(rows)
    large, end = plan.batch(0, 90)
    assert as_lists(large) == small and end == cursor
    assert cursor > 2 * plan.window  # crossed windows


def test_a_cursor_resumes_on_a_new_plan():
    plan, cursor = make(), 0
    for _ in range(7):
        _, cursor = plan.batch(cursor, 5)
    rows, after = plan.batch(cursor, 11)
    again, same = make().batch(cursor, 11)
    assert as_lists(rows) == as_lists(again) and after == same


def test_asking_is_pure():
    plan = make()
    first = as_lists(plan.batch(0, 4)[0])
    for cursor in (48 * 9, 48 * 2, 48 * 30, 48 * 5, 48):
        plan.batch(cursor, 40)
    assert as_lists(plan.batch(0, 4)[0]) == first


def test_the_rows_of_a_plan_never_change():
    # A run that is resumed with a later version of this code must see the same rows: where they
    # are meant to change, `pack_plan._VERSION` is raised, so that its fingerprint says so.
    def sized(name, n, longest, most, weight, **changes):
        # Our own shuffling: numpy's numbers may change from release to release.
        tokens, tiles = 1 + shuffled(n, 1) % longest, shuffled(n, 2) % (most + 1)
        return arrays_source(name, tokens, tiles, weight, **changes)

    texts = arrays_source("texts", 1 + 7 * shuffled(40, 3), [DOCUMENT] * 40, 0.7, ordered=True)
    sources = [
        sized("a", 70, 50, 4, 0.3),
        sized("b", 90, 50, 4, 1.0, start=17),
        texts,
        sized("small", 30, 8, 1, 0.25),
    ]
    plan = make(sources, seed=3, window=150)
    rows, cursor = plan.batch(0, 400)
    digest = hashlib.sha256(repr(as_lists(rows)).encode()).hexdigest()
    assert (cursor, digest[:16]) == (795, "8c42da623b963990")
    assert plan.fingerprint == "58ca41ddc8ea67ac"  # by which runs that are there know theirs


def test_cursors_only_grow():
    plan, cursor = make(), 0
    for _ in range(20):
        _, after = plan.batch(cursor, 4)
        assert after > cursor
        cursor = after


@pytest.mark.parametrize("cursor", [-1, 47, 48 + 46])
def test_a_cursor_of_another_plan_is_refused(cursor):
    with pytest.raises(ValueError, match="is no row of this plan"):
        make().batch(cursor, 2)


def test_rows_are_shuffled_within_a_window():
    loads = [int(row.tokens.sum()) for row in make().rows(0)]
    assert loads != sorted(loads, reverse=True)


def test_sources_may_start_where_they_were_read_to():
    plan = make(window=10)
    read = collections.Counter()
    for window in range(3):
        for row in plan.rows(window):
            read.update(zip(row.sources.tolist(), row.records.tolist(), strict=True))
    later = plan.starting_at(plan.mixture.positions(3))
    for row in later.rows(0):
        for pair in zip(row.sources.tolist(), row.records.tolist(), strict=True):
            assert pair not in read  # the same epoch goes on
    assert later.fingerprint == plan.fingerprint


def test_the_fingerprint_names_the_plan():
    base = make().fingerprint
    assert make().fingerprint == base
    others = [
        make(seed=1),
        make(window=49),
        make(budgets=Budgets(64, 7, True)),
        make(budgets=Budgets(64, 6, False)),
        make([source("a", 70, 1), source("b", 90, 2, weight=0.6)]),
        make([source("a", 70, 1, checksum="x"), source("b", 90, 2, weight=0.5)]),
    ]
    assert base not in {plan.fingerprint for plan in others}


def test_ratios_hold_over_a_long_run_in_examples_tokens_and_tiles():
    lengths = {"a": (10, 1), "b": (40, 4), "c": (25, 0)}
    weights = {"a": 0.55, "b": 0.15, "c": 0.3}
    plan = make(
        [arrays_source(n, [t] * 83, [k] * 83, weights[n]) for n, (t, k) in lengths.items()],
        window=100,
    )
    rows = [row for window in range(100) for row in plan.rows(window)]
    sources = np.concatenate([row.sources for row in rows])
    # Exact in examples, so what they come to in tokens and tiles is known.
    examples = np.bincount(sources)
    assert examples.tolist() == [5500, 1500, 3000]
    tokens = np.bincount(sources, np.concatenate([row.tokens for row in rows]))
    assert tokens.tolist() == [55_000, 60_000, 75_000]
    tiles = np.bincount(sources, np.concatenate([row.tiles for row in rows]), minlength=3)
    assert tiles.tolist() == [5500, 6000, 0]
