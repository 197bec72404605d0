"""Devices to a `Mesh`, and the shardings of batches and replicated state on it."""

from __future__ import annotations

import math

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mm15_jax.config import MeshConfig

AXES = ("data", "fsdp", "expert", "tensor")
BATCH_AXES = ("data", "fsdp", "expert")  # rows are divided over these, never over tensor


def make_mesh(config: MeshConfig, devices=None) -> Mesh:
    """A mesh over `devices` (default: all), with one axis at most taking what is left.

    Raises ValueError where the axes do not multiply to the number of devices.
    """
    devices = list(jax.devices() if devices is None else devices)
    sizes = [getattr(config, axis) for axis in AXES]
    fixed = math.prod(size for size in sizes if size)
    if sizes.count(0) > 1:
        raise ValueError("at most one axis of the mesh may be 0, which takes what is left")
    if 0 in sizes:
        sizes = [size or len(devices) // fixed for size in sizes]
    if math.prod(sizes) != len(devices):
        shape = " x ".join(f"{axis} {size}" for axis, size in zip(AXES, sizes, strict=True))
        raise ValueError(
            f"a mesh of {shape} needs {math.prod(sizes)} devices; there are {len(devices)}: "
            "set one axis to 0 to take what is left"
        )
    return jax.make_mesh(sizes, AXES, devices=devices, axis_types=(jax.sharding.AxisType.Auto,) * 4)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows divided over the batch axes; a row and its tiles stay on one device."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """A whole copy on every device: parameters and optimizer state."""
    return NamedSharding(mesh, PartitionSpec())


def batch_divisor(mesh: Mesh) -> int:
    """What the rows of a global batch must be a multiple of."""
    return math.prod(mesh.shape[axis] for axis in BATCH_AXES)
