"""Devices to a `Mesh`, over one slice or several."""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from mm15_jax.config import ExperimentConfig, MeshConfig
from mm15_jax.config.hardware import filled, for_hardware, has_own_mesh
from mm15_jax.config.schema import MESH_AXES
from mm15_jax.parallel.rules import BATCH_AXES

# Hardware of a device's kind, as topologies are called: "v5p:4x4x8".
_KINDS = {"TPU v4": "v4", "TPU v5 lite": "v5e", "TPU v5": "v5p", "TPU v5p": "v5p"}
_KINDS |= {"TPU v5e": "v5e", "TPU v6 lite": "v6e", "TPU v6e": "v6e"}


def make_mesh(config: MeshConfig, devices=None) -> Mesh:
    """A mesh over `devices` (default: all), with one axis at most taking what is left.

    Neighbours of the inner axes are neighbours of the hardware's network. With `slice` above 1,
    each index of that axis is one slice of the hardware where devices know their slice, else (CPUs)
    an equal part of the devices in their order.

    Raises ValueError where the axes do not multiply to the number of devices, or slices are not
    those of the hardware.
    """
    devices = list(jax.devices() if devices is None else devices)
    whole = filled(config, len(devices))
    sizes = [getattr(whole, axis) for axis in MESH_AXES]
    types = (AxisType.Auto,) * len(MESH_AXES)
    return Mesh(_arranged(sizes, devices), MESH_AXES, axis_types=types)


def _arranged(sizes: list[int], devices: list) -> np.ndarray:
    """Devices as an array of these sizes, by the hardware's network."""
    slices = slice_count(devices)
    if slices > 1:
        if sizes[0] != slices:
            raise ValueError(
                f"mesh.slice is {sizes[0]}, but the devices are of {slices} slices: set "
                f"mesh.slice={slices}"
            )
        return mesh_utils.create_hybrid_device_mesh(
            (1, *sizes[1:]),
            (slices, *(1 for _ in sizes[1:])),
            devices,
            allow_split_physical_axes=True,
        )
    if devices[0].platform == "tpu":
        return mesh_utils.create_device_mesh(sizes, devices, allow_split_physical_axes=True)
    return np.array(devices).reshape(sizes)


def slice_count(devices) -> int:
    """Number of hardware slices that devices are of; 1 where they do not know (CPU, GPU)."""
    if devices[0].platform != "tpu":
        return 1
    return len({getattr(device, "slice_index", 0) for device in devices})


def config_for(config: ExperimentConfig, devices=None) -> ExperimentConfig:
    """The experiment with the mesh and settings that it names for this hardware.

    See `config.hardware.for_hardware`: a `mesh` that was set (`--set mesh.fsdp=4`) goes before the
    table. Accelerators that the table does not have divide parameters over all of a slice: a copy
    on each, which `MeshConfig()` is, holds no large member of the family.
    """
    devices = list(jax.devices() if devices is None else devices)
    slices = slice_count(devices)
    kind = _KINDS.get(getattr(devices[0], "device_kind", ""))
    found = for_hardware(config, kind, len(devices) // slices, slices) if kind else config
    if found is not config or has_own_mesh(config) or devices[0].platform == "cpu":
        return found
    return dataclasses.replace(config, mesh=MeshConfig(slice=slices, data=1, fsdp=0))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows divided over the batch axes; a row and its tiles stay on one device."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """A whole copy on every device: metrics and counters."""
    return NamedSharding(mesh, PartitionSpec())


def batch_divisor(mesh: Mesh) -> int:
    """What the rows of a global batch must be a multiple of."""
    return math.prod(mesh.shape[axis] for axis in BATCH_AXES)
