"""What a topology decides: machines, the mesh, whether the experiment fits, what the stage takes.

Names of Google Cloud are of its pages "TPU versions", "TPU software versions" and "Plan TPUs in
GKE", read in 2026.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from dataclasses import dataclass

from mm15_jax.config import ExperimentConfig, to_dict
from mm15_jax.config.names import unknown
from mm15_jax.plan import topology as topologies
from mm15_jax.plan.chips import GIB
from mm15_jax.plan.topology import Topology

CHECKS = ("compile", "estimate")


@dataclass(frozen=True)
class Machine:
    """How Google Cloud calls the machines of a chip."""

    gke: str  # label cloud.google.com/gke-tpu-accelerator of the nodes
    runtime: str  # software version of a TPU VM
    most_chips: int  # of the one host of a slice that has a single host; 4 where there are several


MACHINES = {
    "v4": Machine("tpu-v4-podslice", "tpu-ubuntu2204-base", 4),
    "v5e": Machine("tpu-v5-lite-podslice", "v2-alpha-tpuv5-lite", 8),
    "v5p": Machine("tpu-v5p-slice", "v2-alpha-tpuv5", 4),
    "v6e": Machine("tpu-v6e-slice", "v2-alpha-tpuv6e", 8),
}


def parse(name: str, slices: int) -> Topology:
    """The topology of a name; ValueError as of `plan.topology.parse`, or where there is no name."""
    if not name:
        known = ", ".join(topologies.known_names())
        raise ValueError(f"name the hardware with --topology, one of {known}")
    return topologies.parse(name, slices)


def chips_per_host(topology: Topology) -> int:
    """TPU chips of each host of a slice."""
    most = MACHINES[topology.chip.name].most_chips
    chips = topology.chips_per_slice
    return chips if chips <= most else 4


def hosts(topology: Topology) -> int:
    """Hosts of one slice."""
    return topology.chips_per_slice // chips_per_host(topology)


def accelerator_type(topology: Topology) -> str:
    """Google Cloud's name of one slice, such as "v5p-128"."""
    chip = topology.chip
    return f"{chip.accelerator}-{topology.chips_per_slice * chip.cores}"


@dataclass(frozen=True)
class Hardware:
    """What jobs are held against before anything is created."""

    topology: Topology | None = None  # None: nothing is planned
    check: str = "compile"  # one of CHECKS
    price: float = 0.0  # of a chip for an hour, in any currency; 0 where it is not known
    shared_disk: bool = True  # whether all hosts see the same folders
    only_image: bool = False  # whether they have no file of here but what is in their image

    def __post_init__(self):
        if self.check not in CHECKS:
            raise unknown("value of --check:", self.check, CHECKS)
        if self.price < 0:
            raise ValueError(f"--price is {self.price:g}; expected what a chip-hour costs")


@dataclass(frozen=True)
class Fit:
    """An experiment on a topology."""

    settings: tuple[str, ...]  # as --set takes them: what it has there and not of itself
    summary: str  # one line: mesh, memory, time, chip-hours, cost


def settle(config: ExperimentConfig, hardware: Hardware) -> Fit:
    """The experiment as it runs on a topology: by its table of meshes, else as the planner says.

    Args:
        config: The experiment. A mesh that it was given stays.
        hardware: With a topology. Its check "compile" asks the compiler for the memory, which takes
            minutes the first time; "estimate" arithmetic, which is rough.

    Raises:
        ValueError: If it does not fit, or cannot be on the topology at all.
    """
    topology = hardware.topology
    assert topology is not None
    os.environ.setdefault("JAX_PLATFORMS", "cpu")  # nothing runs here
    from mm15_jax.plan import meshes

    _, origin = meshes.resolved(config, topology)
    there = meshes.settled(config, topology)
    _check_rows(there)
    found = (_compiled if hardware.check == "compile" else _estimated)(there, topology)
    mesh = " x ".join(
        f"{axis} {size}"
        for axis, size in dataclasses.asdict(there.mesh).items()
        if axis != "strategy" and size != 1
    )
    parts = f", {there.train.accumulation} parts a step" if there.train.accumulation > 1 else ""
    summary = (
        f"{config.name} on {topology} ({_counted(topology.chips, 'chip')}, "
        f"{_counted(hosts(topology) * topology.slices, 'host')}): "
        f"mesh {mesh or 'of one'} ({origin}){parts}; "
        f"{found.memory / GIB:.1f} of {found.limit / GIB:.1f} GiB a device ({found.by}); "
        f"{_duration(found.hours, topology.chips, hardware.price)}"
    )
    return Fit(_settings(config, there), summary)


@dataclass(frozen=True)
class _Found:
    memory: int
    limit: int
    hours: float | None  # of the stage at best; None where nothing tells
    by: str


def _check_rows(config: ExperimentConfig) -> None:
    from mm15_jax.plan.estimate import row_ways

    ways = row_ways(config.mesh) * config.train.accumulation
    if config.train.batch_rows % ways:
        raise ValueError(
            f"{config.train.batch_rows} rows of a batch do not divide over {ways}, which is the "
            f"mesh's slice x data x fsdp x expert and the parts of a step: set train.batch_rows to "
            f"a multiple of {ways}"
        )


def _compiled(config: ExperimentConfig, topology: Topology) -> _Found:
    from mm15_jax.plan import report

    print(
        f"compiling the step of {config.name} for {topology}, as mm15 plan does: minutes the first "
        f"time, kept for the next (--check=estimate: arithmetic alone)",
        file=sys.stderr,
    )
    result = report.plan(config, topology, look_for_nearest=False)
    if not result["fits"]:
        raise ValueError(
            _too_large(config, topology, result["hbm_used_bytes"], result["hbm_limit_bytes"])
            + (f"; by arithmetic {result['nearest']} holds it" if result["nearest"] else "")
        )
    hours = None if result["days"] is None else result["days"] * 24
    return _Found(result["hbm_used_bytes"], result["hbm_limit_bytes"], hours, "compiled")


def _estimated(config: ExperimentConfig, topology: Topology) -> _Found:
    from mm15_jax.plan.estimate import estimate
    from mm15_jax.plan.search import SLACK

    found = estimate(config, topology)
    limit = topology.chip.hbm_usable
    # Arithmetic over-estimates some steps.
    if found.memory > limit * SLACK:
        raise ValueError(
            f"{_too_large(config, topology, found.memory, limit)} (arithmetic; --check=compile "
            f"asks the compiler)"
        )
    if found.memory > limit:
        print(
            f"warning: by arithmetic {config.name} is at the limit of the memory of {topology}; "
            f"--check=compile tells for certain",
            file=sys.stderr,
        )
    return _Found(found.memory, limit, found.seconds * config.train.steps / 3600, "estimated")


def _too_large(config: ExperimentConfig, topology: Topology, used: int, limit: int) -> str:
    return (
        f"{config.name} does not fit {topology}: {used / GIB:.1f} GiB a device of "
        f"{limit / GIB:.1f}; nothing was created"
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _duration(hours: float | None, chips: int, price: float) -> str:
    if hours is None:
        return "time unknown"
    text = f"at least {hours:,.1f} hours, {hours * chips:,.0f} chip-hours"
    return f"{text}, {hours * chips * price:,.0f} at {price:g} a chip-hour" if price else text


def _settings(before: ExperimentConfig, after: ExperimentConfig) -> tuple[str, ...]:
    """Assignments that make the one the other."""
    old, new = _leaves(to_dict(before)), _leaves(to_dict(after))
    return tuple(f"{key}={value}" for key, value in new.items() if old[key] != value)


def _leaves(values: dict, prefix: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _leaves(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found
