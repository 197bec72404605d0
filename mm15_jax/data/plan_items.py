"""What a data set brings to the plan: items, each a record that fits a row or a piece of one.

Item k of a data set is found without a list of items: records stand in blocks, and the number of
items before each block is all that is kept (3 MB for 100 million records; nothing where every
record is one item). It depends on the index and the budgets of a row alone.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mm15_jax.data.index import DOCUMENT, Index
from mm15_jax.data.storage import write_atomically

log = logging.getLogger(__name__)

_BLOCK = 256  # records whose items are counted together
_SCANNED = 4096 * _BLOCK  # records read at a time
_NAMED = 5  # records that are named for each reason


@dataclass(frozen=True)
class Budgets:
    """What decides which items a record makes."""

    tokens: int  # S, of a row
    tiles: int  # N, of a row
    cut_documents: bool  # plain text longer than a row becomes several items; else it is left out


@dataclass(frozen=True)
class LeftOut:
    """Records of a data set that make no item, for one reason."""

    records: int = 0
    first: tuple[int, ...] = ()  # some of them


@dataclass(frozen=True)
class Totals:
    """Sums over a data set."""

    items: int = 0
    tokens: int = 0  # of all items
    tiles: int = 0
    max_tokens: int = 0  # of one item
    max_tiles: int = 0
    cut: int = 0  # records that make several items
    left_out: Mapping[str, LeftOut] = dataclasses.field(default_factory=dict)  # by REASONS
    counts: str = ""  # sha256 of the counts themselves, whatever code counted them


REASONS = ("too_long", "too_many_tiles", "unusable")


def piece_start(piece, budget: int):
    """The first token of a piece of a document.

    Pieces overlap by one token: the last of one is the first of the next, where it is read and not
    predicted. So every token of a document but its first is predicted once, as in an uncut one.

    Args:
      piece: number from 0, or an array of them.
      budget: most tokens of a piece.
    """
    return piece * (budget - 1)


def items_of(counts: np.ndarray, budgets: Budgets) -> np.ndarray:
    """int32[...]: how many items each record makes, from its counts; 0 if it is left out."""
    tokens, tiles = counts["tokens"], counts["tiles"]
    items = ((tokens >= 0) & (tokens <= budgets.tokens) & (tiles <= budgets.tiles)).astype(np.int32)
    if budgets.cut_documents and budgets.tokens > 1:
        long = (tokens > budgets.tokens) & (tiles == DOCUMENT)
        items[long] = -((1 - tokens[long]) // (budgets.tokens - 1))
    return items


@dataclass(frozen=True)
class Found:
    """Items at positions: k of each."""

    records: np.ndarray  # int64
    pieces: np.ndarray  # int32, 0 for a record that is one item
    tokens: np.ndarray  # int32
    tiles: np.ndarray  # int32


class Items:
    """The items of a data set, by position, in the order of its records."""

    def __init__(self, index: Index, budgets: Budgets, totals: Totals, starts: np.ndarray | None):
        """`starts`: int64[blocks + 1], items before each block; None if every record is an item."""
        self.totals = totals
        self._index, self._budgets, self._starts = index, budgets, starts

    def __len__(self) -> int:
        return self.totals.items

    @property
    def mean_tokens(self) -> float:
        """Tokens of an item; 0 where there is none."""
        return self.totals.tokens / max(self.totals.items, 1)

    def find(self, positions: np.ndarray) -> Found:
        """Records, pieces and counts of items at positions, int64[k] in [0, len(self))."""
        if self._starts is None:
            records, pieces = positions, np.zeros(len(positions), np.int32)
            counts = self._index[records]
        else:
            records, pieces, counts = self._search(positions, self._starts)
        budget = self._budgets.tokens
        tokens = np.minimum(counts["tokens"] - piece_start(pieces, budget), budget)
        return Found(records, pieces, tokens, np.maximum(counts["tiles"], 0).astype(np.int32))

    def _search(
        self, positions: np.ndarray, starts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        blocks, inverse = np.unique(
            np.searchsorted(starts, positions, side="right") - 1, return_inverse=True
        )
        members = blocks[:, np.newaxis] * _BLOCK + np.arange(_BLOCK)
        last = len(self._index) - 1
        counts = self._index[np.minimum(members, last)]
        items = items_of(counts, self._budgets) * (members <= last)
        before = np.cumsum(items, axis=1) - items  # items of the block before each record
        rest = (positions - starts[blocks[inverse]])[:, np.newaxis]
        # The last record that begins at or before the item and makes one.
        begun = (before[inverse] <= rest) & (items[inverse] > 0)
        place = _BLOCK - 1 - begun[:, ::-1].argmax(axis=1)
        pieces = rest[:, 0] - before[inverse, place]
        return members[inverse, place], pieces.astype(np.int32), counts[inverse, place]


def load_items(index: Index, budgets: Budgets) -> Items:
    """The items of a data set; what a scan of its index finds is kept beside it.

    Args:
      index: of the data set.
      budgets: of a row, and whether long documents are cut.
    """
    path = None
    if isinstance(index.counts, Path):
        words = f"{budgets.tokens}-{budgets.tiles}-{'cut' if budgets.cut_documents else 'whole'}"
        path = index.counts.with_name(f"{index.counts.stem}.items-{words}.npz")
    found = _read(path, index) if path else None
    if found is None:
        found = _scan(index, budgets)
        if path:
            _keep(path, index, *found)
    return Items(index, budgets, *found)


def _scan(index: Index, budgets: Budgets) -> tuple[Totals, np.ndarray | None]:
    """Totals, and the number of items before each block."""
    sums = dict.fromkeys(("items", "tokens", "tiles", "max_tokens", "max_tiles", "cut"), 0)
    left_out = {reason: LeftOut() for reason in REASONS}
    blocks = [np.zeros(1, np.int64)]
    whole, checksum = True, hashlib.sha256()
    for start, counts in index.chunks(_SCANNED):
        checksum.update(counts.tobytes())
        items = items_of(counts, budgets)
        tokens, tiles = counts["tokens"], np.maximum(counts["tiles"], 0)
        kept, several = items > 0, items > 1
        whole &= bool((items == 1).all())
        # A piece repeats one token of the piece before.
        lengths = np.where(kept, tokens + items - 1, 0)
        sums["items"] += int(items.sum(dtype=np.int64))
        sums["tokens"] += int(lengths.sum(dtype=np.int64))
        sums["tiles"] += int(tiles[kept].sum(dtype=np.int64))
        longest = int(tokens[kept].max(initial=0))
        sums["max_tokens"] = max(sums["max_tokens"], min(longest, budgets.tokens))
        sums["max_tiles"] = max(sums["max_tiles"], int(tiles[kept].max(initial=0)))
        sums["cut"] += int(several.sum())
        unusable, long = tokens < 0, ~kept & (tokens > budgets.tokens)
        for reason, mask in zip(REASONS, (long, ~(kept | unusable | long), unusable), strict=True):
            here = np.flatnonzero(mask)
            before = left_out[reason]
            named = (before.first + tuple((start + here[:_NAMED]).tolist()))[:_NAMED]
            left_out[reason] = LeftOut(before.records + len(here), named)
        blocks.append(np.add.reduceat(items, np.arange(0, len(items), _BLOCK), dtype=np.int64))
    totals = Totals(**sums, left_out=left_out, counts=checksum.hexdigest())
    return totals, None if whole else np.cumsum(np.concatenate(blocks))


def _keep(path: Path, index: Index, totals: Totals, starts: np.ndarray | None) -> None:
    buffer = io.BytesIO()
    facts = json.dumps({"checksum": index.checksum, **dataclasses.asdict(totals)})
    np.savez(buffer, facts=facts, starts=np.zeros(0) if starts is None else starts)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        log.warning("%s is not kept: %s", path, error)


def _read(path: Path, index: Index) -> tuple[Totals, np.ndarray | None] | None:
    if not path.is_file():
        return None
    try:
        with np.load(path) as arrays:
            facts = json.loads(str(arrays["facts"]))
            starts = arrays["starts"] if len(arrays["starts"]) else None
        if facts.pop("checksum") != index.checksum or "counts" not in facts:  # an older release's
            return None
        left_out = {
            reason: LeftOut(found["records"], tuple(found["first"]))
            for reason, found in facts.pop("left_out").items()
        }
        return Totals(**facts, left_out=left_out), starts
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s cannot be read (%s): counting again", path, error)
        return None
