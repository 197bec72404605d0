"""How full rows get: our plan against next-fit, Grain's first-fit and first-fit-decreasing.

    python benchmarks/data/packing.py [--examples 32768] [--out packing.jsonl]

On the simulated SFT mixture of sft_lengths.py: 4096 tokens a row, pictures of 672 pixels split
(4, 9). Each line of the result file is one method at one N (tiles a row) and one window.
"""

import argparse
import json
import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import grain
from sft_lengths import SEQUENCE_LENGTH, simulate

from mm15_jax.data.packing import first_fit_decreasing, pack_rows


def next_fit(tokens, tiles, *, max_tokens, max_tiles):
    """Items as they come, each into the open row, or into a new one."""
    rows, free_tokens, free_tiles = [], 0, 0
    for i, (t, n) in enumerate(zip(tokens.tolist(), tiles.tolist(), strict=True)):
        if t > free_tokens or n > free_tiles or not rows:
            rows.append([])
            free_tokens, free_tiles = max_tokens, max_tiles
        rows[-1].append(i)
        free_tokens, free_tiles = free_tokens - t, free_tiles - n
    return rows


def grain_first_fit(tokens, tiles, *, max_tokens, max_tiles, bins=64):
    """Grain's FirstFitPackIterDataset with both budgets, as data.packing=late uses it."""
    items = [
        {"tokens": np.full(t, i), "tiles": np.full(n, i)}
        for i, (t, n) in enumerate(zip(tokens.tolist(), tiles.tolist(), strict=True), start=1)
    ]
    dataset = grain.experimental.FirstFitPackIterDataset(
        grain.MapDataset.source(items).to_iter_dataset(),
        length_struct={"tokens": max_tokens, "tiles": max_tiles},
        num_packing_bins=bins,
        shuffle_bins=False,
    )
    return [np.unique(row["tokens"][row["tokens"] > 0]) - 1 for row in dataset]


METHODS = {
    "next_fit": (next_fit, "all"),
    "grain_first_fit": (grain_first_fit, "all"),
    "first_fit_decreasing": (first_fit_decreasing, "window"),
    "mm15 (pairs last)": (pack_rows, "window"),
}


def measure(name: str, tokens, tiles, max_tiles: int, window: int) -> dict:
    """One line of the result."""
    method, span = METHODS[name]
    fits = tiles <= max_tiles
    tokens, tiles = tokens[fits], tiles[fits]
    size = window if span == "window" else len(tokens)
    began, count = time.process_time(), 0
    for start in range(0, len(tokens) - size + 1, size):
        part = slice(start, start + size)
        rows = method(tokens[part], tiles[part], max_tokens=SEQUENCE_LENGTH, max_tiles=max_tiles)
        for row in rows:
            assert tokens[part][row].sum() <= SEQUENCE_LENGTH
            assert tiles[part][row].sum() <= max_tiles
        count += len(rows)
    laid = len(tokens) // size * size
    return {
        "method": name,
        "tiles_per_row": max_tiles,
        "window": window if span == "window" else None,
        "token_fill": round(float(tokens[:laid].sum() / (count * SEQUENCE_LENGTH)), 4),
        "tile_fill": round(float(tiles[:laid].sum() / (count * max_tiles)), 4),
        "examples_left_out": round(float(1 - fits.mean()), 5),
        "examples_per_second": round(laid / (time.process_time() - began)),
    }


def main() -> None:
    """Prints a table, and writes it as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=16_384)
    parser.add_argument("--tiles", type=int, nargs="+", default=[20, 21, 22, 23, 24])
    parser.add_argument("--windows", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--out", default="packing.jsonl")
    arguments = parser.parse_args()
    least = 2 * max(arguments.windows)  # a part of a window is not packed
    if arguments.examples < least:
        parser.error(f"--examples is {arguments.examples}; expected {least} or more")
    tokens, tiles = simulate(arguments.examples)
    print(
        f"{len(tokens):,} examples: {tokens.mean():.0f} tokens and {tiles.mean():.2f} tiles each, "
        f"{tiles.sum() / tokens.sum() * SEQUENCE_LENGTH:.1f} tiles per {SEQUENCE_LENGTH} tokens"
    )
    with open(arguments.out, "w") as out:
        for max_tiles in arguments.tiles:
            for name, (_, span) in METHODS.items():
                for window in arguments.windows if span == "window" else arguments.windows[:1]:
                    row = measure(name, tokens, tiles, max_tiles, window)
                    out.write(json.dumps(row) + "\n")
                    out.flush()
                    print(
                        f"N {max_tiles}  {name:<22} window {row['window'] or '-':>5}  tokens "
                        f"{row['token_fill']:.3f}  tiles {row['tile_fill']:.3f}  "
                        f"{row['examples_per_second']:>8,} examples/s"
                    )


if __name__ == "__main__":
    main()
