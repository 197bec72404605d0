"""Which record of which data set comes next, at any position, without a state.

Weights count EXAMPLES here: a source of weight 0.3 gives 30% of the examples. (A mixture by tokens
is converted beforehand, by `config.mixtures.dataset_weights`.) The stream of ids is the Webster
(Sainte-Lague) apportionment of positions to sources: a source's k-th id falls due at
(k - 1/2) / weight, and the first t ids are the t that fall due first. That is the sequence in which
no prefix can be rounded better, so the ratios are exact in the long run for any weights: after t
ids a source has given weight x t of them, plus or minus a bound that does not grow with t
(1/2 + weight x sources / 2). Exact integers decide; floating point never does.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mm15_jax.data.permutation import derive_seed, permute, shuffled

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MixtureSource:
    """One data set of a mixture."""

    name: str
    size: int  # records, numbered from 0
    weight: float  # its share of the examples, relative to the others'; 0 leaves it out
    ordered: bool = False  # a curriculum, read as written; otherwise shuffled anew every epoch
    start: int = 0  # position in its own endless stream at which the mixture takes it up


class Mixture:
    """Windows of (source, record) ids, each computed on its own."""

    def __init__(self, sources: Sequence[MixtureSource], *, window: int, seed: int):
        """A mixture.

        Args:
          sources: data sets with distinct names.
          window: ids a window.
          seed: of all shuffling.

        Raises:
          ValueError: if a weight is negative or not finite, all are zero, or a source with a
            weight has no record.
        """
        assert window >= 1, window
        names = [source.name for source in sources]
        assert len(set(names)) == len(names), f"a source twice in {names}"
        for source in sources:
            if not (math.isfinite(source.weight) and source.weight >= 0):
                raise ValueError(
                    f"the weight of {source.name!r} is {source.weight}; expected 0 or more"
                )
            if source.weight > 0 and source.size < 1:
                raise ValueError(
                    f"the data set {source.name!r} has weight {source.weight} but no example that "
                    "fits a row"
                )
        # The decimal number that the user wrote, not its nearest binary fraction.
        weights = [Fraction(repr(float(source.weight))) for source in sources]
        if not sum(weights):
            raise ValueError(f"no data set of the mixture has a weight above 0: {names}")
        scale = math.lcm(*(w.denominator for w in weights))
        self.sources = tuple(sources)
        self.window = window
        self.seed = seed
        self._weights = [int(w * scale) for w in weights]
        self._total = sum(self._weights)
        self._sizes = np.array([max(source.size, 1) for source in sources], np.int64)
        self._ordered = np.array([source.ordered for source in sources], bool)

    def counts(self, ids: int) -> list[int]:
        """How many of the first `ids` ids of the stream each source gives; sums to `ids`."""
        assert ids >= 0, ids
        weights, total = self._weights, self._total
        counts = [(2 * ids * w + total) // (2 * total) for w in weights]
        # These are all that fell due by time `ids`: a few too many or too few to sum to `ids`.
        missing = ids - sum(counts)
        step = 1 if missing > 0 else -1
        # The next id of a source falls due at (2c + 1) / 2w, its last fell due at (2c - 1) / 2w.
        # Negated where the last one is to be taken back, so that the heap gives the latest first;
        # of two at the same time the source that is named first comes first.
        heap = [
            (step * Fraction(2 * c + step, w), step * s)
            for s, (c, w) in enumerate(zip(counts, weights, strict=True))
            if w and missing
        ]
        heapq.heapify(heap)
        for _ in range(abs(missing)):
            source = step * heap[0][1]
            counts[source] += step
            due = Fraction(2 * counts[source] + step, weights[source])
            heapq.heapreplace(heap, (step * due, step * source))
        return counts

    def records(self, sources: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Records at positions of the sources' own endless streams.

        Args:
          sources: int32[n], numbers in `self.sources`.
          positions: int64[n], positions in those sources' streams, from 0.

        Returns:
          int64[n]. Every epoch of `size` positions of a source holds each record once.
        """
        epochs, within = np.divmod(positions, self._sizes[sources])
        shuffle = np.flatnonzero(~self._ordered[sources])
        # One seed for each pair of source and epoch that occurs.
        pairs, inverse = np.unique(
            np.stack([sources[shuffle], epochs[shuffle]]), axis=1, return_inverse=True
        )
        seeds = np.array(
            [derive_seed("epoch", self.seed, self.sources[s].name, int(e)) for s, e in pairs.T],
            np.int64,
        )
        records = within.copy()
        records[shuffle] = permute(
            within[shuffle], self._sizes[sources[shuffle]], seeds[inverse.reshape(-1)]
        )
        return records

    def ids(self, window: int) -> tuple[np.ndarray, np.ndarray]:
        """The ids of a window, in an order shuffled by the seed.

        Returns:
          sources int32[window], records int64[window]. A source that is `ordered` keeps its order
          from window to window, not inside one: the packer needs that freedom. It is warned of one
          that begins again.
        """
        start = self.counts(window * self.window)
        stop = self.counts((window + 1) * self.window)
        self._warn_of_beginnings(start, stop)
        taken = np.subtract(stop, start)
        sources = np.repeat(np.arange(len(taken), dtype=np.int32), taken)
        positions = np.concatenate(
            [
                np.arange(a, b) + source.start
                for a, b, source in zip(start, stop, self.sources, strict=True)
            ]
        )
        order = shuffled(self.window, derive_seed("window", self.seed, window))
        sources, positions = sources[order], positions[order]
        return sources, self.records(sources, positions)

    def _warn_of_beginnings(self, start: Sequence[int], stop: Sequence[int]) -> None:
        """Says which curricula begin again between those positions: rarely what was meant.

        What their last examples taught, the first ones, the easiest, overwrite.
        """
        for source, first, after in zip(self.sources, start, stop, strict=True):
            if not source.ordered or after == first:
                continue
            begun, ended = source.start + first, source.start + after
            if (ended - 1) // source.size > max(begun - 1, 0) // source.size:
                log.warning(
                    "%s is a curriculum, and all of its %s examples are read: it begins again with "
                    "the first; fewer steps or a smaller weight would end with the last",
                    source.name,
                    f"{source.size:,}",
                )

    def positions(self, window: int) -> dict[str, int]:
        """Where each source stands in its own endless stream when `window` windows are done."""
        counts = self.counts(window * self.window)
        return {s.name: s.start + c for s, c in zip(self.sources, counts, strict=True)}
