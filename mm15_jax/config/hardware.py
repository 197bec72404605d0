"""What an experiment's table of hardware says for one kind of hardware."""

from __future__ import annotations

import dataclasses
import math

from mm15_jax.config.overrides import apply_overrides, value_of
from mm15_jax.config.registry import experiments
from mm15_jax.config.schema import MESH_AXES, ExperimentConfig, MeshConfig


def for_hardware(
    config: ExperimentConfig, chip: str, chips_per_slice: int, slices: int
) -> ExperimentConfig:
    """The experiment with the mesh and the settings of its row for this hardware.

    A row is found by chip, number of chips of a slice and number of slices. The experiment is
    returned as it is without a row, where one does not divide what was set by hand (other experts,
    fewer rows in a batch), or where a mesh was set by hand (`--set mesh.fsdp=4`). A field that was
    set by hand (`--set train.accumulation=2`) keeps its value, also where that is the experiment's
    own.

    Args:
        config: Of the experiment.
        chip: Such as "v5p".
        chips_per_slice: Of the hardware.
        slices: Equal slices of it.
    """
    if has_own_mesh(config):
        return config
    for row in config.meshes:
        name, _, shape = row.topology.partition(":")
        chips = math.prod(int(side) for side in shape.split("x"))
        if (name, chips, row.slices) == (chip, chips_per_slice, slices):
            settings = [s for s in row.settings if not _was_set(config, s.partition("=")[0])]
            found = dataclasses.replace(apply_overrides(config, settings), mesh=row.mesh)
            return found if _divides(found, chips * row.slices) else config
    return config


def _divides(config: ExperimentConfig, devices: int) -> bool:
    """Whether a mesh divides the batch and the experts of its experiment."""
    mesh = filled(config.mesh, devices)
    rows = math.prod(getattr(mesh, axis) for axis in MESH_AXES if axis != "tensor")
    experts = config.model.decoder.moe.experts
    return not (
        config.train.batch_rows % (rows * config.train.accumulation) or experts % mesh.expert
    )


def has_own_mesh(config: ExperimentConfig) -> bool:
    """Whether a mesh was set, by `--set` or in Python, and none is to be looked for."""
    return config.was_given("mesh") or config.mesh != MeshConfig()


def without_mesh(config: ExperimentConfig) -> ExperimentConfig:
    """The experiment as if no mesh had been set."""
    given = tuple(key for key in vars(config)["given"] if not key.startswith("mesh."))
    return dataclasses.replace(config, mesh=MeshConfig(), given=given)


def _was_set(config: ExperimentConfig, key: str) -> bool:
    """Whether `--set` named a field, or Python gave it another value than the experiment does."""
    known = experiments().get(config.name)
    changed = known is not None and value_of(config, key) != value_of(known(), key)
    return changed or config.was_given(key)


def filled(mesh: MeshConfig, devices: int) -> MeshConfig:
    """The mesh on so many devices: its one axis that is 0, if there is one, takes what is left.

    Raises:
        ValueError: If several axes are 0, the others leave no whole number, or all together are
            not so many devices.
    """
    sizes = {axis: getattr(mesh, axis) for axis in MESH_AXES}
    zero = [axis for axis, size in sizes.items() if not size]
    fixed = math.prod(size for size in sizes.values() if size)
    if len(zero) > 1:
        raise ValueError("at most one axis of the mesh may be 0, which takes what is left")
    if zero and devices % fixed:
        raise ValueError(
            f"a mesh of {shape_of(mesh)} needs a multiple of {fixed} devices; there are {devices}:"
            f" lower another axis than mesh.{zero[0]}"
        )
    if not zero and fixed != devices:
        raise ValueError(
            f"a mesh of {shape_of(mesh)} needs {fixed} devices; there are {devices}: set one axis "
            "to 0 to take what is left"
        )
    return dataclasses.replace(mesh, **dict.fromkeys(zero, devices // fixed))


def shape_of(mesh: MeshConfig) -> str:
    """The axes in words: "slice 1 x data 4 x fsdp 1 x expert 1 x tensor 1"."""
    return " x ".join(f"{axis} {getattr(mesh, axis)}" for axis in MESH_AXES)
