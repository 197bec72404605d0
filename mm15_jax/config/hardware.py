"""What an experiment's table of hardware says for one kind of hardware."""

from __future__ import annotations

import dataclasses
import math

from mm15_jax.config.overrides import apply_overrides
from mm15_jax.config.schema import ExperimentConfig, MeshConfig


def for_hardware(
    config: ExperimentConfig, chip: str, chips_per_slice: int, slices: int
) -> ExperimentConfig:
    """The experiment with the mesh and the settings of its row for this hardware.

    A row is found by chip, number of chips of a slice and number of slices. Without a row, or where
    a mesh was set by hand (`--set mesh.fsdp=4`), the experiment is returned as it is.

    Args:
        config: Of the experiment.
        chip: Such as "v5p".
        chips_per_slice: Of the hardware.
        slices: Equal slices of it.
    """
    if config.mesh != MeshConfig():
        return config
    for row in config.meshes:
        name, _, shape = row.topology.partition(":")
        chips = math.prod(int(side) for side in shape.split("x"))
        if (name, chips, row.slices) == (chip, chips_per_slice, slices):
            return dataclasses.replace(apply_overrides(config, row.settings), mesh=row.mesh)
    return config
