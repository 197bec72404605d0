"""TPU chips as data: what a plan holds a compiled step against.

Sources: Google Cloud's system-architecture pages (docs.cloud.google.com/tpu/docs/v4, v5e, v5p, v6e,
read in 2026), which give the bandwidth of the chip-to-chip network as a sum over a chip's links and
both directions. `host_bandwidth` is PCIe's as Austin et al. give it ("How To Scale Your Model",
2025, chapter on TPUs). `hbm_usable` is what the compiler itself lets a program use: it says so when
a program is too large (libtpu 0.0.42).
"""

from __future__ import annotations

from dataclasses import dataclass

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """One kind of chip. Bandwidths are bytes a second, FLOPs are of bfloat16."""

    name: str
    peak_flops: float
    hbm_bytes: int
    hbm_usable: int  # less what the system keeps for itself
    hbm_bandwidth: float
    link_bandwidth: float  # of one link of the chip-to-chip network, one way
    dcn_bandwidth: float  # of one chip's share of the network between slices
    host_bandwidth: float  # to the memory of its host, one way
    cores: int  # what accelerator types count: "v5p-128" has 64 chips
    accelerator: str  # prefix of accelerator types
    shapes: tuple[tuple[int, ...], ...]  # of a slice, documented ones, smallest first

    @property
    def dimensions(self) -> int:
        """Of the network: 3 for a cube, 2 for a sheet."""
        return len(self.shapes[0])


_SHEETS = ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
_CUBES = (
    (2, 2, 1),
    (2, 2, 2),
    (2, 2, 4),
    (2, 4, 4),
    (4, 4, 4),
    (4, 4, 8),
    (4, 8, 8),
    (8, 8, 8),
    (8, 8, 16),
    (8, 16, 16),
    (16, 16, 16),
)

CHIPS: dict[str, Chip] = {
    chip.name: chip
    for chip in (
        Chip(
            "v4",
            peak_flops=275e12,
            hbm_bytes=32 * GIB,
            hbm_usable=int(30.75 * GIB),
            hbm_bandwidth=1228e9,
            link_bandwidth=50e9,
            dcn_bandwidth=6.25e9,
            host_bandwidth=16e9,
            cores=2,
            accelerator="v4",
            shapes=_CUBES,
        ),
        Chip(
            "v5e",
            peak_flops=197e12,
            hbm_bytes=16 * GIB,
            hbm_usable=int(15.75 * GIB),
            hbm_bandwidth=819e9,
            link_bandwidth=50e9,
            dcn_bandwidth=3.125e9,
            host_bandwidth=16e9,
            cores=1,
            accelerator="v5litepod",
            shapes=_SHEETS,
        ),
        Chip(
            "v5p",
            peak_flops=459e12,
            hbm_bytes=95 * GIB,
            hbm_usable=int(95.74 * GIB),
            hbm_bandwidth=2765e9,
            link_bandwidth=100e9,
            dcn_bandwidth=6.25e9,
            host_bandwidth=16e9,
            cores=2,
            accelerator="v5p",
            shapes=(*_CUBES, (16, 16, 24)),
        ),
        Chip(
            "v6e",
            peak_flops=918e12,
            hbm_bytes=32 * GIB,
            hbm_usable=int(31.25 * GIB),
            hbm_bandwidth=1640e9,
            link_bandwidth=100e9,
            dcn_bandwidth=12.5e9,
            host_bandwidth=32e9,
            cores=1,
            accelerator="v6e",
            shapes=_SHEETS,
        ),
    )
}
