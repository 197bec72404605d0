"""How long `mm15 eval` takes for 1,000 held-out examples of the miniature, on this machine.

Usage: python benchmarks/evaluation.py RUN_DIR [DATA_DIR]

The same number of questions of each benchmark, by the command, from its start to its table: once
with an empty compile cache, once with the one that it left. The run is not changed: its parameters
are asked from a copy. CPU seconds are of all its threads; where other work shares the machine, half
of them are the time it would have on two idle cores at best. Rows go to benchmarks/results.jsonl.
"""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

from mm15_jax.evaluation.benchmarks import resolve

HERE = pathlib.Path(__file__).parent
EXAMPLES = 1000


def measure(run_dir: pathlib.Path, data_dir: pathlib.Path, cache: str) -> dict:
    """One evaluation, with what it took."""
    each = -(-EXAMPLES // len(resolve(["mini"])))
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder, "run")
        copy.mkdir()
        shutil.copy(run_dir / "config.json", copy)
        (copy / "checkpoints").symlink_to((run_dir / "checkpoints").resolve())
        command = [
            str(pathlib.Path(sys.executable).with_name("mm15")),
            *("eval", "--run_dir", str(copy), "--data_dir", str(data_dir)),
            *("--benchmarks", "mini", "--limit", str(each), "--json"),
        ]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            command,
            env={**os.environ, "MM15_COMPILE_CACHE": cache},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    results = json.loads(done.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "examples": sum(row["answered"] for row in results["benchmarks"].values()),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "mmbase": results["averages"]["mini"]["mmbase"],
    }


def main() -> None:
    """Measures twice and adds a row to results.jsonl."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python benchmarks/evaluation.py RUN_DIR [DATA_DIR]")
    run_dir = pathlib.Path(sys.argv[1])
    data_dir = pathlib.Path(sys.argv[2] if len(sys.argv) == 3 else "datasets")
    if not (run_dir / "config.json").exists():
        sys.exit(f"{run_dir} is no run: it has no config.json")
    with tempfile.TemporaryDirectory() as cache:
        found = {name: measure(run_dir, data_dir, cache) for name in ("cold", "warm")}
    row = {
        "what": "evaluation",
        "run": json.loads((run_dir / "config.json").read_text())["name"],
        "date": datetime.date.today().isoformat(),
        **found,
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(row, indent=1))
    with (HERE / "results.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
