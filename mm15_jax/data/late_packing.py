"""Rows of sources without an index: lengths become known as examples are read.

Examples are drawn in the mixture's ratios, measured (tokens and tiles, no pixel is decoded), and
laid into rows by Grain's first-fit under both budgets. What that loses against the pack plan:

* rows fill worse: a row closes when an example fits none of the open ones;
* a run that goes on, or goes on after a cursor that is not the next, reads again all that it read;
* every host reads and measures every example, though it decodes its own rows only;
* a stream comes in its own order, a data set shuffled.

What stays: rows are the same for any number of hosts and threads and after any restart, and the
state is one integer, the number of rows given.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import grain
import numpy as np

from mm15_jax.data.bad_records import BadRecords
from mm15_jax.data.index import COUNTS, counts_of
from mm15_jax.data.mixture import Mixture, MixtureSource
from mm15_jax.data.pack_plan import Row
from mm15_jax.data.permutation import derive_seed, shuffled
from mm15_jax.data.plan_items import Budgets, items_of, piece_start
from mm15_jax.data.preparation import BadRecord, DataError
from mm15_jax.inputs.example import Example

log = logging.getLogger(__name__)

_OPEN_ROWS = 64  # rows that are filled at once; their examples are held encoded
_HOPELESS = 100_000  # so many examples in a row that fit no row end the run
_UNBOUNDED = 2**40  # the size of a stream, as far as the mixture is concerned


@dataclass(frozen=True)
class LateSource:
    """A data set, or a stream, that is read as it comes."""

    name: str
    # Random access, shuffled anew every epoch; or a function that begins the stream, each time it
    # is called with the same examples in the same order, and again when it has ended.
    examples: Sequence[Example] | Callable[[], Iterable[Example | BadRecord]]
    weight: float  # its share of the examples, relative to the others'
    ordered: bool = False
    checksum: str = ""


@dataclass(frozen=True)
class _Ticket:
    """A measured example, or a piece of one."""

    source: int
    record: int
    piece: int
    tokens: int
    tiles: int
    example: Example


class _StreamError(ValueError):
    """A stream cannot be read on: no record of its own is to blame."""


class LatePlan:
    """Rows packed as examples are read; `batch` as of the pack plan."""

    def __init__(
        self,
        sources: Sequence[LateSource],
        budgets: Budgets,
        measure: Callable[[Example], tuple[int, int]],
        *,
        window: int,
        seed: int,
        max_bad_fraction: float,
    ):
        """Reads nothing yet.

        Args:
          sources: with distinct names.
          budgets: of a row.
          measure: (tokens, tiles) of an example; ValueError if it cannot be formatted.
          window: examples drawn together, shuffled.
          seed: of all shuffling.
          max_bad_fraction: of the examples, that may be left out because they cannot be read.

        Raises:
          ValueError: as of `Mixture`.
        """
        self.sources, self.budgets = tuple(sources), budgets
        self.sequence_length, self.tiles_per_row = budgets.tokens, budgets.tiles
        self.mixture = Mixture(
            [
                MixtureSource(
                    s.name,
                    _UNBOUNDED if callable(s.examples) else len(s.examples),
                    s.weight,
                    s.ordered or callable(s.examples),
                )
                for s in sources
            ],
            window=window,
            seed=seed,
        )
        self._measure, self._seed = measure, seed
        self._max_bad = max_bad_fraction
        facts: list = ["late", budgets, window, seed, _OPEN_ROWS]
        facts += [(s.name, float(s.weight), s.ordered, s.checksum) for s in sources]
        self.fingerprint = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
        self.left_out: Counter[tuple[str, str]] = Counter()  # (source, reason)
        self._rows: Iterator[Row] = iter(())
        self._next = -1  # row that `_rows` gives next; -1: not begun

    def batch(self, cursor: int, rows: int) -> tuple[list[Row], int]:
        """The next rows from a cursor on, the number of rows before them; and the cursor after.

        Raises:
          ValueError: if the cursor is negative, too many examples cannot be read, or a stream
            cannot be read on, be it for a damaged part or for a source that does not answer.
        """
        if cursor < 0:
            raise ValueError(f"the data cursor {cursor} is no row; expected 0 or more")
        if cursor != self._next:
            if cursor:
                log.warning(
                    "late packing: reading again the %d rows that came before (data.packing)",
                    cursor,
                )
            self.left_out.clear()
            self._rows = self._pack()
            self._next = cursor
            for _ in itertools.islice(self._rows, cursor):
                pass
        taken = list(itertools.islice(self._rows, rows))
        self._next = cursor + rows
        return taken, self._next

    def _pack(self) -> Iterator[Row]:
        """All rows from the first on. Grain packs tickets' numbers, each as often as it is long."""
        waiting: dict[int, _Ticket] = {}
        lengths = {"tokens": self.sequence_length}
        if self.tiles_per_row:
            lengths["tiles"] = self.tiles_per_row
        packed = iter(
            grain.experimental.FirstFitPackIterDataset(
                _Numbered(self._tickets, waiting, tuple(lengths)),
                length_struct=lengths,
                num_packing_bins=_OPEN_ROWS,
                shuffle_bins=False,
            )
        )
        for group in itertools.count():
            # Rows that were filled side by side: the first hold other examples than the last.
            rows = [row["tokens"] for row in itertools.islice(packed, _OPEN_ROWS)]
            for i in shuffled(len(rows), derive_seed("rows", self._seed, group)):
                first = np.flatnonzero(np.diff(rows[i], prepend=0) * (rows[i] > 0))
                yield _row([waiting.pop(int(number)) for number in rows[i][first]])

    def _tickets(self) -> Iterator[_Ticket]:
        """Examples of the mixture, measured; what no row can hold is left out, and said to be."""
        streams: dict[int, Iterator[Example | BadRecord]] = {}
        bad_records, fruitless = BadRecords(self._max_bad), 0
        for source, record in self._drawn():
            name, key = self.sources[source].name, f"record {record}"
            try:
                example = self._read(source, record, streams)
                key = example.key
                if isinstance(example, BadRecord):
                    raise DataError(example.reason)
                tokens, tiles = self._measure(example)
            except _StreamError:
                raise
            except ValueError as error:
                bad_records.add(0, [(name, key, str(error))])
                continue
            bad_records.add(1, [])
            counts = np.array([counts_of(example, tokens, tiles)], COUNTS)
            pieces = int(items_of(counts, self.budgets)[0])
            fruitless = 0 if pieces else fruitless + 1
            if not pieces:
                self._leave_out(name, key, tokens)
            if fruitless >= _HOPELESS:
                raise ValueError(
                    f"none of the last {fruitless} examples fits a row of {self.sequence_length} "
                    f"tokens and {self.tiles_per_row} tiles; expected larger "
                    "inputs.sequence_length or inputs.tiles_per_row"
                )
            for piece in range(pieces):
                length = min(
                    tokens - piece_start(piece, self.sequence_length), self.sequence_length
                )
                yield _Ticket(source, record, piece, length, tiles, example)

    def _drawn(self) -> Iterator[tuple[int, int]]:
        for window in itertools.count():
            sources, records = self.mixture.ids(window)
            yield from zip(sources.tolist(), records.tolist(), strict=True)

    def _read(
        self, source: int, record: int, streams: dict[int, Iterator[Example | BadRecord]]
    ) -> Example | BadRecord:
        name, examples = self.sources[source].name, self.sources[source].examples
        if not callable(examples):
            return examples[record]
        for _ in range(2):  # a stream that has ended begins again
            try:
                if source not in streams:
                    streams[source] = _records_of(name, examples())
                example = next(streams[source], None)
            except (ValueError, OSError) as error:  # after it a generator would be at its end
                raise _StreamError(f"the stream {name!r} cannot be read on: {error}") from error
            if example is not None:
                return example
            del streams[source]
        raise _StreamError(f"the stream {name!r} has no example")

    def _leave_out(self, name: str, key: str, tokens: int) -> None:
        long = tokens > self.sequence_length
        reason = (
            f"more than {self.sequence_length} tokens"
            if long
            else f"more than {self.tiles_per_row} tiles"
        )
        self.left_out[name, reason] += 1
        count = self.left_out[name, reason]
        if _is_told(count):
            log.warning("%s: %d examples have %s and are left out: %s", name, count, reason, key)


def _records_of(name: str, stream: Iterable[Example | BadRecord]) -> Iterator[Example | BadRecord]:
    """A stream without the pieces that were left out of its records, such as a box of a picture.

    They are no records: they neither count as bad, as in `prepare`, nor take an example's place in
    the mixture.
    """
    pieces = 0
    for made in stream:
        if not isinstance(made, BadRecord) or not made.within:
            yield made
            continue
        pieces += 1
        if _is_told(pieces):
            log.info("%s: %d pieces left out: %s, %s", name, pieces, made.key, made.reason)


def _is_told(count: int) -> bool:
    """Of what comes often: the 1st, 2nd, 4th, 8th ..."""
    return count & (count - 1) == 0


def _row(tickets: Sequence[_Ticket]) -> Row:
    def column(name: str, kind: type) -> np.ndarray:
        return np.array([getattr(ticket, name) for ticket in tickets], kind)

    return Row(
        column("source", np.int32),
        column("record", np.int64),
        column("piece", np.int32),
        column("tokens", np.int32),
        column("tiles", np.int32),
        tuple(ticket.example for ticket in tickets),
    )


class _Numbered(grain.IterDataset):
    """Tickets, as arrays of their running numbers from 1; `waiting` keeps them by number."""

    def __init__(self, tickets, waiting: dict[int, _Ticket], features: tuple[str, ...]):
        super().__init__()
        self._arguments = tickets, waiting, features

    def __iter__(self) -> grain.DatasetIterator:
        return _NumberedIterator(*self._arguments)


class _NumberedIterator(grain.DatasetIterator):
    def __init__(self, tickets, waiting: dict[int, _Ticket], features: tuple[str, ...]):
        super().__init__()
        self._tickets = enumerate(tickets(), start=1)
        self._waiting, self._features = waiting, features

    def __next__(self) -> dict[str, np.ndarray]:
        number, ticket = next(self._tickets)
        self._waiting[number] = ticket
        return {name: np.full(getattr(ticket, name), number) for name in self._features}

    def get_state(self) -> dict:
        return {}  # Grain asks before each example; a cursor is the state here

    def set_state(self, state: dict) -> None:
        raise AssertionError("rows are read again from the first instead")
