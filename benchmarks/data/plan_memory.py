"""Memory of the plan, and time to resume, at the size of the paper's mixtures.

    python benchmarks/data/plan_memory.py [--records 100000000] [--datasets 4] [--out memory.jsonl]

Writes indexes of so many records each (sparse: a seeded part is repeated), plans over them with the
SFT experiment's budgets, and reads windows from all over. "drop": some records fit no row, so items
are found by blocks; "cut": long documents make several items. Memory is the process's own peak
(VmHWM) over what it had with everything imported; a plan of row 10 million is timed in a fresh
process, from opening the indexes to the first rows.
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from mm15_jax.data.index import COUNTS, DOCUMENT, Index
from mm15_jax.data.pack_plan import PackPlan, PlanSource
from mm15_jax.data.plan_items import Budgets, load_items

BUDGETS = Budgets(tokens=4096, tiles=22, cut_documents=True)
PART = 1 << 20


def write_index(path: pathlib.Path, records: int, kind: str, seed: int) -> None:
    """An index file: "whole": every record fits; "drop": 3% do not; "cut": 3% are documents."""
    rng = np.random.default_rng(seed)
    part = np.zeros(PART, COUNTS)
    part["tokens"] = np.minimum(rng.lognormal(7, 0.6, PART), 4096).astype(np.int32)
    part["tiles"] = rng.integers(0, 11, PART)
    if kind != "whole":
        odd = rng.random(PART) < 0.03
        part["tokens"][odd] = rng.integers(4097, 40_000, odd.sum())
        if kind == "cut":
            part["tiles"][odd] = DOCUMENT
    with open(path, "wb") as file:
        header = {"descr": COUNTS.descr, "fortran_order": False, "shape": (records,)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, records, PART):
            file.write(part[: min(PART, records - start)].tobytes())


def open_plan(folder: pathlib.Path) -> PackPlan:
    """The plan over all indexes of a folder."""
    sources = [
        PlanSource(path.stem, load_items(Index(path, path.stem), BUDGETS), 1.0 + i, False, "x")
        for i, path in enumerate(sorted(folder.glob("*.npy")))
    ]
    return PackPlan(sources, BUDGETS, window=1024, seed=0)


def resident(field: str) -> int:
    """Bytes of VmRSS or VmHWM."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


def child(folder: pathlib.Path, windows: int, far_row: int) -> dict:
    """Measures in this process."""
    before = resident("VmRSS")
    began = time.perf_counter()
    plan = open_plan(folder)
    opened = time.perf_counter() - began
    rows_a_window = len(plan.rows(0))
    began = time.perf_counter()
    plan = open_plan(folder)
    # A cursor names a window and a row in it: this is the window that holds the far row.
    rows, _ = plan.batch(far_row // rows_a_window * plan.window, 256)
    resumed = time.perf_counter() - began
    began = time.process_time()
    for window in np.random.default_rng(0).integers(0, 10**6, windows).tolist():
        plan.rows(window)
    planned = time.process_time() - began
    everything = [r.tokens.sum() for r in rows]
    return {
        "records": sum(len(s.items) for s in plan.sources),
        "open_seconds": round(opened, 3),
        "resume_seconds": round(resumed, 3),
        "resumed_at_row": far_row,
        "token_fill": round(float(np.mean(everything) / 4096), 3),
        "planned_examples_per_second": round(windows * plan.window / planned),
        "own_mb": round((resident("VmHWM") - before) / 2**20, 1),
        "process_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def main() -> None:
    """Writes the fixtures, measures the first and the second opening, prints and keeps both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000_000)
    parser.add_argument("--datasets", type=int, default=4)
    parser.add_argument("--windows", type=int, default=100)
    parser.add_argument("--far_row", type=int, default=10_000_000)
    parser.add_argument("--out", default="plan_memory.jsonl")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        found = child(pathlib.Path(arguments.child), arguments.windows, arguments.far_row)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as name, open(arguments.out, "w") as out:
        folder = pathlib.Path(name)
        for i in range(arguments.datasets):
            kind = ("whole", "drop", "cut")[i % 3]
            write_index(folder / f"{i:03d}_{kind}.npy", arguments.records, kind, seed=i)
        for what in ("first opening: budgets are scanned", "later: from what the scan left"):
            command = [sys.executable, __file__, "--child", name]
            command += ["--windows", str(arguments.windows), "--far_row", str(arguments.far_row)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, env=environment
            )
            row = {
                "what": what,
                "datasets": arguments.datasets,
                "records_each": arguments.records,
                **json.loads(done.stdout),
            }
            out.write(json.dumps(row) + "\n")
            print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
