"""docs/scaling.md: the family on hardware, by the compiler's word."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable
from typing import Any

from mm15_jax.config import HardwareMesh, experiments, load
from mm15_jax.plan import compile as compiler
from mm15_jax.plan import meshes, report, search
from mm15_jax.plan.chips import GIB
from mm15_jax.plan.topology import Topology, parse

PAGE = pathlib.Path("docs/scaling.md")
STAGES = ("pretrain", "continual", "sft")
# (shape of a slice, slices) that a size is planned for, smallest first.
HARDWARE: dict[str, tuple[tuple[str, int], ...]] = {
    "1b": (("v5e:4x8", 1), ("v6e:8x8", 1), ("v5p:4x4x4", 1)),
    "3b": (("v5e:16x16", 1), ("v5p:4x4x4", 1), ("v6e:16x16", 2)),
    "7b": (("v6e:16x16", 1), ("v5p:4x4x8", 1), ("v5p:4x4x8", 2)),
    "30b": (("v6e:16x16", 1), ("v5p:4x8x8", 1), ("v5p:8x8x8", 1), ("v5p:4x4x8", 2)),
    "1b_moe": (("v6e:16x16", 1), ("v5p:4x4x8", 1)),
    "3b_moe": (("v5p:4x8x8", 1), ("v5p:8x8x8", 1)),
}
_HEAD = """# The family on TPUs

Every large experiment, its training step compiled for TPUs that were not there: whether it fits the
memory of a device, and how long the stage takes at best. {versions}. Made by

```sh
mm15 plan --table
```

Memory is what the compiler assigned, of what it lets a program use. A step cannot be faster than
what binds it: compute, memory or interconnect, each used without a gap. The highest MFU, days and
chip-hours follow from that; a real run is slower. Batches, steps and the rest are the paper's; a
batch that runs in parts gives the same step ([planning](planning.md)).
"""
_COLUMNS = (
    "experiment",
    "chips",
    "hardware",
    "mesh",
    "parts",
    "memory, GiB",
    "fits",
    "bound by",
    "step, s",
    "MFU at most",
    "days",
    "chip-hours",
)


def rows() -> list[tuple[str, Topology]]:
    """(experiment, topology) of each row; sizes that have no experiment yet are left out."""
    known = experiments()
    return [
        (f"mm15_{size}_{stage}", parse(*hardware))
        for size, all_hardware in HARDWARE.items()
        for stage in STAGES
        for hardware in all_hardware
        if f"mm15_{size}_{stage}" in known
    ]


def write(
    *,
    jobs: int,
    page: pathlib.Path = PAGE,
    update: bool = False,
    compile_all: Callable[..., list] = compiler.steps_of,
    **limits: Any,
) -> str:
    """Compiles what is not in the cache yet, writes the page, returns a sentence about it.

    Args:
        jobs: Compilers at once.
        page: Written anew with each result.
        update: Whether the meshes of steps that fit become the experiments' own on that hardware.
        compile_all: As `plan.compile.steps_of`.
        **limits: Of `plan.compile.step_of`.

    Raises:
        ValueError: If the page's folder is not here.
    """
    if not page.parent.is_dir():
        raise ValueError(f"{page.parent}/ is not here: run this in the repository")
    wanted = rows()
    settled = [meshes.settled(load(name), topology) for name, topology in wanted]
    requests = [(config, row[1]) for config, row in zip(settled, wanted, strict=True)]
    # Each experiment on one kind of hardware first: a page that is cut short tells most then.
    order = sorted(range(len(wanted)), key=lambda i: _place_in_hardware(*wanted[i]))
    results: dict[int, Any] = {}

    def found(number: int, result: Any) -> None:
        results[order[number]] = result
        page.write_text(_page(requests, results))

    compile_all([requests[i] for i in order], jobs=jobs, found=found, **limits)
    if update:
        keep_meshes(requests, results)
    failed = sum(isinstance(result, Exception) for result in results.values())
    return f"{page}: {len(results)} rows, {failed} of which failed to compile"


def keep_meshes(requests: list, results: dict[int, Any]) -> None:
    """Meshes and settings of the steps that fit, into the experiments' table of hardware."""
    fitting: dict[str, list[HardwareMesh]] = {}
    for number, raw in results.items():
        config, topology = requests[number]
        if isinstance(raw, Exception):
            continue
        plan = report.assemble(config, topology, raw)
        if plan["fits"]:
            row = search.row_of(plan, experiments()[config.name]())
            fitting.setdefault(config.name, []).append(row)
    search.keep(fitting)


def _place_in_hardware(name: str, topology: Topology) -> int:
    """How many rows of the same experiment stand before this one."""
    same = [row[1] for row in rows() if row[0] == name]
    return same.index(topology)


def _page(requests: list, results: dict[int, Any]) -> str:
    """The page with the rows that are there, in the order of the family."""
    lines = []
    for number in sorted(results):
        config, topology = requests[number]
        raw = results[number]
        if isinstance(raw, Exception):
            lines.append(_failure(config.name, topology, raw))
        else:
            lines.append(_row(report.assemble(config, topology, raw)))
    missing = len(requests) - len(results)
    if missing:
        lines += [
            "",
            f"{missing} rows more are to be compiled: the command goes on.",
        ]
    head = [_HEAD.format(versions=_versions(results.values())), f"| {' | '.join(_COLUMNS)} |"]
    return "\n".join([*head, "|" + "---|" * len(_COLUMNS), *lines]) + "\n"


def _versions(results: Iterable[Any]) -> str:
    found = [r["versions"] for r in results if not isinstance(r, Exception)]
    if not found:
        return "Nothing compiled"
    return "Compiled by " + ", ".join(f"{name} {version}" for name, version in found[0].items())


def _hardware(topology: Topology) -> str:
    return f"{topology.slices} x {topology.name}" if topology.slices > 1 else topology.name


def _failure(name: str, topology: Topology, error: Exception) -> str:
    said = " ".join(str(error).split()).replace("|", "/")[:120]
    return f"| `{name}` | {topology.chips} | {_hardware(topology)} | {said} |" + " |" * 8


def _row(plan: dict[str, Any]) -> str:
    topology = parse(plan["topology"], plan["slices"])
    mesh = " ".join(
        f"{axis} {size}" for axis, size in plan["mesh"].items() if axis != "strategy" and size > 1
    )
    cells = [
        f"`{plan['experiment']}`",
        str(plan["chips"]),
        _hardware(topology),
        mesh or "-",
        str(plan["accumulation"]),
        f"{plan['hbm_used_bytes'] / GIB:.1f} of {plan['hbm_limit_bytes'] / GIB:.1f}",
        "yes" if plan["fits"] else f"no, by {plan['hbm_over_bytes'] / GIB:.1f}",
    ]
    if plan["step_seconds_bound"] is None:
        cells += ["-"] * 5
    else:
        cells += [
            plan["bound_by"],
            f"{plan['step_seconds_bound']:.2f}",
            f"{plan['mfu_bound']:.0%}",
            f"{plan['days']:.1f}",
            f"{plan['chip_hours']:,.0f}",
        ]
    return f"| {' | '.join(cells)} |"
