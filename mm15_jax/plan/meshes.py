"""Meshes that an experiment can have on a topology, and the one it has unless told otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from mm15_jax.config.hardware import filled, for_hardware, has_own_mesh
from mm15_jax.config.schema import ExperimentConfig, MeshConfig, replace_nested
from mm15_jax.plan.estimate import estimate, row_ways
from mm15_jax.plan.topology import Topology

ACCUMULATION = (1, 2, 4, 8, 16)  # parts of a batch that are tried
_MOST_TENSOR = 8  # more would cut heads below one, and products below the matrix unit


def divisors(number: int) -> list[int]:
    """All of them, ascending."""
    return [d for d in range(1, number + 1) if number % d == 0]


def candidates(config: ExperimentConfig, topology: Topology) -> Iterator[MeshConfig]:
    """Meshes whose axes divide the hardware, the batch's rows, the heads and the experts."""
    decoder, encoder = config.model.decoder, config.model.encoder
    experts = decoder.moe.experts or 1
    chips = topology.chips_per_slice
    for tensor in divisors(chips):
        if tensor > _MOST_TENSOR or decoder.kv_heads % tensor or encoder.heads % tensor:
            continue
        for expert in divisors(chips // tensor):
            if experts % expert:
                continue
            for data in divisors(chips // tensor // expert):
                fsdp = chips // tensor // expert // data
                mesh = MeshConfig(topology.slices, data, fsdp, expert, tensor)
                if config.train.batch_rows % (row_ways(mesh) * config.train.accumulation) == 0:
                    yield mesh


def resolved(config: ExperimentConfig, topology: Topology) -> tuple[ExperimentConfig, str]:
    """The experiment with the mesh it has on this topology, and where that is from.

    A mesh that was set goes first, then the experiment's table of meshes by hardware, then what
    arithmetic says: the quickest that fits, or if none does the one that needs the least memory.

    Raises:
        ValueError: If no mesh divides both the hardware and the batch's rows, or the one that was
            set leaves no whole number of chips to its axis that is 0.
    """
    if has_own_mesh(config):
        mesh = config.mesh
        if topology.slices > 1 and mesh.slice == 1:
            mesh = dataclasses.replace(mesh, slice=topology.slices)
        return dataclasses.replace(config, mesh=filled(mesh, topology.chips)), "set"
    there = for_hardware(config, topology.chip.name, topology.chips_per_slice, topology.slices)
    if there is not config:
        return dataclasses.replace(there, mesh=filled(there.mesh, topology.chips)), "table"
    found = list(candidates(config, topology))
    if not found:
        rows, parts = config.train.batch_rows, config.train.accumulation
        raise ValueError(
            f"no mesh divides both the {topology.chips} chips of {topology} and the {rows} rows of "
            f"a batch in {parts} parts: set train.batch_rows to a multiple of "
            f"{topology.chips * parts}"
        )

    def rank(mesh: MeshConfig) -> tuple[bool, float, float]:
        e = estimate(dataclasses.replace(config, mesh=mesh), topology)
        fits = e.memory <= topology.chip.hbm_usable
        simplicity = mesh.tensor + mesh.data + mesh.expert / 1000
        return (not fits, e.seconds if fits else e.memory, simplicity)

    return dataclasses.replace(config, mesh=min(found, key=rank)), "arithmetic"


def settled(config: ExperimentConfig, topology: Topology) -> ExperimentConfig:
    """The experiment as it would run: its row for this hardware, or a mesh and as few parts as fit.

    Parts that `--set` gave stay.

    Raises:
        ValueError: As `resolved`.
    """
    there, origin = resolved(config, topology)
    if origin != "arithmetic" or config.was_given("train.accumulation"):
        return there
    for parts in ACCUMULATION:
        in_parts = replace_nested(config, {"train.accumulation": parts})
        if not any(candidates(in_parts, topology)):
            break
        there, _ = resolved(in_parts, topology)
        if estimate(there, topology).memory <= topology.chip.hbm_usable:
            break
    return there
