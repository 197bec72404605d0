"""docs/scaling.md: the family on hardware, by the compiler's word.

Each row's plan is kept beside the page, in scaling.jsonl, with digests of the sources that decide a
step and of its program, and the compiler's versions. Where sources have changed, the step is
lowered, which takes seconds: a row whose program is still the same is of those sources. Others stay
on the page, marked, until they are compiled anew: the table takes hours, and a change to the step
should not take it away.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mm15_jax.config import ExperimentConfig, HardwareMesh, experiments, load
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
# Of a plan's keys, what is too long to be kept for every row.
_LONG = ("kernels", "collectives", "cached")


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
    """Compiles what is not there yet, then programs that have changed; returns a sentence about it.

    Args:
        jobs: Compilers at once.
        page: Written anew with each result, as are the plans beside it.
        update: Whether the meshes of steps that fit become the experiments' own on that hardware.
        compile_all: As `plan.compile.steps_of`.
        **limits: Of `plan.compile.step_of`.

    Raises:
        ValueError: If the page's folder is not here.
    """
    if not page.parent.is_dir():
        raise ValueError(f"{page.parent}/ is not here: run this in the repository")
    wanted, made_by = rows(), _made_by()
    kept = _read(page)
    plans = {i: kept[_key(*row)] for i, row in enumerate(wanted) if _key(*row) in kept}
    failures: dict[int, Exception] = {}
    left = {
        i: (meshes.settled(load(name), topology), topology)
        for i, (name, topology) in enumerate(wanted)
        if i not in plans or _is_old(plans[i], made_by)
    }
    for i in _unchanged(left, plans, jobs=jobs, compile_all=compile_all, **limits):
        plans[i] |= made_by
        del left[i]

    def turn(i: int) -> tuple[bool, bool, int]:
        """What costs nothing, then what is missing, then what is old.

        Each experiment on one kind of hardware first: a page that is cut short tells most then.
        """
        return not compiler.is_kept(*left[i]), i in plans, _place_in_hardware(*wanted[i])

    todo = sorted(left, key=turn)
    requests = [left[i] for i in todo]

    def found(number: int, result: Any) -> None:
        row = todo[number]
        if isinstance(result, Exception):
            failures[row] = result
        else:
            plan = report.assemble(*requests[number], result)
            kept = {k: v for k, v in plan.items() if k not in _LONG}
            plans[row] = made_by | {"reading": compiler.reading_digest()} | kept
        _write(page, wanted, plans, failures, made_by)

    _write(page, wanted, plans, failures, made_by)
    compile_all(requests, jobs=jobs, found=found, **limits)
    if update:
        keep_meshes(plans.values())
    return f"{page}: {len(plans)} rows, {len(failures)} failed to compile"


def _unchanged(
    left: Mapping[int, tuple[ExperimentConfig, Topology]],
    plans: Mapping[int, Mapping[str, Any]],
    *,
    jobs: int,
    compile_all: Callable[..., list],
    **limits: Any,
) -> list[int]:
    """Rows of earlier sources whose program, and what is read out of it, would be the same now."""
    now = {"reading": compiler.reading_digest(), "versions": compiler.versions()}

    def may_be(i: int) -> bool:
        told = now | json.loads(json.dumps(report.of_experiment(*left[i])))
        return "program" in plans[i] and all(plans[i].get(k) == v for k, v in told.items())

    asked = [i for i in left if i in plans and may_be(i)]
    if not asked:
        return []
    requests = [left[i] for i in asked]
    results = compile_all(requests, jobs=jobs, ask=compiler.program_of, **limits)
    return [
        i
        for i, result in zip(asked, results, strict=True)
        if not isinstance(result, Exception) and result["program"] == plans[i]["program"]
    ]


def keep_meshes(plans: Iterable[dict[str, Any]]) -> None:
    """Meshes and settings of the steps that fit, into the experiments' table of hardware."""
    fitting: dict[str, list[HardwareMesh]] = {}
    for plan in plans:
        if plan["fits"]:
            name = plan["experiment"]
            fitting.setdefault(name, []).append(search.row_of(plan, experiments()[name]()))
    search.keep(fitting)


def _place_in_hardware(name: str, topology: Topology) -> int:
    """How many rows of the same experiment stand before this one."""
    same = [row[1] for row in rows() if row[0] == name]
    return same.index(topology)


def _made_by() -> dict[str, Any]:
    """What decides a row beside its experiment and hardware, by a plan's keys."""
    return {"source": compiler.source_digest(), "versions": compiler.versions()}


def _is_old(plan: Mapping[str, Any], made_by: Mapping[str, Any]) -> bool:
    return any(plan[key] != value for key, value in made_by.items())


def _key(name: str, topology: Topology) -> tuple[str, str, int]:
    return name, topology.name, topology.slices


def _read(page: pathlib.Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    """The plans beside the page, by experiment, topology and slices."""
    path = page.with_suffix(".jsonl")
    lines = path.read_text().splitlines() if path.exists() else []
    plans = [json.loads(line) for line in lines]
    return {(p["experiment"], p["topology"], p["slices"]): p for p in plans}


def _write(
    page: pathlib.Path,
    wanted: list[tuple[str, Topology]],
    plans: Mapping[int, dict[str, Any]],
    failures: Mapping[int, Exception],
    made_by: Mapping[str, Any],
) -> None:
    """The page, rows in the order of the family, and the plans beside it."""
    lines = []
    for number in sorted({*plans, *failures}):
        if number in failures:  # what an earlier step needed says nothing of this one
            lines.append(_failure(*wanted[number], failures[number]))
        else:
            lines.append(_row(plans[number], old=_is_old(plans[number], made_by)))
    notes = []
    if old := sum(_is_old(plans[i], made_by) for i in plans.keys() - failures.keys()):
        said = "Compiled before the step's program or the compiler last changed"
        notes.append(f"\\* {said} ({old} of the rows).")
    if missing := len(wanted) - len(lines):
        notes.append(f"{missing} rows more are to be compiled: the command goes on.")
    head = [_HEAD.format(versions=_versions(plans)), f"| {' | '.join(_COLUMNS)} |"]
    text = "\n".join([*head, "|" + "---|" * len(_COLUMNS), *lines]) + "\n"
    page.write_text(text + "".join(f"\n{note}\n" for note in notes))
    kept = [json.dumps(plans[i]) + "\n" for i in sorted(plans)]
    page.with_suffix(".jsonl").write_text("".join(kept))


def _versions(plans: Mapping[int, dict[str, Any]]) -> str:
    if not plans:
        return "Nothing compiled"
    found = next(iter(plans.values()))["versions"]
    return "Compiled by " + ", ".join(f"{name} {version}" for name, version in found.items())


def _hardware(topology: Topology) -> str:
    return f"{topology.slices} x {topology.name}" if topology.slices > 1 else topology.name


def _failure(name: str, topology: Topology, error: Exception) -> str:
    said = " ".join(str(error).split()).replace("|", "/")[:120]
    return f"| `{name}` | {topology.chips} | {_hardware(topology)} | {said} |" + " |" * 8


def _row(plan: dict[str, Any], *, old: bool) -> str:
    topology = parse(plan["topology"], plan["slices"])
    mesh = " ".join(
        f"{axis} {size}" for axis, size in plan["mesh"].items() if axis != "strategy" and size > 1
    )
    cells = [
        f"`{plan['experiment']}`" + (r" \*" if old else ""),
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
