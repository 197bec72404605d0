import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm15_jax.data.pack_plan import PackPlan, PlanSource, first_fit_decreasing


def naive_first_fit_decreasing(tokens, tiles, max_tokens, max_tiles):
    def size(i):
        return max(
            tokens[i] / max_tokens if max_tokens else 0, tiles[i] / max_tiles if max_tiles else 0
        )

    rows = []
    for item in sorted(range(len(tokens)), key=lambda i: -size(i)):
        for row in rows:
            if (
                sum(tokens[i] for i in row) + tokens[item] <= max_tokens
                and sum(tiles[i] for i in row) + tiles[item] <= max_tiles
            ):
                row.append(item)
                break
        else:
            rows.append([item])
    return rows


# Powers of two, so that the naive version's divisions are exact.
@settings(max_examples=150, deadline=None)
@given(
    items=st.lists(st.tuples(st.integers(0, 64), st.integers(0, 8)), max_size=40),
)
def test_equals_the_naive_first_fit_decreasing(items):
    tokens = np.array([t for t, _ in items], np.int32)
    tiles = np.array([n for _, n in items], np.int32)
    rows = first_fit_decreasing(tokens, tiles, max_tokens=64, max_tiles=8)
    assert [row.tolist() for row in rows] == naive_first_fit_decreasing(tokens, tiles, 64, 8)


@settings(max_examples=80, deadline=None)
@given(tokens=st.lists(st.integers(1, 100), max_size=60), seed=st.integers(0, 100))
def test_budgets_hold_and_nothing_is_lost(tokens, seed):
    tokens = np.array(tokens, np.int32)
    tiles = np.random.default_rng(seed).integers(0, 6, len(tokens)).astype(np.int32)
    rows = first_fit_decreasing(tokens, tiles, max_tokens=100, max_tiles=5)
    assert all(tokens[row].sum() <= 100 and tiles[row].sum() <= 5 for row in rows)
    assert sorted(i for row in rows for i in row.tolist()) == list(range(len(tokens)))


def test_text_alone_needs_no_tile():
    tokens = np.array([5, 6, 4], np.int32)
    rows = first_fit_decreasing(tokens, np.zeros(3, np.int32), max_tokens=10, max_tiles=0)
    assert [row.tolist() for row in rows] == [[1, 2], [0]]


def source(name, n, seed, *, weight=1.0, longest=50, most=4, **changes):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, longest + 1, n).astype(np.int32)
    tiles = rng.integers(0, most + 1, n).astype(np.int32)
    return PlanSource(name, tokens, tiles, weight, **changes)


def make(sources=None, *, seed=0, window=48, **changes):
    sources = sources or [source("a", 70, 1), source("b", 90, 2, weight=0.5)]
    settings = {"sequence_length": 64, "tiles_per_row": 6, **changes}
    return PackPlan(sources, window=window, seed=seed, **settings)


def as_lists(rows):
    return [(row.sources.tolist(), row.records.tolist()) for row in rows]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), window=st.integers(1, 60), index=st.integers(0, 10**6))
def test_rows_hold_a_window_of_the_mixture_within_both_budgets(seed, window, index):
    plan = make(seed=seed, window=window)
    rows = plan.rows(index)
    for row in rows:
        tokens = sum(
            plan.sources[s].tokens[r] for s, r in zip(row.sources, row.records, strict=True)
        )
        tiles = sum(plan.sources[s].tiles[r] for s, r in zip(row.sources, row.records, strict=True))
        assert 0 < tokens <= 64 and tiles <= 6
    laid = sorted((s, r) for row in as_lists(rows) for s, r in zip(*row, strict=True))
    ids = sorted(zip(*(x.tolist() for x in plan.mixture.ids(index)), strict=True))
    assert laid == ids


def test_records_that_no_row_can_hold_are_named_and_never_come():
    tokens = np.array([10, 65, 20, -1, 64, 200], np.int32)
    tiles = np.array([0, 0, 7, 0, 6, 9], np.int32)
    plan = make([PlanSource("a", tokens, tiles, 1.0)], window=8)
    dropped = plan.dropped["a"]
    assert dropped.too_long.tolist() == [1, 5]
    assert dropped.too_many_tiles.tolist() == [2]
    assert dropped.unusable.tolist() == [3]
    assert dropped.total == 4
    seen = {r for w in range(5) for row in plan.rows(w) for r in row.records.tolist()}
    assert seen == {0, 4}


def test_dropped_records_do_not_change_the_ratio_of_those_that_train():
    tokens = np.array([10] * 5 + [999] * 95, np.int32)
    first = PlanSource("a", tokens, np.zeros(100, np.int32), 0.5)
    plan = make([first, source("b", 80, 3, weight=0.5)], window=100)
    sources = np.concatenate([row.sources for row in plan.rows(0)])
    assert np.bincount(sources).tolist() == [50, 50]


def test_a_source_of_which_nothing_fits_is_refused():
    with pytest.raises(ValueError, match=r"'a' has weight 1.0 but no example that fits a row"):
        make([PlanSource("a", np.array([99], np.int32), np.array([0], np.int32), 1.0)])


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
    plan = make()
    loads = [sum(plan.sources[s].tokens[r] for s, r in zip(*row, strict=True))
             for row in as_lists(plan.rows(0))]  # fmt: skip
    assert loads != sorted(loads, reverse=True)


def test_the_fingerprint_names_the_plan():
    base = make().fingerprint
    assert make().fingerprint == base
    others = [
        make(seed=1),
        make(window=49),
        make(tiles_per_row=7),
        make([source("a", 70, 1), source("b", 90, 2, weight=0.6)]),
        make([source("a", 70, 1, checksum="x"), source("b", 90, 2, weight=0.5)]),
    ]
    assert base not in {plan.fingerprint for plan in others}
