"""How fast a step can be at best: by compute, memory, the networks between chips, the host.

A bound assumes that each of them is used without a gap and that they overlap perfectly. The
collectives follow the usual ring arguments (Austin et al. 2025, "How To Scale Your Model", chapter
on sharded matrices): on a ring both directions carry data, on a line its ends have one link.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from mm15_jax.plan.topology import Topology
from mm15_jax.plan.work import Collective

Place = tuple[int, ...]  # (slice, x, y, ...) of a chip


@dataclass(frozen=True)
class Exchange:
    """What one collective costs, all its runs in a step together."""

    kind: str
    devices: int  # of a group
    network: str  # "ici", "dcn", "both"
    payload: int
    runs: int
    ici_seconds: float
    dcn_seconds: float


@dataclass(frozen=True)
class Bound:
    """Seconds of a step that each resource needs at least."""

    compute: float
    memory: float
    interconnect: float
    host: float  # copies to and from its memory

    @property
    def seconds(self) -> float:
        """Of the one that binds."""
        return max(dataclasses.astuple(self))

    @property
    def by(self) -> str:
        """The one that binds."""
        named = dataclasses.asdict(self)
        return max(named, key=lambda name: named[name])


def exchange(
    collective: Collective, topology: Topology, places: Sequence[Place], runs: int | None = None
) -> Exchange:
    """What a collective costs on this hardware.

    Args:
        collective: Of `work_of`.
        topology: The hardware.
        places: Of each device of the mesh, in the mesh's order.
        runs: Instead of the collective's own.
    """
    times = collective.runs if runs is None else runs
    group = [places[i] for i in collective.group]
    inside = [place[1:] for place in group if place[0] == group[0][0]] if group else []
    slices = len({place[0] for place in group})
    chip = topology.chip
    ici = dcn = 0.0
    if slices > 1:
        # Chips of a slice share what it exchanges with others.
        dcn = _share(collective.kind, slices) * collective.payload / max(len(inside), 1)
        dcn *= times / chip.dcn_bandwidth
    if len(inside) > 1:
        rings = _rings(inside, topology)
        if collective.kind in ("all-to-all", "ragged-all-to-all"):
            # Half of all crosses the middle of each axis.
            hops = max(length / (8 if ring else 4) for length, ring in rings)
            ici = collective.payload * hops / chip.link_bandwidth
        elif collective.kind in ("collective-permute", "collective-broadcast"):
            ici = collective.payload / chip.link_bandwidth
        else:
            links = sum(2 if ring else 1 for _, ring in rings)
            ici = _share(collective.kind, len(inside)) * collective.payload
            ici /= links * chip.link_bandwidth
        ici *= times
    network = "both" if slices > 1 and len(inside) > 1 else "dcn" if slices > 1 else "ici"
    return Exchange(collective.kind, len(group), network, collective.payload, times, ici, dcn)


def _share(kind: str, devices: int) -> float:
    """Bytes that a device receives for each byte of payload."""
    once = (devices - 1) / devices
    return 2 * once if kind == "all-reduce" else once


def _rings(inside: Sequence[Sequence[int]], topology: Topology) -> list[tuple[int, bool]]:
    """(length, whether it closes) of the torus axes along which a group's chips differ."""
    found = []
    for axis, side in enumerate(topology.shape):
        length = len({place[axis] for place in inside})
        if length > 1:
            found.append((length, topology.wrap[axis] and length == side))
    return found or [(2, False)]


def bound(
    topology: Topology,
    flops: float,
    traffic: float,
    exchanges: Sequence[Exchange],
    host_copies: tuple[float, float] = (0.0, 0.0),
) -> Bound:
    """Of a step that does so much on each device.

    Args:
        topology: The hardware.
        flops: Of one device.
        traffic: Bytes to and from one device's HBM.
        exchanges: Of one device; the fast and the slow network work at the same time.
        host_copies: Bytes from the host's memory and to it, both ways at the same time.
    """
    chip = topology.chip
    return Bound(
        compute=flops / chip.peak_flops,
        memory=traffic / chip.hbm_bandwidth,
        interconnect=max(
            sum(e.ici_seconds for e in exchanges), sum(e.dcn_seconds for e in exchanges)
        ),
        host=max(host_copies) / chip.host_bandwidth,
    )
