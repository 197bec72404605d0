"""Our step beside MaxText's on the same work: compiled for v5p:4x4x4, and trained on this CPU.

Usage: python benchmarks/compare.py aot [CASE ...] [--maxtext FOLDER]
       python benchmarks/compare.py cpu [CASE ...] [--maxtext FOLDER]

FOLDER is the one that `benchmarks/maxtext.sh FOLDER setup` filled; without it ours is measured
alone. Compiled programs are asked three times: whole, and with one and three layers unrolled, from
which a whole step's FLOPs and optimal seconds follow: F1 + (L - 1) (F3 - F1) / 2. MaxText's rows
come from aot.jsonl in its folder, where `maxtext.sh FOLDER aot CASE` left them; the planner reads
the texts of its programs beside that as it reads ours (`serial_seconds`, cycles), for cases where
XLA has no estimate. A CPU case runs MaxText and us in turn, twice, and takes the better of each.
Rows go to benchmarks/results.jsonl.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
TOPOLOGY = "v5p:4x4x4"
GIB = 2**30
# Ours: experiment and settings. MaxText's case of the same name is in maxtext.sh.
AOT = {
    "dense_full": ("text_3b", ["model.decoder.remat=full", "mesh.data=1", "mesh.fsdp=64"]),
    "dense_minimal": ("text_3b", ["model.decoder.remat=matmuls", "mesh.data=1", "mesh.fsdp=64"]),
    "moe64_ragged": (
        "text_moe64",
        [
            "mesh.data=1",
            "mesh.expert=16",
            "mesh.fsdp=4",
            "model.decoder.moe.dispatch=dropless",
            "model.decoder.moe.buffer_factor=1.25",
        ],
    ),
    "moe64_capacity": ("text_moe64", ["mesh.data=1", "mesh.expert=16", "mesh.fsdp=4"]),
}
CPU = {
    "full": ["model.decoder.remat=full"],
    "none": ["model.decoder.remat=none"],
    "moe": [
        "model.decoder.moe.experts=8",
        "model.decoder.moe.every=1",
        "model.decoder.moe.capacity_factor=1.25",
    ],
}
STEPS = 20


def ours_compiled(experiment: str, settings: list[str]) -> dict:
    """Figures of our step: whole, and of one and three unrolled layers."""
    config = resolved(experiment, settings)
    from mm15_jax.plan import compile, report

    raw = compile.step_of(config, topology())
    plan = report.assemble(config, topology(), raw)
    if not plan["fits"]:
        return {"refused_gib": plan["hbm_used_bytes"] / GIB}
    one, three = (unrolled(experiment, settings, layers) for layers in (1, 3))
    layers = config.model.decoder.layers
    found = {
        "arguments_gib": plan["hbm"]["arguments"] / GIB,
        "net_gib": plan["hbm_temp_bytes"] / GIB,
        "temp_gib": raw["memory"]["temp"] / GIB,
        "tflop_once": raw["xla"]["flops"] / 1e12,
        "optimal_once": raw["xla"]["optimal_seconds"],
        "planner_seconds": plan["xla_optimal_seconds"],
        "serial_seconds": plan["serial_seconds"],
        "tflop": plan["compiled_flops_per_step"] / 64 / 1e12,
        "estimated_cycles": plan["estimated_cycles"],
        "compile_seconds": plan["compile_seconds"],
        "versions": plan["versions"],
        "one": one,
        "three": three,
    }
    whole = one["looped"] == three["looped"] == 1  # experts one by one are a loop of their own
    if whole and min(one["optimal_seconds"], three["optimal_seconds"]) > 0:
        found["optimal_seconds"] = extrapolated(
            one["optimal_seconds"], three["optimal_seconds"], layers
        )
    return found


def topology():
    """The hardware of all compiled cases."""
    from mm15_jax.plan.topology import parse

    return parse(TOPOLOGY)


def resolved(experiment: str, settings: list[str]):
    """An experiment with its mesh on the hardware."""
    from mm15_jax.config import load
    from mm15_jax.plan import meshes

    return meshes.resolved(load(experiment, settings), topology())[0]


def unrolled(experiment: str, settings: list[str], layers: int) -> dict:
    """FLOPs and optimal seconds of so few layers, written out, the logits of all tokens at once.

    Such a program has no loop, and XLA's figures are of the whole of it.
    """
    script = [sys.executable, str(HERE / "compare.py"), "aot-child", experiment]
    settings = [*settings, f"model.decoder.layers={layers}", "train.loss_chunk=0"]
    done = subprocess.run([*script, *settings], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def _aot_child(experiment: str, settings: list[str]) -> None:
    from mm15_jax.config import to_dict
    from mm15_jax.model import params
    from mm15_jax.plan import worker

    # Without a loop, XLA would merge what is computed again with what was computed before.
    params.unrolls = lambda length, remat: True
    params.rematerialised = functools.partial(params.rematerialised, in_scan=False)
    config = resolved(experiment, settings)
    raw = worker.compile_step({"config": to_dict(config), "topology": TOPOLOGY, "slices": 1})
    print(
        json.dumps(
            {
                "tflop": raw["xla"]["flops"] / 1e12,
                "optimal_seconds": raw["xla"]["optimal_seconds"],
                "looped": raw["flops"] / raw["flops_once"],  # 1, but for experts one by one
            }
        )
    )


def read_program(path: pathlib.Path, config) -> dict:
    """What the planner's reader finds in the text of a compiled step of the same work as `config`.

    Both lay out a mesh of these axes by JAX's `mesh_utils`, so that places of devices are the same;
    attention's kernels do the same work.
    """
    from mm15_jax.parallel.mesh import make_mesh
    from mm15_jax.plan import hlo, report, roofline, work, worker
    from mm15_jax.plan.topology import devices

    hardware = topology()
    done = work.work_of(hlo.parse(path.read_text()), hardware.chip)
    places = worker.places_of(make_mesh(config.mesh, devices(hardware)), hardware)
    exchanges = [roofline.exchange(c, hardware, places) for c in done.collectives]
    attention = report.kernel_flops(config, {"splash Decoder": 1}) / hardware.chips
    seconds = done.seconds + attention / hardware.chip.peak_flops
    return {
        "serial_seconds": seconds + sum(e.ici_seconds for e in exchanges),
        "planner_tflop": (done.flops + attention) / 1e12,
        "estimated_cycles": done.cycles,
        "unknown_loops": done.unknown_loops,
    }


def extrapolated(one: float, three: float, layers: int) -> float:
    """What a whole step of so many layers takes, from steps of one and of three."""
    return one + (layers - 1) * (three - one) / 2


def theirs_compiled(folder: pathlib.Path, case: str, config) -> dict | None:
    """MaxText's figures of the same work as `config`; None where they were not made."""
    path = folder / "aot.jsonl"
    if not path.exists():
        return None
    rows = {row["name"]: row for row in map(json.loads, path.read_text().splitlines())}
    row = rows.get(case)
    if row is None:
        return None
    found = {
        "arguments_gib": row["arguments"] / GIB,
        "net_gib": (row["peak"] - row["arguments"]) / GIB,
        "temp_gib": row["temp"] / GIB,
        "tflop_once": row["flops"] / 1e12,
        "optimal_once": row["optimal_seconds"],
        "compile_seconds": row["compile_seconds"],
        "versions": {"jax": row["jax"]},
    }
    if (folder / f"{case}.hlo").exists():
        found |= read_program(folder / f"{case}.hlo", config)
    one, three = rows.get(f"{case}_L1"), rows.get(f"{case}_L3")
    if one and three:
        layers = 26 if case.startswith("dense") else 13
        for key, name, unit in (
            ("optimal_seconds", "optimal_seconds", 1),
            ("tflop", "flops", 1e12),
        ):
            found[key] = extrapolated(one[name], three[name], layers) / unit
    return found


def ours_on_cpu(settings: list[str]) -> float:
    """Tokens a second of our step, in a process of its own: the median of steps after the third."""
    script = [sys.executable, str(HERE / "compare.py"), "cpu-child", *settings]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def _cpu_child(settings: list[str]) -> None:
    from mm15_jax.config import load

    config = load("text_tiny", settings)
    from mm15_jax.parallel.startup import start_jax

    start_jax(config.train.batch_rows)
    import jax
    import numpy as np

    from mm15_jax.data.batch import BatchShape, empty_batch
    from mm15_jax.model import mllm
    from mm15_jax.parallel.mesh import make_mesh
    from mm15_jax.train.state import abstract_batch, abstract_state, optimizer_of
    from mm15_jax.train.step import TrainState, build_step

    mesh = make_mesh(config.mesh)
    shardings = jax.tree.map(lambda x: x.sharding, abstract_state(config, mesh))

    def start():
        params = mllm.init_params(config.model, jax.random.key(0))
        return TrainState(jax.numpy.int32(0), params, optimizer_of(config).init(params))

    state = jax.jit(start, out_shardings=shardings)()
    rows, S = config.train.batch_rows, config.inputs.sequence_length
    batch = empty_batch(
        BatchShape(rows, S, 0, mllm.tokens_per_tile(config.model), config.model.encoder.resolution)
    )
    rng = np.random.default_rng(0)
    batch["tokens"][:] = rng.integers(0, config.model.decoder.vocab_size, (rows, S))
    batch["segment_ids"][:] = 1
    batch["positions"][:] = np.arange(S)
    batch["loss_weights"][:, 1:] = 1.0
    placed = jax.tree.map(
        lambda x, like: jax.device_put(x, like.sharding), batch, abstract_batch(config, mesh)
    )
    step = build_step(config, mesh, 1)
    seconds = []
    for _ in range(STEPS):
        began = time.perf_counter()
        state, metrics = step(state, placed)
        jax.block_until_ready(metrics)
        seconds.append(time.perf_counter() - began)
    assert np.isfinite(float(metrics["loss"]))
    print(rows * S / float(np.median(seconds[3:])))


def theirs_on_cpu(folder: pathlib.Path, case: str) -> float:
    """Tokens a second of MaxText: the median of its own figures after the third step."""
    subprocess.run([str(HERE / "maxtext.sh"), str(folder), "cpu", case], check=True)
    log = (folder / f"cpu_{case}.log").read_text()
    seconds = [float(s) for s in re.findall(r"completed step: \d+, seconds: ([\d.]+)", log)][3:]
    return 8 * 512 / sorted(seconds)[len(seconds) // 2]


def main(argv: list[str]) -> None:
    """Measures the cases and appends a row for each."""
    if argv[:1] == ["cpu-child"]:
        _cpu_child(argv[1:])
        return
    if argv[:1] == ["aot-child"]:
        from mm15_jax.plan.topology import no_hardware

        with no_hardware():  # before JAX starts
            _aot_child(argv[1], argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("aot", "cpu"))
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--maxtext", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "results.jsonl")
    given = parser.parse_args(argv)
    known = AOT if given.what == "aot" else CPU
    for case in given.cases or known:
        if case not in known:
            parser.error(f"no case {case}; there are {', '.join(known)}")
        row: dict = {"what": given.what, "case": case, "date": time.strftime("%Y-%m-%d")}
        if given.what == "aot":
            row["ours"] = ours_compiled(*AOT[case])
            row["maxtext"] = None
            if given.maxtext:
                row["maxtext"] = theirs_compiled(given.maxtext, case, resolved(*AOT[case]))
        else:
            ours, theirs = [], []
            for _ in range(2):
                ours.append(ours_on_cpu(CPU[case]))
                if given.maxtext:
                    theirs.append(theirs_on_cpu(given.maxtext, case))
            row["ours"] = {"tokens_per_second": max(ours)}
            row["maxtext"] = {"tokens_per_second": max(theirs)} if theirs else None
        with given.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
