"""Reads a compiled TPU program's text: instructions, loops and how often each computation runs.

`cost_analysis` counts a loop's body once, so what a step really does is added up here, computation
by computation, each times the trips of the loops around it.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
# A computation of another core says so behind its end; a kernel's metadata has such lines too.
_END = re.compile(r'^\}(, execution_thread="\w+")?$')
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%([\w.\-]+) = ")
_ARRAY = re.compile(r"(\w+)\[([\d,<=]*)\](\{[^}]*\})?")
_OPCODE = re.compile(r"\s*([\w\-]+)\(")
_BITS = {"pred": 8, "c64": 64, "c128": 128, "token": 0, "opaque": 0}
_SPACE = re.compile(r"S\((\d+)\)")  # a layout's memory space; HBM is 0 and not written
_HOST = 5
_TILED = re.compile(r"\{([\d,]+):T\(([\d,]+)\)")  # a layout's axes from the minor one, and its tile
_CALLED = re.compile(r"\b(?:calls|to_apply|body|condition)=%([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


@dataclass(frozen=True)
class Array:
    """Type of one array."""

    dtype: str
    shape: tuple[int, ...]
    space: int = 0  # of memory: 0 HBM, 5 the host's, others on the chip
    minor: tuple[int, ...] = ()  # axes that are tiled, from the fastest on
    tile: tuple[int, ...] = ()  # its side along each of them

    @property
    def in_hbm(self) -> bool:
        """Whether reading or writing it is traffic to HBM."""
        return self.space == 0

    @property
    def on_host(self) -> bool:
        """Whether it is in the memory of the host."""
        return self.space == _HOST

    @property
    def size(self) -> int:
        """Bytes, without padding by the layout."""
        return math.ceil(math.prod(self.shape) * self._bits / 8)

    def size_around(self, part: tuple[int, ...]) -> int:
        """Bytes that reading a part of this shape takes: memory is read by whole tiles.

        One lane of an array whose tiles have 128 costs as much as all of them.
        """
        sides = list(part)
        for axis, side in zip(self.minor, self.tile, strict=True):
            sides[axis] = min(math.ceil(sides[axis] / side) * side, self.shape[axis])
        return math.ceil(math.prod(sides) * self._bits / 8)

    @property
    def _bits(self) -> int:
        bits = _BITS.get(self.dtype)
        if bits is None:
            found = re.search(r"\d+", self.dtype)  # bf16, f8e4m3fn, s32, u4
            bits = int(found[0]) if found else 0
        return bits


@dataclass(frozen=True)
class Instruction:
    """One line of a computation."""

    name: str
    opcode: str
    outputs: tuple[Array, ...]  # several where it gives a tuple
    operands: tuple[str, ...]
    rest: str  # attributes, as they stand
    is_root: bool

    def attribute(self, name: str) -> str | None:
        """Value of `name=...` up to the next comma outside of brackets; None where it is absent."""
        found = re.search(rf"\b{name}=", self.rest)
        if not found:
            return None
        depth, start = 0, found.end()
        for i in range(start, len(self.rest)):
            char = self.rest[i]
            if char in "{[(":
                depth += 1
            elif char in "}])":
                depth -= 1
            elif char == "," and depth == 0:
                return self.rest[start:i]
        return self.rest[start:]

    @property
    def op_name(self) -> str:
        """Where in the traced function it is from."""
        found = re.search(r'op_name="([^"]*)"', self.rest)
        return found[1] if found else ""

    @property
    def cycles(self) -> int:
        """The compiler's own estimate; 0 where it makes none."""
        found = re.search(r'"estimated_cycles":"(\d+)"', self.rest)
        return int(found[1]) if found else 0


Computation = dict[str, Instruction]


@dataclass(frozen=True)
class Program:
    """A compiled module."""

    computations: dict[str, Computation]
    entry: str
    trips: dict[str, int]  # of each loop, by the name of its body
    runs: dict[str, int]  # how often each computation runs in a step; fused ones are not listed
    unknown_loops: int  # whose trips could not be read; counted once


def parse(text: str) -> Program:
    """The program of `compiled.as_text()`."""
    computations: dict[str, Computation] = {}
    entry, current = "", None
    for line in _joined(text):
        if current is None:
            head = _COMPUTATION.match(line)
            if head:
                current = computations.setdefault(head[2], {})
                entry = head[2] if head[1] else entry
        elif _END.match(line):
            current = None
        else:
            instruction = _instruction(line)
            if instruction:
                current[instruction.name] = instruction
    program = Program(computations, entry, {}, {}, 0)
    return _with_runs(program)


def _joined(text: str) -> Iterator[str]:
    """Lines of a program; what a kernel's metadata breaks into several is one again."""
    held, inside = "", False
    for line in text.splitlines():
        ends = bool(_END.match(line))
        if inside and line and not line.startswith("  ") and not ends:
            held += line
            continue
        if held:
            yield held
        held = line
        inside = not ends and (inside or bool(_COMPUTATION.match(line)))
    if held:
        yield held


def _instruction(line: str) -> Instruction | None:
    head = _INSTRUCTION.match(line)
    if not head:
        return None
    end = _end_of_type(line, head.end())
    outputs = tuple(_array(*found) for found in _ARRAY.findall(line[head.end() : end]))
    opcode = _OPCODE.match(line, end)
    if not opcode:
        return None
    stop = _closing(line, opcode.end() - 1)
    operands = tuple(re.findall(r"%([\w.\-]+)", line[opcode.end() : stop]))
    if opcode[1] in ("constant", "parameter"):  # the value, or the number of the parameter
        operands = (line[opcode.end() : stop],)
    rest = line[stop + 1 :].lstrip(", ")
    return Instruction(head[2], opcode[1], outputs, operands, rest, bool(head[1]))


def _array(dtype: str, sides: str, layout: str) -> Array:
    shape = tuple(int(side.lstrip("<=")) for side in sides.split(",") if side)
    space = int(found[1]) if (found := _SPACE.search(layout)) else 0
    tiled = _TILED.match(layout)
    if not tiled:
        return Array(dtype, shape, space)
    minor, tile = (tuple(int(n) for n in numbers.split(",")) for numbers in tiled.groups())
    tiled_axes = min(len(minor), len(tile))
    return Array(dtype, shape, space, minor[:tiled_axes], tile[::-1][:tiled_axes])


def _end_of_type(line: str, start: int) -> int:
    if line[start] == "(":
        return _closing(line, start) + 1
    found = line.find(" ", start)
    return found if found >= 0 else len(line)


def _closing(line: str, start: int) -> int:
    depth = 0
    for i in range(start, len(line)):
        if line[i] == "(":
            depth += 1
        elif line[i] == ")":
            depth -= 1
            if depth == 0:
                return i
    return len(line)


def called(instruction: Instruction) -> list[str]:
    """Names of the computations that an instruction runs."""
    names = _CALLED.findall(instruction.rest)
    for branches in _BRANCHES.findall(instruction.rest):
        names += re.findall(r"%([\w.\-]+)", branches)
    return names


def _with_runs(program: Program) -> Program:
    """The same program with `trips` and `runs`.

    Of a conditional's branches each counts as if it ran.
    """
    trips: dict[str, int] = {}
    runs: dict[str, int] = {}
    unknown = 0
    waiting = [(program.entry, 1)]
    while waiting:
        name, times = waiting.pop()
        runs[name] = runs.get(name, 0) + times
        for instruction in program.computations.get(name, {}).values():
            if instruction.opcode == "while":
                body = (instruction.attribute("body") or "").lstrip("%")
                count = _trip_count(program, name, instruction)
                unknown += count is None
                trips[body] = count or 1
                waiting.append((body, times * trips[body]))
            elif instruction.opcode in ("call", "conditional", "async-start"):
                waiting += [(other, times) for other in called(instruction)]
    return dataclasses.replace(program, trips=trips, runs=runs, unknown_loops=unknown)


def _trip_count(program: Program, caller: str, loop: Instruction) -> int | None:
    """Trips of a loop that counts one number up to a constant; None where it is another kind."""
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', loop.rest)
    if known:
        return int(known[1])
    condition = program.computations.get((loop.attribute("condition") or "").lstrip("%"), {})
    body = program.computations.get((loop.attribute("body") or "").lstrip("%"), {})
    fused = [program.computations.get(n, {}) for i in condition.values() for n in called(i)]
    limits = [
        _whole_number(i)
        for computation in (condition, *fused)
        for i in computation.values()
        if i.opcode == "constant"
    ]
    counters = [i for i in condition.values() if i.opcode == "get-tuple-element"]
    if len(limits) != 1 or limits[0] is None or len(counters) != 1:
        return None
    index = int(counters[0].attribute("index") or 0)
    start = _start_of(program.computations[caller], loop, index)
    step = _step_of(body, index)
    return max(math.ceil((limits[0] - start) / step), 0)


def _whole_number(constant: Instruction) -> int | None:
    text = constant.operands[0]
    return int(text) if re.fullmatch(r"-?\d+", text) else None


def _start_of(caller: Computation, loop: Instruction, index: int) -> int:
    """What the counter is before the first trip; 0, as in scans, where it is not a constant."""
    found = caller.get(loop.operands[0])
    if found is None or found.opcode != "tuple":
        return 0
    value: Instruction | None = caller.get(found.operands[index])
    while value is not None and value.opcode in ("copy", "convert", "bitcast"):
        value = caller.get(value.operands[0])
    number = _whole_number(value) if value is not None and value.opcode == "constant" else None
    return number or 0


def _step_of(body: Computation, index: int) -> int:
    """What a trip adds to the counter; 1 where it is not a constant."""
    root = next((i for i in body.values() if i.is_root), None)
    if root is None or root.opcode != "tuple":
        return 1
    addition = body.get(root.operands[index])
    while addition is not None and addition.opcode == "copy":
        addition = body.get(addition.operands[0])
    if addition is None or addition.opcode != "add":
        return 1
    numbers = [
        _whole_number(body[name])
        for name in addition.operands
        if name in body and body[name].opcode == "constant"
    ]
    return numbers[0] if len(numbers) == 1 and numbers[0] else 1


def matmul_flops(instruction: Instruction, computation: Computation) -> int:
    """FLOPs of a `dot` or `convolution`, 2 a multiply-add; 0 for any other instruction.

    On TPU batched products become convolutions over dilated windows: only places where the window
    meets a value count, as XLA's own analysis has it.
    """
    if instruction.opcode == "dot":
        left = computation[instruction.operands[0]].outputs[0].shape
        axes = (instruction.attribute("lhs_contracting_dims") or "{}").strip("{}")
        contracted = math.prod(left[int(axis)] for axis in axes.split(",") if axis)
        return 2 * math.prod(instruction.outputs[0].shape) * contracted
    if instruction.opcode != "convolution":
        return 0
    left, right = (computation[name].outputs[0].shape for name in instruction.operands[:2])
    out = instruction.outputs[0].shape
    labels = instruction.attribute("dim_labels") or ""
    lhs, rhs, result = re.split(r"_|->", labels.split(",")[0])
    window = _window(instruction.attribute("window") or "{}", sum(c.isdigit() for c in lhs))
    meetings = 1
    for i, (stride, low, lhs_dilate, rhs_dilate) in enumerate(window):
        label = str(i)
        meetings *= _meetings(
            left[lhs.index(label)],
            right[rhs.index(label)],
            out[result.index(label)],
            stride,
            low,
            lhs_dilate,
            rhs_dilate,
        )
    batch_groups = int(instruction.attribute("batch_group_count") or 1)
    batch = left[lhs.index("b")] // batch_groups
    return 2 * batch * right[rhs.index("i")] * out[result.index("f")] * meetings


def _window(text: str, spatial: int) -> list[tuple[int, int, int, int]]:
    """(stride, low padding, dilation of lhs, of rhs) of each spatial axis."""
    fields = dict(part.split("=") for part in text.strip("{}").split() if "=" in part)

    def numbers(name: str, default: str) -> list[str]:
        return fields[name].split("x") if name in fields else [default] * spatial

    return [
        (int(stride), int(pad.split("_")[0]), int(lhs), int(rhs))
        for stride, pad, lhs, rhs in zip(
            numbers("stride", "1"),
            numbers("pad", "0_0"),
            numbers("lhs_dilate", "1"),
            numbers("rhs_dilate", "1"),
            strict=True,
        )
    ]


@functools.lru_cache(maxsize=4096)
def _meetings(
    size: int, taps: int, out: int, stride: int, low: int, lhs_dilate: int, rhs_dilate: int
) -> int:
    """Pairs (place of the output, tap of the window) that fall on a value of the input."""
    if taps == 1 and lhs_dilate == 1 and low == 0 and (out - 1) * stride < size:
        return out
    if max(taps, out) > 8192:  # a table of pairs would be large; such windows have no holes
        return taps * out
    place = np.arange(out)[:, None] * stride + np.arange(taps)[None] * rhs_dilate - low
    meets = (place >= 0) & (place < (size - 1) * lhs_dilate + 1) & (place % lhs_dilate == 0)
    return int(meets.sum())
