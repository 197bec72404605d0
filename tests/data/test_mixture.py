import collections
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm15_jax.data.mixture import Mixture, MixtureSource


def make(weights, sizes=None, *, window=64, seed=0, ordered=()):
    sizes = sizes or [50] * len(weights)
    sources = [
        MixtureSource(f"s{i}", n, w, i in ordered)
        for i, (w, n) in enumerate(zip(weights, sizes, strict=True))
    ]
    return Mixture(sources, window=window, seed=seed)


def drawn_one_by_one(weights, ids):
    """Sainte-Lague as it is defined: the next id goes to the source with the largest quotient."""
    counts = [0] * len(weights)
    for _ in range(ids):
        quotients = [Fraction(repr(w)) / (2 * c + 1) for w, c in zip(weights, counts, strict=True)]
        counts[quotients.index(max(quotients))] += 1
    return counts


weights_strategy = st.lists(
    st.floats(0, 10, allow_nan=False).map(lambda w: w if w > 1e-6 else 0.0), min_size=1, max_size=7
).filter(any)


@settings(max_examples=80, deadline=None)
@given(weights=weights_strategy, ids=st.integers(0, 120))
def test_counts_are_those_of_drawing_one_by_one(weights, ids):
    assert make(weights).counts(ids) == drawn_one_by_one(weights, ids)


@settings(max_examples=80, deadline=None)
@given(weights=weights_strategy, ids=st.integers(0, 10**12), more=st.integers(0, 1000))
def test_counts_only_grow_and_keep_to_the_weights(weights, ids, more):
    mixture = make(weights)
    before, after = mixture.counts(ids), mixture.counts(ids + more)
    assert sum(before) == ids and sum(after) == ids + more
    assert all(a <= b for a, b in zip(before, after, strict=True))
    total = sum(Fraction(repr(w)) for w in weights)
    for weight, count in zip(weights, before, strict=True):
        share = Fraction(repr(weight)) / total
        assert abs(count - share * ids) <= Fraction(1, 2) + share * len(weights) / 2


def test_weights_hold_exactly_over_a_long_run():
    assert make([0.45, 0.45, 0.1]).counts(10**15) == [45 * 10**13, 45 * 10**13, 10**14]


def test_a_window_holds_what_the_counts_say():
    mixture = make([0.55, 0.3, 0.1499, 0.0001], window=37)
    seen = collections.Counter()
    for window in range(40):
        sources, records = mixture.ids(window)
        assert sources.shape == records.shape == (37,)
        seen.update(sources.tolist())
        assert [seen[s] for s in range(4)] == mixture.counts((window + 1) * 37)


@settings(max_examples=30, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_every_record_comes_once_an_epoch(sizes, seed):
    mixture = make([1.0 + i for i in range(len(sizes))], sizes, window=16, seed=seed)
    windows = [mixture.ids(w) for w in range(24)]
    sources = np.concatenate([s for s, _ in windows])
    records = np.concatenate([r for _, r in windows])
    for source, size in enumerate(sizes):
        counts = np.bincount(records[sources == source], minlength=size)
        assert len(counts) == size
        # Windows are sets: every record has been read in each finished epoch, or once more.
        epochs = (sources == source).sum() // size
        assert set(counts.tolist()) <= {epochs, epochs + 1}


def test_epochs_are_shuffled_anew():
    mixture = make([1.0], [64], window=64)
    first, second = mixture.ids(0)[1], mixture.ids(1)[1]
    assert sorted(first) == sorted(second) == list(range(64))
    assert first.tolist() != second.tolist()


def test_sources_of_one_size_are_shuffled_differently():
    mixture = make([1.0, 1.0], [50, 50])
    positions = np.arange(50)
    a = mixture.records(np.zeros(50, np.int32), positions)
    b = mixture.records(np.ones(50, np.int32), positions)
    assert a.tolist() != b.tolist()


def test_a_curriculum_is_read_as_written():
    mixture = make([0.5, 0.5], [40, 1000], window=20, ordered=(0,))
    read = []
    for window in range(8):
        sources, records = mixture.ids(window)
        read += sorted(records[sources == 0].tolist())
    assert read == [*range(40), *range(40)]


def test_a_curriculum_that_begins_again_is_warned_of(caplog):
    mixture = make([0.5, 0.5], [40, 40], window=20, ordered=(0,))
    for window in range(4):  # to its very end
        mixture.ids(window)
    assert not caplog.records
    mixture.ids(4)
    (warning,) = caplog.messages
    assert warning.startswith("s0 is a curriculum, and all of its 40 examples are read")


def test_a_curriculum_alone():
    assert sorted(make([2.0], [30], window=10, ordered=(0,)).ids(1)[1]) == list(range(10, 20))


def test_weight_zero_gives_nothing_and_needs_no_records():
    mixture = make([0.0, 1.0], [0, 5])
    assert set(mixture.ids(3)[0].tolist()) == {1}


def test_seed_decides_and_nothing_else():
    a, b, c = make([1.0, 2.0], seed=1), make([1.0, 2.0], seed=1), make([1.0, 2.0], seed=2)
    b.ids(5), b.ids(0)  # what was asked before plays no part
    assert all(np.array_equal(x, y) for x, y in zip(a.ids(9), b.ids(9), strict=True))
    assert not np.array_equal(a.ids(9)[1], c.ids(9)[1])


@pytest.mark.parametrize(
    ("weights", "sizes", "words"),
    [
        ([-1.0, 2.0], [5, 5], "expected 0 or more"),
        ([float("nan")], [5], "expected 0 or more"),
        ([0.0, 0.0], [5, 5], "no data set of the mixture has a weight above 0"),
        ([1.0], [0], "no example that fits a row"),
    ],
)
def test_impossible_mixtures_are_refused(weights, sizes, words):
    with pytest.raises(ValueError, match=words):
        make(weights, sizes)
