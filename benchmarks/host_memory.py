"""The miniature's training step with freed memory kept, and with glibc's own options, in turn.

Usage: python benchmarks/host_memory.py [DATA_DIR] [--experiment mm15_nano_reading] [--rounds 2]

A run of few and one of many steps are trained from random parameters on one device, each with and
without `mm15_jax.parallel.host_memory`; what the longer takes more is of its steps. Which is first
changes from round to round. CPU seconds count, which tell little of what else the machine does,
those of the kernel apart. Losses of both ways have to be equal. The row goes to results.jsonl.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
STEPS = (20, 120)
# glibc's own number of arenas for this machine: said by the environment, so nothing else is told.
DEFAULTS = {"MALLOC_ARENA_MAX": str(8 * (os.cpu_count() or 1))}
WAYS = {"kept": {}, "default": DEFAULTS}


def train(way: str, steps: int, experiment: str, data_dir: str) -> dict:
    """One run: CPU seconds of its program and of the kernel, pages asked for, most memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "mm15_jax.cli.main", "train", experiment),
            *("--run_dir", folder, "--data_dir", data_dir),
            *("--set", f"train.steps={steps}", "init_from=[]"),
        ]
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "1", **WAYS[way]}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{' '.join(command)} failed")
        rows = pathlib.Path(folder, "metrics.jsonl").read_text().splitlines()
    return {
        "user": used.ru_utime,
        "kernel": used.ru_stime,
        "faults": used.ru_minflt,
        "gib": used.ru_maxrss / 2**20,
        "losses": [json.loads(row).get("loss") for row in rows],
    }


def main() -> None:
    """Prints a line for each way and adds a row to results.jsonl."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data_dir", nargs="?", default="datasets")
    parser.add_argument("--experiment", default="mm15_nano_reading")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    train("kept", 2, given.experiment, given.data_dir)  # prepares data, compiles
    best: dict[str, dict[str, float]] = {}
    losses = []
    for turn in range(given.rounds):
        for way in list(WAYS)[:: 1 if turn % 2 else -1]:
            few, many = (train(way, n, given.experiment, given.data_dir) for n in STEPS)
            losses.append(many["losses"])
            step = {k: (many[k] - few[k]) / (STEPS[1] - STEPS[0]) for k in ("user", "kernel")}
            step["faults"] = (many["faults"] - few["faults"]) / (STEPS[1] - STEPS[0])
            step["gib"] = many["gib"]
            total = step["user"] + step["kernel"]
            if way not in best or total < best[way]["user"] + best[way]["kernel"]:
                best[way] = step
    if any(other != losses[0] for other in losses):
        sys.exit("losses differ")
    for way, step in best.items():
        print(
            f"{way}: {step['user']:.3f} + {step['kernel']:.3f} s of the kernel a step,"
            f" {step['faults']:,.0f} pages, {step['gib']:.2f} GiB"
        )
    seconds = {way: step["user"] + step["kernel"] for way, step in best.items()}
    ratio = round(seconds["default"] / seconds["kept"], 2)
    print(f"{ratio} times the CPU seconds with glibc's own options")
    row = {
        "what": "host_memory",
        "experiment": given.experiment,
        "date": datetime.date.today().isoformat(),
        "ratio": ratio,
        **best,
    }
    with (HERE / "results.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
