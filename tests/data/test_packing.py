import hashlib
import importlib.util
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm15_jax.data.packing import first_fit_decreasing, pack_rows, pairs_last
from mm15_jax.data.permutation import shuffled

ROOT = pathlib.Path(__file__).parents[2]
WAYS = (pack_rows, pairs_last, first_fit_decreasing)


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
@settings(max_examples=60, deadline=None)
@given(items=st.lists(st.tuples(st.integers(0, 64), st.integers(0, 8)), max_size=40))
def test_equals_the_naive_first_fit_decreasing(items):
    tokens = np.array([t for t, _ in items], np.int32)
    tiles = np.array([n for _, n in items], np.int32)
    rows = first_fit_decreasing(tokens, tiles, max_tokens=64, max_tiles=8)
    assert [row.tolist() for row in rows] == naive_first_fit_decreasing(tokens, tiles, 64, 8)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=50, deadline=None)
@given(
    tokens=st.lists(st.integers(0, 100), max_size=150),
    seed=st.integers(0, 100),
    max_tiles=st.integers(0, 9),
)
def test_budgets_hold_and_nothing_is_lost(way, tokens, seed, max_tiles):
    tokens = np.array(tokens, np.int32)
    tiles = np.random.default_rng(seed).integers(0, max_tiles + 1, len(tokens)).astype(np.int32)
    rows = way(tokens, tiles, max_tokens=100, max_tiles=max_tiles)
    assert all(tokens[row].sum() <= 100 and tiles[row].sum() <= max_tiles for row in rows)
    assert all(len(row) for row in rows)
    assert sorted(i for row in rows for i in row.tolist()) == list(range(len(tokens)))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_better_of_both_ways_is_taken(seed):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(1, 60, 80).astype(np.int32)
    tiles = rng.integers(0, 8, 80).astype(np.int32)
    rows, pairs, first_fit = (len(w(tokens, tiles, max_tokens=100, max_tiles=20)) for w in WAYS)
    assert rows == min(pairs, first_fit)


def test_the_last_two_of_a_row_are_chosen_together():
    # First-fit-decreasing takes 60 + 30 and is left with 25 + 15 + 10; 60 + 25 + 15 is whole.
    tokens = np.array([60, 30, 25, 15, 70], np.int32)
    none = np.zeros(5, np.int32)
    rows = pairs_last(tokens, none, max_tokens=100, max_tiles=0)
    assert sorted(sorted(tokens[row].tolist()) for row in rows) == [[15, 25, 60], [30, 70]]


@pytest.mark.parametrize(
    ("way", "digest"),
    [(pairs_last, "b448a09e0730d41c"), (first_fit_decreasing, "db560bfb4a6ebd5b")],
    ids=["pairs", "first_fit"],
)
def test_rows_never_change(way, digest):
    # A resumed run must see the same rows: see `pack_plan._VERSION`.
    # Our own shuffling: numpy's numbers may change from release to release.
    tiles = np.array([0, 1, 5, 7, 7, 10], np.int32)[shuffled(800, 1) % 6]
    tokens = 144 * tiles + (20 + shuffled(800, 2)).astype(np.int32)
    rows = way(tokens, tiles, max_tokens=4096, max_tiles=22)
    text = repr([row.tolist() for row in rows])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


def test_examples_of_one_size_are_spread_over_the_rows():
    # Six data sets, each of one size, in equal shares: what sorting by size lays together.
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, 6, 600)
    tokens, tiles = 20 + 7 * kinds.astype(np.int32), 1 + (kinds % 3).astype(np.int32)

    def unevenness(way):
        rows = way(tokens, tiles, max_tokens=256, max_tiles=12)
        counts = np.array([[(kinds[row] == kind).sum() for kind in range(6)] for row in rows])
        return (counts.var(axis=0) / counts.mean(axis=0)).mean()

    assert unevenness(pairs_last) < 0.6 * unevenness(first_fit_decreasing)


@pytest.fixture(scope="module")
def sft():
    """The simulated SFT mixture of benchmarks/data."""
    spec = importlib.util.spec_from_file_location(
        "sft_lengths", ROOT / "benchmarks/data/sft_lengths.py"
    )
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["sft_lengths"] = module  # its dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def test_rows_of_the_sft_mixture_are_full_of_tokens_and_of_tiles_at_once(sft):
    tokens, tiles = sft.simulate(2048)
    laid_tokens = laid_tiles = count = 0
    for start in range(0, 2048, 1024):
        t, n = tokens[start : start + 1024], tiles[start : start + 1024]
        fits = n <= 22
        rows = pack_rows(t[fits], n[fits], max_tokens=4096, max_tiles=22)
        laid_tokens += t[fits].sum()
        laid_tiles += n[fits].sum()
        count += len(rows)
    assert laid_tokens / (count * 4096) >= 0.95
    assert laid_tiles / (count * 22) >= 0.90
