"""Compiles one experiment's step for one topology, in a process of its own; see `plan.compile`.

`python -m mm15_jax.plan.worker REQUEST RESULT`: JSON files. A process of its own, because the
environment must say that there is no TPU before JAX starts, and so that a program that takes too
much memory or time can be ended.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import pathlib
import re
import resource
import sys
import time
import traceback
from typing import Any

from mm15_jax.config import ExperimentConfig
from mm15_jax.plan.topology import Topology, devices, no_hardware, parse

_SIZE = r"([\d.]+)([KMGT]?)"
_USED = re.compile(rf"Used {_SIZE} of {_SIZE} hbm", re.IGNORECASE)
_TEMPORARIES = re.compile(rf"HLO temporaries \({_SIZE}\) exceeds available HBM \({_SIZE}\)")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
PACKAGES = ("jax", "jaxlib", "libtpu")


def versions() -> dict[str, str]:
    """Of what decides a compiled program; a package that is not installed is "none"."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def hbm_of_message(message: str, arguments: int) -> tuple[int, int] | None:
    """(bytes used, limit) of the compiler's refusal of a program that is too large; else None.

    It names all that is used, or, where temporaries alone are too much, these: then `arguments`,
    bytes of the program's own, come on top.
    """
    whole, temporaries = _USED.search(message), _TEMPORARIES.search(message)
    found = whole or temporaries
    if not found:
        return None
    used, used_unit, limit, limit_unit = found.groups()
    return (
        int(float(used) * _UNITS[used_unit.upper()]) + (0 if whole else arguments),
        int(float(limit) * _UNITS[limit_unit.upper()]),
    )


def compile_step(request: dict[str, Any]) -> dict[str, Any]:
    """Compiles what a request names and tells what the compiled program needs.

    Args:
        request: {"config": of `config.to_dict`, its mesh resolved; "topology": name of a slice;
            "slices": number; "options": compiler options; "dump": where the program's text goes,
            or ""; "compile": false to tell the bytes of its arguments and "program", a hash of what
            would be compiled, alone}. The last three may be left out.

    Returns:
        The plan's raw figures, a device's unless they say otherwise; JSON-able.
    """
    import jax

    from mm15_jax.config import from_dict, mixture
    from mm15_jax.parallel.mesh import make_mesh
    from mm15_jax.plan.arithmetic import bytes_per_device
    from mm15_jax.train.offload import on_host
    from mm15_jax.train.step import abstract_batch, abstract_state, build_step

    config = from_dict(ExperimentConfig, request["config"])
    topology = parse(request["topology"], request["slices"])
    began = time.monotonic()
    mesh = make_mesh(config.mesh, devices(topology))
    state, batch = abstract_state(config, mesh), abstract_batch(config, mesh)
    offloaded = bytes_per_device(on_host(state.opt_state))
    result: dict[str, Any] = {
        "bytes": {
            "parameters": bytes_per_device(state.params),
            "optimizer": bytes_per_device(state.opt_state) - offloaded,
            "batch": bytes_per_device(batch),
        },
        "versions": versions(),
    }
    step = build_step(config, mesh, len(mixture(config)))
    lowered = step.lower(state, batch)
    result["program"] = hashlib.sha256(lowered.as_text().encode()).hexdigest()
    result["lower_seconds"] = time.monotonic() - began
    if not request.get("compile", True):
        return result
    began = time.monotonic()
    try:
        compiled = lowered.compile(compiler_options=request.get("options") or None)
    except jax.errors.JaxRuntimeError as error:
        refused = hbm_of_message(str(error), sum(result["bytes"].values()))
        if refused is None:
            raise
        result["refused"] = {"used": refused[0], "limit": refused[1]}
        compiled = None
    result["compile_seconds"] = time.monotonic() - began
    if compiled is not None:
        result |= _figures(compiled, config, topology, mesh, request.get("dump", ""))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result["host_peak_bytes"] = peak * 1024
    return result


def places_of(mesh: Any, topology: Topology) -> list[tuple[int, ...]]:
    """(slice, x, y, ...) of each device of a mesh, in the mesh's order."""
    return [
        (getattr(device, "slice_index", 0) or 0, *device.coords[: topology.chip.dimensions])
        for device in mesh.devices.flat
    ]


def _figures(
    compiled: Any, config: ExperimentConfig, topology: Topology, mesh: Any, dump: str
) -> dict[str, Any]:
    from mm15_jax.model.remat import offloads
    from mm15_jax.plan import hlo, work
    from mm15_jax.plan.roofline import exchange

    text = compiled.as_text()
    if dump:
        pathlib.Path(dump).write_text(text)
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
    done = work.work_of(hlo.parse(text), topology.chip)
    places = places_of(mesh, topology)
    exchanges = [exchange(c, topology, places) for c in done.collectives]
    once = [exchange(c, topology, places, c.places) for c in done.collectives]
    arguments = memory.argument_size_in_bytes
    peak = getattr(memory, "peak_memory_in_bytes", 0)
    if not peak:
        peak = arguments + memory.temp_size_in_bytes
        peak += memory.output_size_in_bytes - memory.alias_size_in_bytes
    # libtpu's peak has what is on the host in it: state that stays there, and activations that wait
    # there for the backward pass, which are all there when memory peaks.
    host = memory.host_argument_size_in_bytes
    waiting = memory.host_temp_size_in_bytes
    peak -= host + (waiting if offloads(config.model) else 0)
    return {
        "memory": {
            "arguments": arguments,
            "outputs": memory.output_size_in_bytes,
            "alias": memory.alias_size_in_bytes,
            "temp": memory.temp_size_in_bytes,
            "peak": peak,
            "program": memory.generated_code_size_in_bytes,
            "host": host + waiting,
        },
        "xla": {
            "flops": cost.get("flops", 0.0),
            "bytes": cost.get("bytes accessed", 0.0),
            "optimal_seconds": cost.get("optimal_seconds", 0.0),
        },
        "flops": done.flops,
        "flops_once": done.flops_once,
        "traffic": done.traffic,
        "traffic_once": done.traffic_once,
        "host_copies": [done.from_host, done.to_host],
        "cycles": done.cycles,
        "kernels": done.kernels,
        "unknown_loops": done.unknown_loops,
        "exchanges": [vars(e) for e in exchanges],
        # What every loop adds to XLA's own estimate, which counts its body once.
        "seconds": done.seconds + sum(e.ici_seconds + e.dcn_seconds for e in exchanges),
        "seconds_once": done.seconds_once + sum(e.ici_seconds + e.dcn_seconds for e in once),
    }


def main(argv: list[str]) -> None:
    """Reads the request, writes the result.

    That is {"error": ...} for a config that cannot be, {"failed": ...} for what the compiler says
    where it gives up: the process that asked says it on.
    """
    request_path, result_path = map(pathlib.Path, argv)
    request = json.loads(request_path.read_text())
    try:
        result = compile_step(request)
    except ValueError as error:
        result = {"error": " ".join(str(error).split())}
    except Exception as error:
        traceback.print_exc()
        result = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())[:600]}"}
    result_path.write_text(json.dumps(result))


if __name__ == "__main__":
    with no_hardware():
        main(sys.argv[1:])
