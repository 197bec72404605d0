"""Memory of the whole loader at the SFT mixture's size: 57 data sets of 100 million records.

    python benchmarks/data/loader_memory.py [--records 100000000] [--host_rows 4 16] [--out FILE]

Indexes are of the stated size; their counts are those of 512 examples (photographs, pages, texts),
over and over, and record i is example i mod 512. So rows are planned over all of the
indexes, and read, decoded and tiled as `mm15_3b_sft` does: 4,096 tokens and 22 tiles of 672 pixels.
Memory is a fresh process's own, from its start to the last batch: VmHWM, and its part that is no
mapped file (RssAnon), sampled.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np
import pictures

from mm15_jax import config as config_lib
from mm15_jax.data.index import COUNTS, DOCUMENT, Index
from mm15_jax.data.pack_plan import PackPlan, PlanSource
from mm15_jax.data.pipeline import Pipeline
from mm15_jax.data.plan_items import Budgets, load_items
from mm15_jax.inputs import formatting
from mm15_jax.inputs.example import Example, Image, Text
from mm15_jax.inputs.tiles import image_size
from mm15_jax.inputs.tokenizer import load_tokenizer

DATASETS = 57  # of the mixture sft_all
DIFFERENT = 512
SIZES = ((640, 480, 0), (480, 640, 0), (1600, 1200, 0), (0, 0, 150))  # width, height, or dpi


def experiment():
    """`mm15_3b_sft` with a tokenizer that is at hand."""
    return config_lib.load("mm15_3b_sft", ["inputs.tokenizer=nano"])


def example(number: int) -> Example:
    """Three of four have a picture."""
    words = " ".join(f"word{(number * 7 + k) % 97}" for k in range(20 + number % 60))
    turns = (Text("What is it?", role="user"), Text(words, role="assistant", loss=True))
    if number % 4 == 3:
        return Example(turns, "x", str(number), "general", {})
    data = picture(number % (4 * len(SIZES)))
    height, width = image_size(data)
    return Example((Image(data, height, width, role="user"), *turns), "x", str(number), "x", {})


@functools.cache
def picture(number: int) -> bytes:
    """A photograph or a page; making one takes a second."""
    width, height, dpi = SIZES[number % len(SIZES)]
    return pictures.page(dpi, number) if dpi else pictures.photo(height, width, number)


class Repeated:
    """A data set of any size, of a few examples; it has what `Pipeline` reads of a `Dataset`."""

    categories = ("general", "x")

    def __init__(self, name: str, examples: list[Example]):
        self.name, self._examples = name, examples

    def __getitem__(self, record: int) -> Example:
        return self._examples[record % len(self._examples)]


def write_indexes(folder: pathlib.Path, records: int, examples: list[Example]) -> None:
    """The index of each data set; all are one file on the disk, as their counts are alike."""
    config, tokenizer = experiment(), load_tokenizer("nano")
    sizes = {"tokens_per_tile": config.model.connector.tokens}
    sizes["resolution"] = config.model.encoder.resolution
    counts = np.empty(len(examples), COUNTS)
    for i, made in enumerate(examples):
        tokens, tiles = formatting.measure(made, tokenizer, config.inputs, **sizes)
        counts[i] = tokens, tiles or DOCUMENT
    part = np.tile(counts, 2048)
    first = folder / "000.npy"
    with open(first, "wb") as file:
        header = {"descr": COUNTS.descr, "fortran_order": False, "shape": (records,)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, records, len(part)):
            file.write(part[: min(len(part), records - start)].tobytes())
    load_items(Index(first, "x"), budgets(config))  # what its scan finds is kept beside it
    (kept,) = folder.glob("*.npz")
    for number in range(1, DATASETS):
        (folder / f"{number:03d}.npy").hardlink_to(first)
        shutil.copy(kept, folder / kept.name.replace("000", f"{number:03d}", 1))


def budgets(config) -> Budgets:
    """Of a row; `cut_documents` makes an index's blocks be counted."""
    return Budgets(config.inputs.sequence_length, config.inputs.tiles_per_row, True)


def status(field: str) -> float:
    """Megabytes of a field of this process."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise AssertionError(field)


def child(folder: pathlib.Path, host_rows: int, batches: int) -> dict:
    """Reads batches in this process."""
    imported = status("VmRSS")
    most = [0.0]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.01):
            most[0] = max(most[0], status("RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    config = experiment()
    examples = [example(i) for i in range(DIFFERENT)]
    sources = [
        PlanSource(path.stem, load_items(Index(path, "x"), budgets(config)), 1.0 + i % 7)
        for i, path in enumerate(sorted(folder.glob("*.npy")))
    ]
    plan = PackPlan(sources, budgets(config), window=config.data.window, seed=0)
    far = 10_000_000 // len(plan.rows(0)) * plan.window  # a cursor ten million rows on
    began = time.perf_counter()
    plan.batch(far, config.train.batch_rows)
    resumed = time.perf_counter() - began
    with Pipeline(
        plan,
        [Repeated(source.name, examples) for source in sources],  # type: ignore[misc]
        config.inputs,
        config.data,
        rows=config.train.batch_rows,
        tokens_per_tile=config.model.connector.tokens,
        resolution=config.model.encoder.resolution,
        cursor=far,
        host_rows=range(host_rows),
    ) as pipeline:
        tiles = [stats.tiles for _, stats, _ in itertools.islice(pipeline, batches)]
        batch_mb = pipeline.shape.bytes / 2**20
    ended.set()
    watcher.join()
    return {
        "records": sum(len(source.items) for source in sources),
        "host_rows": host_rows,
        "batch_mb": round(batch_mb),
        "batches": batches,
        "tiles": sum(tiles),
        "resume_seconds": round(resumed, 3),
        "imported_mb": round(imported),
        "peak_mb": round(status("VmHWM")),
        "peak_anonymous_mb": round(most[0]),
    }


def main() -> None:
    """Writes the indexes, measures each number of rows in a fresh process, prints and keeps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000_000)
    parser.add_argument("--host_rows", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--out", default="loader_memory.jsonl")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        (rows,) = arguments.host_rows
        print(json.dumps(child(pathlib.Path(arguments.child), rows, arguments.batches)))
        return
    with tempfile.TemporaryDirectory() as name, open(arguments.out, "w") as out:
        write_indexes(pathlib.Path(name), arguments.records, [example(i) for i in range(DIFFERENT)])
        for rows in arguments.host_rows:
            command = [sys.executable, __file__, "--child", name, "--host_rows", str(rows)]
            command += ["--batches", str(arguments.batches)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
            row = {"datasets": DATASETS, "records_each": arguments.records}
            row |= json.loads(done.stdout)
            out.write(json.dumps(row) + "\n")
            print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
