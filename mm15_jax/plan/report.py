"""The plan of one experiment on one topology: figures of the compiled step, put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from mm15_jax.config import ExperimentConfig
from mm15_jax.config.hardware import without_mesh
from mm15_jax.config.schema import MESH_AXES
from mm15_jax.plan import arithmetic, meshes
from mm15_jax.plan import compile as compiler
from mm15_jax.plan.chips import CHIPS, GIB
from mm15_jax.plan.estimate import estimate
from mm15_jax.plan.roofline import Bound, Exchange, bound
from mm15_jax.plan.topology import Topology, larger

_ATTENTION_KERNEL = "splash"
_TRIES = 4  # topologies compiled in search of one that fits

Compile = Callable[..., dict[str, Any]]


def plan(
    config: ExperimentConfig,
    topology: Topology,
    *,
    look_for_nearest: bool = True,
    compile_step: Compile = compiler.step_of,
    **limits: Any,
) -> dict[str, Any]:
    """Compiles an experiment's step for a topology, and says what it needs and how fast it can be.

    Args:
        config: The experiment.
        topology: The hardware.
        look_for_nearest: Whether to compile for other topologies where this one is too small.
        compile_step: As `plan.compile.step_of`.
        limits: Of `plan.compile.step_of`.

    Returns:
        The plan, JSON-able; docs/planning.md lists its keys.

    Raises:
        ValueError: If the experiment cannot be on the topology whatever its size.
        CompileError: If the compiler fails.
    """
    there, origin = meshes.resolved(config, topology)
    raw = compile_step(there, topology, **limits)
    result = assemble(there, topology, raw)
    result["mesh_from"] = origin
    if not result["fits"]:
        check = (lambda c, t: compile_step(c, t, **limits)) if look_for_nearest else None
        missed = result["hbm_used_bytes"] / estimate(there, topology).memory
        found = nearest(config, topology, missed, check)
        result["nearest"] = None if found is None else str(found)
        in_parts = meshes.settled(config, topology)
        if estimate(in_parts, topology).memory * missed <= topology.chip.hbm_usable:
            result["fits_with"] = _words(in_parts)
    return result


def _words(config: ExperimentConfig) -> list[str]:
    """Accumulation and mesh, as --set takes them."""
    axes = {axis: getattr(config.mesh, axis) for axis in MESH_AXES}
    parts = f"train.accumulation={config.train.accumulation}"
    return [parts, *(f"mesh.{axis}={size}" for axis, size in axes.items() if size != 1)]


def assemble(config: ExperimentConfig, topology: Topology, raw: dict[str, Any]) -> dict[str, Any]:
    """The plan's figures from those of the compiled step (`worker.compile_step`)."""
    refused = raw.get("refused")
    limit = refused["limit"] if refused else topology.chip.hbm_usable
    used = refused["used"] if refused else raw["memory"]["peak"]
    arguments = sum(raw["bytes"].values())
    if not refused:
        arguments = raw["memory"]["arguments"]
    result = of_experiment(config, topology) | {
        "fits": used <= limit,
        "hbm_used_bytes": used,
        "hbm_limit_bytes": limit,
        "hbm_over_bytes": max(used - limit, 0),
        "hbm_temp_bytes": used - arguments,
        "hbm": {**raw["bytes"], "arguments": arguments, "temp": used - arguments},
        "nearest": None,
        "fits_with": None,
        "program": raw["program"],
        "lower_seconds": raw["lower_seconds"],
        "compile_seconds": raw["compile_seconds"],
        "compile_host_bytes": raw["host_peak_bytes"],
        "cached": raw.get("cached", False),
        "versions": raw["versions"],
    }
    if refused:
        return result | _no_times()
    return result | _times(config, topology, raw, arithmetic.forward_flops(config))


def of_experiment(config: ExperimentConfig, topology: Topology) -> dict[str, Any]:
    """Of a plan's figures those that need no compiler: what is planned, and its arithmetic."""
    from mm15_jax.model.mllm import count_parameters

    counts = count_parameters(config.model)
    flops = arithmetic.forward_flops(config)
    tokens = arithmetic.tokens_per_step(config)
    return {
        "experiment": config.name,
        "stage": config.stage,
        "topology": topology.name,
        "slices": topology.slices,
        "chips": topology.chips,
        "mesh": dataclasses.asdict(config.mesh),
        "remat": {"encoder": config.model.encoder.remat, "decoder": config.model.decoder.remat},
        "accumulation": config.train.accumulation,
        "batch_rows": config.train.batch_rows,
        "sequence_length": config.inputs.sequence_length,
        "tiles_per_row": config.inputs.tiles_per_row,
        "params": {part: counts[part] for part in ("encoder", "connector", "decoder")},
        "params_total": counts["total"],
        "params_active": counts["active"],
        "model_flops_per_step": flops.step,
        "model_flops": dataclasses.asdict(flops),
        "steps": config.train.steps,
        "tokens_per_step": tokens,
        "tokens": tokens * config.train.steps,
    }


def _no_times() -> dict[str, Any]:
    """For a program that the compiler refused: it tells its memory only."""
    names: tuple[str, ...] = (
        "compiled_flops_per_step",
        "attention_flops_per_step",
        "traffic_bytes",
        "seconds",
    )
    names += ("step_seconds_bound", "bound_by", "mfu_bound", "xla_optimal_seconds")
    names += ("serial_seconds",)
    names += ("estimated_cycles", "days", "chip_hours", "collectives", "kernels", "host_bytes")
    return dict.fromkeys(names)


def _times(
    config: ExperimentConfig,
    topology: Topology,
    raw: dict[str, Any],
    flops: arithmetic.ForwardFlops,
) -> dict[str, Any]:
    attention = kernel_flops(config, raw["kernels"])
    device_flops = raw["flops"] + attention / topology.chips
    exchanges = [Exchange(**e) for e in raw["exchanges"]]
    limits = bound(topology, device_flops, raw["traffic"], exchanges, tuple(raw["host_copies"]))
    seconds = limits.seconds
    peak = topology.chips * topology.chip.peak_flops
    days = seconds * config.train.steps / 86_400
    return {
        "compiled_flops_per_step": device_flops * topology.chips,
        "attention_flops_per_step": attention,
        "traffic_bytes": raw["traffic"],
        "seconds": dataclasses.asdict(limits),
        "step_seconds_bound": seconds,
        "bound_by": limits.by,
        "mfu_bound": flops.step / peak / seconds,
        "xla_optimal_seconds": optimal_seconds(raw, limits),
        "serial_seconds": raw["seconds"] + attention / peak,
        "estimated_cycles": raw["cycles"],
        "days": days,
        "chip_hours": days * 24 * topology.chips,
        "collectives": _by_kind(exchanges),
        "kernels": sum(raw["kernels"].values()),
        "unknown_loops": raw["unknown_loops"],
        "host_bytes": raw["memory"]["host"],
    }


def kernel_flops(config: ExperimentConfig, kernels: dict[str, int]) -> float:
    """Attention's FLOPs that a compiled step does in kernels, all devices.

    Each forward pass as often as the remat policy has it, and the backward pass at twice a forward
    one: scores that a kernel computes again within itself are left out, as in the model's count.

    Args:
        config: The experiment.
        kernels: Runs of custom kernels by the name of where they are from.
    """
    flops = arithmetic.forward_flops(config)
    total = 0.0
    for part, forward, policy in (
        ("encoder", flops.encoder_attention, config.model.encoder.remat),
        ("decoder", flops.decoder_attention, config.model.decoder.remat),
    ):
        if any(_ATTENTION_KERNEL in name and part in name.lower() for name in kernels):
            total += forward * (arithmetic.attention_passes(policy) + arithmetic.BACKWARD)
    return total


def optimal_seconds(raw: dict[str, Any], limits: Bound) -> float | None:
    """XLA's own estimate of a step with every loop's trips; None where it cannot be used.

    XLA counts a loop's body once. Its estimate is stretched by what our own sum over instructions
    grows by when each counts as often as it runs. On some chips, and with scatters that go to the
    SparseCore, XLA's estimate is negative or far below what the FLOPs alone need.
    """
    once = raw["xla"]["optimal_seconds"]
    if once <= 0 or raw["seconds_once"] <= 0 or raw["unknown_loops"]:
        return None
    stretched = once * raw["seconds"] / raw["seconds_once"]
    return stretched if stretched >= 0.5 * limits.compute else None


def _by_kind(exchanges: list[Exchange]) -> list[dict[str, Any]]:
    """Collectives of one kind over groups of one size on one network, together."""
    rows: dict[tuple[str, int, str], dict[str, Any]] = {}
    for e in exchanges:
        row = rows.setdefault(
            (e.kind, e.devices, e.network),
            {
                "kind": e.kind,
                "devices": e.devices,
                "network": e.network,
                "runs": 0,
                "bytes": 0,
                "seconds": 0.0,
            },
        )
        row["runs"] += e.runs
        row["bytes"] += e.runs * e.payload
        row["seconds"] += e.ici_seconds + e.dcn_seconds
    return sorted(rows.values(), key=lambda row: -row["seconds"])


def nearest(
    config: ExperimentConfig,
    topology: Topology,
    missed: float,
    check: Compile | None = None,
) -> Topology | None:
    """The smallest topology that holds a step which this one does not.

    Larger ones of the same chip come first, then other chips by the memory of all their chips.
    Arithmetic says which may, scaled by what it missed here; the compiler decides where `check` is
    given.

    Args:
        config: The experiment; its own mesh is of no use on another topology.
        topology: The one that is too small.
        missed: What a device needs on it, over what arithmetic says.
        check: From a config and a topology to the compiled step's raw figures.
    """
    free = without_mesh(config)
    others = [
        Topology(chip, shape, topology.slices)
        for chip in CHIPS.values()
        if chip is not topology.chip
        for shape in chip.shapes
    ]
    others.sort(key=lambda t: t.chips * t.chip.hbm_usable)
    tries = 0
    for other in [*larger(topology), *others]:
        try:
            there, _ = meshes.resolved(free, other)
        except ValueError:
            continue
        if estimate(there, other).memory * missed > other.chip.hbm_usable:
            continue
        if check is None:
            return other
        tries += 1
        try:
            raw = check(there, other)
        except (ValueError, compiler.CompileError):
            raw = {"refused": True}
        if "refused" not in raw and raw["memory"]["peak"] <= other.chip.hbm_usable:
            return other
        if tries == _TRIES:
            return None
    return None


def _count(parameters: int) -> str:
    return f"{parameters / 1e9:.3f}B" if parameters >= 1e8 else f"{parameters / 1e6:.3f}M"


def as_text(result: dict[str, Any]) -> str:
    """A plan for a reader."""

    def gib(size: float) -> str:
        return f"{size / GIB:.2f} GiB"

    mesh = " x ".join(
        f"{axis} {size}"
        for axis, size in result["mesh"].items()
        if size != 1 and axis != "strategy"
    )
    slices = f"{result['slices']} slices of " if result["slices"] > 1 else ""
    lines = [
        f"{result['experiment']} on {slices}{result['topology']} ({result['chips']} chips)",
        f"  mesh          {mesh or 'one device'} (from {result.get('mesh_from', 'the search')})",
        f"  batch         {result['batch_rows']} rows of {result['sequence_length']} tokens and "
        f"{result['tiles_per_row']} tiles, in {result['accumulation']} part(s); remat encoder "
        f"{result['remat']['encoder']}, decoder {result['remat']['decoder']}",
        f"  parameters    {_count(result['params_total'])} in all, "
        f"{_count(result['params_active'])} active: "
        + ", ".join(f"{part} {_count(count)}" for part, count in result["params"].items()),
        f"  device memory {gib(result['hbm_used_bytes'])} of {gib(result['hbm_limit_bytes'])}: "
        f"parameters {gib(result['hbm']['parameters'])}, optimizer "
        f"{gib(result['hbm']['optimizer'])}, activations and temporaries "
        f"{gib(result['hbm_temp_bytes'])}",
    ]
    if not result["fits"]:
        lines.append(
            f"  DOES NOT FIT  by {gib(result['hbm_over_bytes'])} a device; "
            + (
                f"the nearest that fits is {result['nearest']}"
                if result["nearest"]
                else "no topology that was tried holds it; see --search"
            )
        )
        if result["fits_with"]:
            lines.append(f"  by arithmetic it fits here with --set {' '.join(result['fits_with'])}")
    if result["step_seconds_bound"] is None:
        return "\n".join(lines)
    needs = ", ".join(f"{name} {s:.3f}" for name, s in result["seconds"].items() if s)
    places = 0 if result["model_flops_per_step"] > 1e14 else 3
    ratio = result["compiled_flops_per_step"] / result["model_flops_per_step"]
    lines += [
        f"  FLOPs a step  {result['model_flops_per_step'] / 1e12:,.{places}f} TFLOP of the model, "
        f"{result['compiled_flops_per_step'] / 1e12:,.{places}f} compiled ({ratio:.2f}x)",
        f"  step at best  {result['step_seconds_bound']:.3f} s, bound by {result['bound_by']} "
        f"({needs}); MFU at most {result['mfu_bound']:.1%}",
    ]
    if result["xla_optimal_seconds"] is not None:
        lines.append(f"  XLA's own     {result['xla_optimal_seconds']:.3f} s")
    for row in result["collectives"]:
        lines.append(
            f"    {row['kind']:<18} over {row['devices']:>4} ({row['network']}): {row['runs']:>6} "
            f"runs, {gib(row['bytes'])}, {row['seconds']:.3f} s"
        )
    lines += [
        f"  the stage     {result['steps']:,} steps, {result['tokens'] / 1e9:.1f}B tokens: at "
        f"least {result['days']:.2f} days, {result['chip_hours']:,.0f} chip-hours",
        f"  compiled in   {result['lower_seconds'] + result['compile_seconds']:.0f} s"
        + (" (kept from before)" if result["cached"] else ""),
    ]
    return "\n".join(lines)
