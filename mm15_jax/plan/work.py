"""What a compiled program does in one step on one device: FLOPs, memory traffic, collectives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mm15_jax.plan.chips import Chip
from mm15_jax.plan.hlo import Array, Computation, Instruction, Program, called, matmul_flops

KINDS = (
    "all-gather",
    "reduce-scatter",
    "all-reduce",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
# These move nothing themselves: names for parts, the end of what another line began, or what runs a
# computation that is counted by itself.
_FREE = {
    "parameter",
    "constant",
    "get-tuple-element",
    "tuple",
    "bitcast",
    "while",
    "conditional",
    "call",
    "async-start",
    "async-update",
    "after-all",
    "partition-id",
    "replica-id",
    "opt-barrier",
    "add-dependency",
}
_PARTS = {"slice", "dynamic-slice", "gather"}  # these read a part of their first operand


@dataclass(frozen=True)
class Collective:
    """One kind of exchange of a step: the same bytes between the same devices."""

    kind: str
    payload: int  # bytes: the whole result of a gather, what a device gives to any other kind
    group: tuple[int, ...]  # devices of one group, as numbers in the mesh
    runs: int  # times a step
    places: int  # in the program's text


@dataclass(frozen=True)
class Work:
    """Sums over a step on one device; `once` has every loop's body counted once, as XLA does."""

    flops: float  # of matmuls, and of kernels that tell theirs
    flops_once: float
    traffic: float  # bytes to and from HBM
    traffic_once: float
    from_host: float  # bytes from the host's memory
    to_host: float
    seconds: float  # sum over instructions of what binds each, FLOPs or traffic
    seconds_once: float
    cycles: int  # as the compiler estimates
    collectives: tuple[Collective, ...]
    kernels: dict[str, int]  # runs of custom kernels, by where they are from
    unknown_loops: int


def work_of(program: Program, chip: Chip) -> Work:
    """Adds up a program."""
    flops = flops_once = traffic = traffic_once = seconds = seconds_once = 0.0
    from_host = to_host = 0.0
    cycles = 0
    exchanges: dict[tuple[str, int, tuple[int, ...]], list[int]] = {}
    kernels: dict[str, int] = {}
    for name, runs in program.runs.items():
        computation = program.computations[name]
        channels: set[str] = set()
        for instruction in computation.values():
            own_flops = flops_of(program, instruction, computation)
            own_traffic = traffic_of(program, instruction, computation)
            own_seconds = max(own_flops / chip.peak_flops, own_traffic / chip.hbm_bandwidth)
            flops_once += own_flops
            traffic_once += own_traffic
            seconds_once += own_seconds
            flops += runs * own_flops
            traffic += runs * own_traffic
            seconds += runs * own_seconds
            cycles += runs * instruction.cycles
            arrives, leaves = host_copies(instruction, computation)
            from_host += runs * arrives
            to_host += runs * leaves
            for found in _exchanges(program, instruction, computation, channels):
                count = exchanges.setdefault(found, [0, 0])
                count[0] += runs
                count[1] += 1
            if _is_kernel(instruction):
                kernels[instruction.op_name] = kernels.get(instruction.op_name, 0) + runs
    return Work(
        flops=flops,
        flops_once=flops_once,
        traffic=traffic,
        traffic_once=traffic_once,
        from_host=from_host,
        to_host=to_host,
        seconds=seconds,
        seconds_once=seconds_once,
        cycles=cycles,
        collectives=tuple(Collective(*key, *count) for key, count in exchanges.items()),
        kernels=kernels,
        unknown_loops=program.unknown_loops,
    )


def _is_kernel(instruction: Instruction) -> bool:
    return (
        instruction.opcode == "custom-call"
        and 'custom_call_target="tpu_custom_call"' in instruction.rest
    )


def flops_of(program: Program, instruction: Instruction, computation: Computation) -> float:
    """Of one instruction, with those it fuses; of a kernel what its author declared, if anything.

    Grouped matmuls declare theirs, attention kernels do not.
    """
    if _is_kernel(instruction):
        declared = re.search(r'"flops":\s*"?(\d+)', instruction.rest)
        return float(declared[1]) if declared else 0.0
    if instruction.opcode == "fusion":
        return sum(
            flops_of(program, inner, program.computations[name])
            for name in called(instruction)
            for inner in program.computations[name].values()
        )
    return float(matmul_flops(instruction, computation))


def traffic_of(program: Program, instruction: Instruction, computation: Computation) -> float:
    """Bytes that one instruction reads from and writes to HBM.

    A slice of a stacked array counts as the slice, and so does an update in place. What lies in
    on-chip memory is free.
    """
    if instruction.opcode in _FREE or instruction.opcode.endswith("-done"):
        return 0.0
    arrays = [a for a in instruction.outputs if a.dtype != "token"]
    if instruction.opcode.removesuffix("-start") in _PARTS:  # begun: (operands, part, bookkeeping)
        given = arrays[-2] if instruction.opcode.endswith("-start") else arrays[0]
        taken = sum(_part_of(a, given) for a in _arrays(computation, instruction.operands[0]))
        return float(taken + given.size * given.in_hbm)
    if instruction.opcode.endswith("-start"):  # (what arrives, what was sent, bookkeeping)
        return float(sum(a.size for a in arrays if a.in_hbm and a.shape))
    if instruction.opcode in ("send", "recv"):
        return float(sum(a.size for a in arrays if a.in_hbm and a.shape))
    inner = None
    if instruction.opcode == "fusion":
        inner = program.computations[called(instruction)[0]]
    written = sum(a.size for a in arrays if a.in_hbm)
    updates = _updates(inner) if inner is not None else {}
    if instruction.opcode == "dynamic-update-slice":
        return 2.0 * _size(computation, instruction.operands[1])
    for whole, part in updates.values():
        if arrays[0].in_hbm:
            written += part - whole
    read = 0.0
    for number, name in enumerate(instruction.operands):
        operand = computation.get(name)
        if operand is None or len(operand.outputs) != 1 or not operand.outputs[0].in_hbm:
            continue
        read += _read_of(inner, number, operand.outputs[0].size)
    return max(written, 0) + read


def host_copies(instruction: Instruction, computation: Computation) -> tuple[int, int]:
    """Bytes that an instruction copies from the host's memory and to it.

    Whole arrays are copied, or slices of a stack that stays on the host.
    """
    kind = instruction.opcode.removesuffix("-start")
    if kind not in ("copy", "dynamic-slice", "dynamic-update-slice"):
        return 0, 0
    source = computation.get(instruction.operands[0])
    places = [*instruction.outputs, *(source.outputs if source else ())]
    if not any(array.on_host for array in places):
        return 0, 0
    if kind == "dynamic-update-slice":
        return 0, _size(computation, instruction.operands[1])
    if kind == "dynamic-slice":
        return next(a.size for a in instruction.outputs if not a.on_host and a.shape), 0
    arrived = instruction.outputs[0]
    return (0, arrived.size) if arrived.on_host else (arrived.size, 0)


def _part_of(whole: Array, part: Array) -> int:
    """Bytes of HBM that are read where a part of an array is taken."""
    if not whole.in_hbm:
        return 0
    sliced = len(part.shape) == len(whole.shape)  # what is gathered has other axes
    return whole.size_around(part.shape) if sliced else part.size


def _arrays(computation: Computation, name: str) -> tuple[Array, ...]:
    return computation[name].outputs if name in computation else ()


def _size(computation: Computation, name: str) -> int:
    return sum(a.size for a in _arrays(computation, name))


def _updates(inner: Computation) -> dict[str, tuple[int, int]]:
    """In-place updates that a fusion gives: name -> bytes of the whole and of the part written."""
    root = next(i for i in inner.values() if i.is_root)
    given = [root] if root.opcode != "tuple" else [inner[n] for n in root.operands if n in inner]
    found = {}
    for gave in given:
        instruction = gave
        while instruction.opcode == "bitcast" and instruction.operands[0] in inner:
            instruction = inner[instruction.operands[0]]
        if instruction.opcode == "dynamic-update-slice":
            part = _size(inner, instruction.operands[1])
            found[instruction.name] = (instruction.outputs[0].size, part)
    return found


def _read_of(inner: Computation | None, number: int, size: int) -> int:
    """Bytes of a fusion's operand that it reads: slices where it takes nothing but slices."""
    if inner is None:
        return size
    parameter = next(
        (i for i in inner.values() if i.opcode == "parameter" and i.operands == (str(number),)),
        None,
    )
    if parameter is None:
        return size
    read, names = 0, [parameter.name]
    while names:
        name = names.pop()
        for user in inner.values():
            if name not in user.operands:
                continue
            if user.opcode == "bitcast":
                names.append(user.name)
            elif user.opcode in _PARTS and user.operands[0] == name:
                read += _part_of(inner[name].outputs[0], user.outputs[0])
            elif user.opcode == "dynamic-update-slice" and user.operands[0] == name:
                continue  # written in place
            else:
                return size
    return min(read, size)


def _exchanges(
    program: Program, instruction: Instruction, computation: Computation, channels: set[str]
) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    """(kind, payload, group) of collectives that an instruction is or holds."""
    kind = instruction.opcode.removesuffix("-start")
    if kind in KINDS:
        channel = instruction.attribute("channel_id")
        if channel is not None and channel in channels:
            return  # an exchange in several steps names its channel in each
        channels.add(channel or "")
        group = first_group(instruction)
        payload = sum(_size(computation, name) for name in instruction.operands)
        if kind == "all-gather":
            payload *= max(len(group), 1)
        yield kind, payload, group
    elif kind == "send" and "_xla_megascale_target" in instruction.rest:
        yield _between_slices(instruction, _size(computation, instruction.operands[0]))
    elif instruction.opcode == "fusion":
        for name in called(instruction):
            # The compiler's own mark of a reduction of which each device keeps its part.
            scattered = name.startswith("all-reduce-scatter")
            for inner in program.computations[name].values():
                inside = program.computations[name]
                for found, payload, group in _exchanges(program, inner, inside, channels):
                    yield "reduce-scatter" if scattered else found, payload, group


def _between_slices(send: Instruction, sent: int) -> tuple[str, int, tuple[int, ...]]:
    """(kind, payload, group) of what the hosts of slices exchange for their devices.

    A program names the devices of its own slice; those of the others follow in the mesh, whose
    first axis are the slices. `_xla_megascale_target="{1,2}x{0:7}"` are slices and devices.
    """
    target = re.search(r'_xla_megascale_target="\{([^}]*)\}x\{([^}]*)\}"', send.rest)
    form = re.search(r'_xla_megascale_transfer_type="(\w+)"', send.rest)
    assert target and form, send.rest
    slices, devices = (_count(members) for members in target.groups())
    kind = form[1].lower().replace("_", "-")
    if kind not in KINDS:
        kind = "collective-permute"
    payload = sent * slices if kind == "all-gather" else sent
    return kind, payload, tuple(i * devices for i in range(slices))


def _count(members: str) -> int:
    """How many numbers "0:7" or "1,2" or "0:3,8" names."""
    count = 0
    for part in members.split(","):
        first, _, last = part.partition(":")
        count += int(last) - int(first) + 1 if last else 1
    return count


def first_group(instruction: Instruction) -> tuple[int, ...]:
    """Devices of a collective's first group; of a permutation, its first pair."""
    pairs = instruction.attribute("source_target_pairs")
    if pairs is not None:
        return tuple(int(n) for n in re.findall(r"\d+", pairs)[:2])
    text = instruction.attribute("replica_groups") or ""
    if text.startswith("mesh"):
        return _mesh_group(text)
    if "<=" in text:
        return _iota_group(text)
    inner = re.search(r"\{([\d,]+)\}", text)
    return tuple(int(n) for n in inner[1].split(",")) if inner else ()


def _numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", text)]


def _iota_group(text: str) -> tuple[int, ...]:
    """Of "[groups,size]<=[sides]T(order)": places of a counted-up array, transposed."""
    groups, _, source = text.partition("<=")
    sides, _, order = source.partition("T")
    ids = np.arange(np.prod(_numbers(sides))).reshape(_numbers(sides))
    if order:
        ids = ids.transpose(_numbers(order))
    return tuple(int(i) for i in ids.reshape(_numbers(groups))[0])


def _mesh_group(text: str) -> tuple[int, ...]:
    """Of "mesh['a'=4,'b'=16] {'b'}", where "'b':(2)4" is a part of an axis."""
    head, _, tail = text.partition("]")
    sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", head)}
    along: dict[str, list[tuple[int, int]]] = {}
    chosen = tail[tail.rfind("{") :]
    for name, before, size in re.findall(r"'(\w+)'(?::\((\d+)\)(\d+))?", chosen):
        part = (int(before), int(size)) if size else (1, sizes[name])
        along.setdefault(name, []).append(part)
    ids = np.arange(np.prod(list(sizes.values()))).reshape(list(sizes.values()))
    for axis, name in enumerate(sizes):
        places: Sequence[int] = [0]
        for before, size in along.get(name, ()):
            step = sizes[name] // (before * size)
            places = [place + step * i for place in places for i in range(size)]
        ids = ids.take(places, axis=axis)
    return tuple(int(i) for i in ids.reshape(-1))
