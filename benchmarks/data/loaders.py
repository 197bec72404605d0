"""Examples for each second of one core, ours and other loaders', from the same pictures and texts.

Usage: python benchmarks/data/loaders.py [--peers FOLDER] [--rounds 3] [--seconds 15] [--no_save]

FOLDER is the one that `benchmarks/data/peers.sh FOLDER` filled; without it ours runs alone. Every
loader decodes a JPEG, cuts it into five tiles of 378 pixels and tokenises a question and an answer,
with two workers; ours also plans, packs and fills the arrays of a batch. Each is measured with
Pillow's codec, as its users have it, and with ours. The clock is the CPU time of all its processes
after a warm-up, so that a busy machine counts against none; loaders take turns, round by round, and
medians are given. Memory is the largest sum of their proportional set sizes.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import corpus
import psutil

HERE = pathlib.Path(__file__).parent
RESULTS = HERE / "results.jsonl"
PEERS = ("torch", "webdataset", "streaming", "energon")
PACKAGES = {
    "torch": "torch",
    "webdataset": "webdataset",
    "streaming": "mosaicml-streaming",
    "energon": "megatron-energon",
}


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def _total(process: psutil.Process, read) -> float:
    total = 0.0
    for member in _family(process):
        try:
            total += read(member)
        except psutil.NoSuchProcess:
            continue  # a worker that has just ended
    return total


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of a process and those under it."""
    return _total(process, lambda p: p.cpu_times().user + p.cpu_times().system)


def run(python: str, loader: str, codec: str, folder: pathlib.Path, seconds: float) -> dict:
    """One turn of a loader: examples for each CPU second, and the most memory."""
    child = subprocess.Popen(
        [python, str(HERE / "loader_child.py"), loader, codec, str(folder), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            "OMP_NUM_THREADS": "1",
            "PATH": "/usr/bin:/bin",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(HERE.parents[1]),  # mm15_jax.inputs, in the peers' environments too
        },
    )
    process, most, ended = psutil.Process(child.pid), [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.25):
            try:
                most[0] = max(most[0], _total(process, lambda p: p.memory_full_info().pss))
            except psutil.NoSuchProcess:
                return

    assert child.stdin is not None and child.stdout is not None
    try:
        while (line := child.stdout.readline()) and line != "START\n":
            pass
        if not line:
            raise RuntimeError(f"{loader} ended before it gave a batch, code {child.wait()}")
        threading.Thread(target=watch, daemon=True).start()
        before = cpu_seconds(process)
        child.stdin.write("go\n")
        child.stdin.flush()
        words = child.stdout.readline().split()
        spent = cpu_seconds(process) - before
        if words[:1] != ["END"]:
            raise RuntimeError(f"{loader} ended early, code {child.wait()}")
        return {"examples_per_cpu_second": int(words[1]) / spent, "megabytes": most[0] / 1e6}
    finally:
        ended.set()
        for member in reversed(_family(process)) if process.is_running() else ():
            member.kill()
        child.wait()


def version(python: str, package: str) -> str:
    """Of a package in an environment."""
    program = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run(
        [python, "-c", program], check=True, capture_output=True, text=True
    ).stdout.strip()


def main() -> None:
    """Measures all loaders in turns."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--examples", type=int, default=400)
    parser.add_argument("--no_save", action="store_true", help="do not append to results.jsonl")
    arguments = parser.parse_args()
    pythons = {"ours": sys.executable}
    if arguments.peers:
        pythons |= {n: str(arguments.peers.absolute() / n / "bin" / "python") for n in PEERS}
    versions = {n: version(pythons[n], PACKAGES[n]) for n in pythons if n != "ours"}
    found: dict[tuple[str, str], list[dict]] = {}
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        corpus.write_folder(folder / "files", arguments.examples)
        corpus.write_tars(folder / "tars", arguments.examples)
        for _ in range(arguments.rounds):
            for codec in ("pillow", "ours"):
                for name, python in pythons.items():
                    kind = "tars" if name in ("webdataset", "energon") else "files"
                    turn = run(python, name, codec, folder / kind, arguments.seconds)
                    found.setdefault((name, codec), []).append(turn)
                    pace = turn["examples_per_cpu_second"]
                    print(f"{name:11} codec {codec:7} {pace:6.1f} examples/s/core", flush=True)
    for (name, codec), turns in found.items():
        row = {
            "benchmark": "loaders",
            "loader": name,
            "codec": codec,
            **{k: round(statistics.median(t[k] for t in turns), 1) for k in turns[0]},
            "rounds": len(turns),
            "version": versions.get(name, ""),
            "date": time.strftime("%Y-%m-%d"),
        }
        print(json.dumps(row))
        if not arguments.no_save:
            with RESULTS.open("a") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
