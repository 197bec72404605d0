"""Which items share a row, under two budgets: tokens and tiles.

A split photograph costs about seven tiles and a third of a row's tokens, so a row holds three or
four examples, and first-fit leaves what no single example fills. `pairs_last` chooses a row's last
two items together, as the pair that leaves least: 4% more of every step on the SFT mixture
(benchmarks/data/packing.py). Where budgets suit it less, first-fit-decreasing needs fewer rows; a
window is packed by both. All of it is integer arithmetic: every machine packs alike.

Packers that sort lay equal sizes together, which are examples of one data set: a step then has many
of them or none. So the items between a row's first and its last two come in the given order, which
is the mixture's.
"""

from __future__ import annotations

import numpy as np

_SLACKS = 6  # a pair may leave so many tiles less one unused
_CANDIDATES = 64  # first items of a pair that are tried; all second ones are
_NONE = np.int64(1) << 62


def pack_rows(
    tokens: np.ndarray, tiles: np.ndarray, *, max_tokens: int, max_tiles: int
) -> list[np.ndarray]:
    """The fewer rows of `pairs_last` and `first_fit_decreasing`.

    Args:
      tokens: int32[n], each in [0, max_tokens].
      tiles: int32[n], each in [0, max_tiles].
      max_tokens: budget of a row.
      max_tiles: budget of a row; may be 0.

    Returns:
      For each row int64[k], the numbers of its items, in the order in which they were laid.
    """
    budgets = {"max_tokens": max_tokens, "max_tiles": max_tiles}
    ways = (pairs_last, first_fit_decreasing)
    return min((way(tokens, tiles, **budgets) for way in ways), key=len)


def pairs_last(
    tokens: np.ndarray, tiles: np.ndarray, *, max_tokens: int, max_tiles: int
) -> list[np.ndarray]:
    """Row by row, the last two items of each together; arguments and result of `pack_rows`.

    The largest item left, by the larger of its shares of the two budgets, begins a row. While the
    row has room for more than two items of mean size it takes the next one, in the given order,
    that fits; then the item, or the pair, that leaves the least room; until nothing fits.
    """
    n = len(tokens)
    if not n:
        return []
    assert tokens.min() >= 0 and tokens.max() <= max_tokens, "an item that no row can hold"
    assert tiles.min() >= 0 and tiles.max() <= max_tiles, "an item that no row can hold"
    bits = int(max_tokens).bit_length()
    mask = (1 << bits) - 1
    # A token counts as many units as a row has tiles, and the reverse: shares without fractions.
    per_token, per_tile = max(max_tiles, 1), max_tokens
    # Items in the order of (tiles, tokens), as one number: a search finds what fits best.
    ids = np.lexsort((tokens, tiles))
    keys = (tiles[ids].astype(np.int64) << bits) + tokens[ids]
    sizes = np.maximum(
        tokens[ids].astype(np.int64) * per_token, tiles[ids].astype(np.int64) * per_tile
    )
    roomy = 2 * int(sizes.sum()) // n  # room for more than two items of mean size

    def waste(free_tokens, free_tiles):
        a, b = free_tokens * per_token, free_tiles * per_tile
        return 2 * np.maximum(a, b) + a + b

    rows: list[np.ndarray] = []
    while len(ids):
        row: list[int] = []
        free_tokens, free_tiles = int(max_tokens), int(max_tiles)
        chosen = [int(sizes.argmax())]
        while chosen:
            for i in chosen:
                row.append(int(ids[i]))
                free_tokens -= int(keys[i]) & mask
                free_tiles -= int(keys[i]) >> bits
            keys, ids, sizes = (np.delete(array, chosen) for array in (keys, ids, sizes))
            end = int(np.searchsorted(keys, (free_tiles + 1) << bits))
            fits = np.flatnonzero((keys[:end] & mask) <= free_tokens)
            room = free_tokens * per_token
            if max_tiles:
                room = min(room, free_tiles * per_tile)
            if not len(fits):
                chosen = []
            elif room > roomy:
                chosen = [int(fits[ids[fits].argmin()])]
            else:
                chosen = _last(keys, fits, free_tokens, free_tiles, bits, waste)
        rows.append(np.array(row, np.int64))
    return rows


def _last(keys, fits, free_tokens: int, free_tiles: int, bits: int, waste) -> list[int]:
    """The one or two places in `keys` that together leave the least of a row unused."""
    if len(fits) > _CANDIDATES:
        fits = fits[np.arange(_CANDIDATES) * (len(fits) - 1) // (_CANDIDATES - 1)]
    rest_tokens = free_tokens - (keys[fits] & ((1 << bits) - 1))
    rest_tiles = free_tiles - (keys[fits] >> bits)
    left = waste(rest_tokens, rest_tiles)
    first = int(left.argmin())
    least, chosen = left[first], [int(fits[first])]
    for slack in range(min(_SLACKS, int(rest_tiles.max()) + 1)):
        # Of the items with exactly so many tiles, the longest that still fits.
        lowest = (rest_tiles - slack) << bits
        second = np.searchsorted(keys, lowest + rest_tokens, side="right") - 1
        second -= second == fits  # the item itself is no partner
        found = (second >= 0) & (keys[second] >= lowest) & (rest_tiles >= slack)
        left = np.where(found, waste(lowest + rest_tokens - keys[second], slack), _NONE)
        first = int(left.argmin())
        if left[first] < least:
            least, chosen = left[first], [int(fits[first]), int(second[first])]
    return chosen


def first_fit_decreasing(
    tokens: np.ndarray, tiles: np.ndarray, *, max_tokens: int, max_tiles: int
) -> list[np.ndarray]:
    """Items by falling size, each into the first row with room; as `pack_rows`.

    Size is the larger of an item's shares of the two budgets; equal ones as given.
    """
    n = len(tokens)
    assert n == 0 or (tokens.max() <= max_tokens and tiles.max() <= max_tiles)
    # tokens / max_tokens against tiles / max_tiles, in integers.
    size = np.maximum(
        tokens.astype(np.int64) * max(max_tiles, 1), tiles.astype(np.int64) * max_tokens
    )
    order = np.argsort(-size, kind="stable")
    free_tokens = np.full(n, max_tokens, np.int32)
    free_tiles = np.full(n, max_tiles, np.int32)
    row_of = np.empty(n, np.int64)
    # Every row below `first` is too full for the smallest item; rows from `last` on are empty.
    least_tokens, first, last = tokens.min(initial=max_tokens + 1), 0, 0
    least_tiles = tiles.min(initial=max_tiles)
    for item, needs_tokens, needs_tiles in zip(
        order.tolist(), tokens[order].tolist(), tiles[order].tolist(), strict=True
    ):
        fits = free_tokens[first : last + 1] >= needs_tokens
        if needs_tiles:
            fits &= free_tiles[first : last + 1] >= needs_tiles
        row = first + int(fits.argmax())
        row_of[item] = row
        free_tokens[row] -= needs_tokens
        free_tiles[row] -= needs_tiles
        last = max(last, row + 1)
        while first < last and (
            free_tokens[first] < least_tokens or free_tiles[first] < least_tiles
        ):
            first += 1
    # Items of a row stand in the order in which they were laid into it.
    by_row = order[np.argsort(row_of[order], kind="stable")]
    return np.split(by_row, np.cumsum(np.bincount(row_of, minlength=last))[:-1]) if n else []
