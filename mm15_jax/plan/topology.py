"""Slices of TPU chips by name, and the devices that the compiler makes of them.

A name is chip and shape, "v5p:4x8x8" (in any order of the sides), or Google Cloud's accelerator
type of the same, "v5p-512".
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mm15_jax.config.names import nearest
from mm15_jax.plan.chips import CHIPS, Chip

ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",  # no metadata server: there is no TPU here
    "JAX_PLATFORMS": "cpu",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # several programs compile at once
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Kernels would have the lines of source that call them in the program, which has a hash.
    "JAX_TRACEBACK_IN_LOCATIONS_LIMIT": "0",
}


@dataclass(frozen=True)
class Topology:
    """One or several equal slices of one chip."""

    chip: Chip
    shape: tuple[int, ...]  # of one slice
    slices: int = 1

    @property
    def name(self) -> str:
        """Of one slice."""
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def chips_per_slice(self) -> int:
        """Chips of one slice."""
        return math.prod(self.shape)

    @property
    def chips(self) -> int:
        """Chips of all slices."""
        return self.chips_per_slice * self.slices

    @property
    def wrap(self) -> tuple[bool, ...]:
        """Which sides close to rings.

        Cubes of 4x4x4 and more are tori (the documentation of v4 and v5p); a sheet closes where it
        spans its pod, which is 16 wide (v5e, v6e).
        """
        if self.chip.dimensions == 3:
            return (all(side % 4 == 0 for side in self.shape),) * 3
        return tuple(side == 16 for side in self.shape)

    def __str__(self) -> str:
        return self.name if self.slices == 1 else f"{self.slices} slices of {self.name}"


def known_names() -> list[str]:
    """Every name of one slice, by chip, smallest first."""
    return [Topology(chip, shape).name for chip in CHIPS.values() for shape in chip.shapes]


def parse(name: str, slices: int = 1) -> Topology:
    """The topology of a name; see the module.

    Raises:
        ValueError: For an unknown name, listing those that are known, or fewer than one slice.
    """
    if slices < 1:
        raise ValueError(f"--slices is {slices}; expected 1 or more")
    text = name.strip().lower()
    chip_name, colon, sides = text.partition(":")
    if colon:
        parts = sides.split("x")
        if chip_name in CHIPS and all(part.isdecimal() for part in parts):
            wanted = sorted(int(part) for part in parts)
            for shape in CHIPS[chip_name].shapes:
                if sorted(shape) == wanted:
                    return Topology(CHIPS[chip_name], shape, slices)
    else:
        prefix, _, number = text.rpartition("-")
        for chip in CHIPS.values():
            if prefix in (chip.name, chip.accelerator) and number.isdecimal():
                for shape in chip.shapes:
                    if math.prod(shape) * chip.cores == int(number):
                        return Topology(chip, shape, slices)
    raise ValueError(_unknown(name))


def _accelerator_types() -> list[str]:
    """Google Cloud's names, such as "v5p-128"."""
    return [
        f"{chip.accelerator}-{math.prod(shape) * chip.cores}"
        for chip in CHIPS.values()
        for shape in chip.shapes
    ]


def _unknown(name: str) -> str:
    lists = "; ".join(
        f"{chip.name}: {', '.join('x'.join(map(str, shape)) for shape in chip.shapes)}"
        for chip in CHIPS.values()
    )
    prefix, _, number = name.lower().rpartition("-")
    types = [t for t in _accelerator_types() if t.startswith(f"{prefix}-")]
    if types and number.isdecimal():
        best = min(types, key=lambda t: abs(int(t.rpartition("-")[2]) - int(number)))
    else:
        best = nearest(name, known_names(), 1)[0]
    return f"unknown topology {name!r}; did you mean {best!r}? Known are {lists}"


def larger(topology: Topology) -> list[Topology]:
    """Topologies of the same chip with more chips a slice and as many slices, smallest first."""
    shapes = [s for s in topology.chip.shapes if math.prod(s) > topology.chips_per_slice]
    return [Topology(topology.chip, shape, topology.slices) for shape in shapes]


@contextlib.contextmanager
def no_hardware() -> Iterator[None]:
    """Sets what libtpu must find in the environment to compile where there is no TPU."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def devices(topology: Topology) -> list[Any]:
    """The devices of a topology, as the compiler knows them; needs libtpu, no hardware.

    The description is that of the hardware: with the bare name a v5p's two cores count as one
    chip's without its links closed to rings, and every gather over 64 becomes a whole reduction.

    Raises:
        ValueError: If libtpu is not installed, or refuses the topology.
    """
    import jax
    from jax.experimental import topologies

    options: dict[str, Any] = {
        "chip_config_name": "megacore" if topology.chip.cores == 2 else "default",
        "chips_per_host_bounds": tuple(min(side, 2) for side in (*topology.shape[:2], 1)),
        "wrap": (*topology.wrap, False)[:3],
    }
    if topology.slices > 1:
        options["num_slices"] = topology.slices
    if importlib.util.find_spec("libtpu") is None:
        raise ValueError(
            "compiling for TPUs needs libtpu, which is not installed: pip install 'mm15_jax[tpu]'"
        )
    with no_hardware():
        try:
            described = topologies.get_topology_desc(
                platform="tpu", topology_name=topology.name, **options
            )
        except jax.errors.JaxRuntimeError as error:
            raise ValueError(f"libtpu refuses topology {topology}: {error}") from None
    return list(described.devices)
