"""Tiles for each second of one core, from JPEG photographs and A4 pages; Pillow beside it.

Usage: python benchmarks/data/decode.py [--rounds 5] [--seconds 0.5] [--no_save]

Both make the same tiles: a static grid of 2 x 3 sub-images (3 x 2 for pages) of 378 or 672 pixels
and an overview. Time is that of the CPU (`time.thread_time`), so a busy machine does not count
against either; the two take turns, round by round, and the median of the rounds is given. Rows go
to benchmarks/data/results.jsonl.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
import pictures
import PIL
import simplejpeg

from mm15_jax.config.schema import SplittingConfig
from mm15_jax.inputs.image_splitting import Tiling, plan_tiling
from mm15_jax.inputs.tiles import image_size, load_tiles

RESULTS = pathlib.Path(__file__).with_name("results.jsonl")
COPIES = 6  # different pictures of each kind
KINDS: dict[str, Callable[[int], bytes]] = {
    "photo 640x480": lambda seed: pictures.photo(480, 640, seed),
    "photo 1600x1200": lambda seed: pictures.photo(1200, 1600, seed),
    "A4 150 dpi": lambda seed: pictures.page(150, seed),
    "A4 200 dpi": lambda seed: pictures.page(200, seed),
    "A4 300 dpi": lambda seed: pictures.page(300, seed),
}


def pace(load: Callable[[bytes, Tiling], np.ndarray], work: list, seconds: float) -> float:
    """Tiles a second of CPU time, over whole passes through the work."""
    tiles, began = 0, time.thread_time()
    while (spent := time.thread_time() - began) < seconds:
        for data, tiling in work:
            tiles += len(load(data, tiling))
    return tiles / spent


def measure(kind: str, resolution: int, rounds: int, seconds: float) -> dict:
    """Medians of both, and how far apart their tiles are."""
    work = []
    for seed in range(COPIES):
        data = KINDS[kind](seed)
        height, width = image_size(data)
        grid = (3, 2) if height > width else (2, 3)
        splitting = SplittingConfig(mode="static", static_grid=grid)
        tiling = plan_tiling(
            height, width, resolution=resolution, splitting=splitting, images_in_example=1
        )
        work.append((data, tiling))
    errors = [
        np.mean((load_tiles(*item).astype(np.float32) - pictures.pillow_tiles(*item)) ** 2)
        for item in work
    ]
    loads = {"ours": load_tiles, "pillow": pictures.pillow_tiles}
    paces: dict[str, list[float]] = {name: [] for name in loads}
    for _ in range(rounds):
        for name, load in loads.items():
            paces[name].append(pace(load, work, seconds))
    return {
        "benchmark": "decode",
        "pictures": kind,
        "resolution": resolution,
        "kilobytes": round(statistics.mean(len(data) for data, _ in work) / 1000),
        "tiles_a_picture": work[0][1].num_tiles,
        **{name: round(statistics.median(p), 1) for name, p in paces.items()},
        "ratio": round(
            statistics.median(a / b for a, b in zip(paces["ours"], paces["pillow"], strict=True)), 2
        ),
        "psnr_db": round(float(10 * np.log10(255**2 / max(errors))), 1),
    }


def main() -> None:
    """Measures every kind at both resolutions."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of CPU, for each round")
    parser.add_argument("--no_save", action="store_true", help="do not append to results.jsonl")
    arguments = parser.parse_args()
    versions = {
        "pillow": PIL.__version__,
        "opencv": cv2.__version__,
        "simplejpeg": simplejpeg.__version__,
    }
    for kind in KINDS:
        for resolution in (378, 672):
            row = measure(kind, resolution, arguments.rounds, arguments.seconds)
            print(
                f"{kind:16} r={resolution}  {row['kilobytes']:5} kB  ours {row['ours']:7.1f}"
                f"  pillow {row['pillow']:6.1f} tiles/s/core  x{row['ratio']}"
                f"  {row['psnr_db']} dB",
                flush=True,
            )
            if not arguments.no_save:
                with RESULTS.open("a") as file:
                    stamp = time.strftime("%Y-%m-%d")
                    file.write(json.dumps({**row, "versions": versions, "date": stamp}) + "\n")


if __name__ == "__main__":
    main()
