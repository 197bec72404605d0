"""Search for the settings under which an experiment runs best on some hardware.

Meshes, remat policies, accumulation and tile budgets for one global batch: arithmetic prunes them,
the compiler decides between the promising ones.
"""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
import runpy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mm15_jax.config import ExperimentConfig, experiments
from mm15_jax.config.hardware import has_own_mesh
from mm15_jax.config.overrides import value_of
from mm15_jax.config.schema import HardwareMesh, MeshConfig, replace_nested
from mm15_jax.plan import compile as compiler
from mm15_jax.plan import meshes, report
from mm15_jax.plan.estimate import estimate, row_ways
from mm15_jax.plan.topology import Topology

# "none" would keep gathered parameters too.
POLICIES = ("full", "context", "attention", "matmuls", "activations")
# Arithmetic over-estimates some steps: those up to so much beyond the memory are compiled too.
SLACK = 1.15
_UNHIDDEN = 0.25
SETTINGS = (
    "train.accumulation",
    "model.encoder.remat",
    "model.decoder.remat",
    "inputs.tiles_per_row",
)


def space(config: ExperimentConfig, topology: Topology, tiles: Sequence[int] = ()) -> Iterator:
    """Every setting of an experiment that divides the hardware and the batch.

    Args:
        config: The experiment. A mesh or setting that it was given is the only one tried.
        topology: The hardware.
        tiles: Budgets of tiles a row to try beside the experiment's own.
    """
    given = has_own_mesh(config)
    own = dict(zip(SETTINGS, _values(config), strict=True))
    budgets = dict.fromkeys((config.inputs.tiles_per_row, *tiles))
    tried: dict[str, tuple[Any, ...]] = {
        "train.accumulation": meshes.ACCUMULATION,
        "model.encoder.remat": POLICIES if any(budgets) else (config.model.encoder.remat,),
        "model.decoder.remat": POLICIES,
        "inputs.tiles_per_row": tuple(budgets),
    }
    for key, value in own.items():
        if config.was_given(key) and not (key == "inputs.tiles_per_row" and tiles):
            tried[key] = (value,)
    for parts, encoder, decoder, budget in itertools.product(*tried.values()):
        changes = dict(zip(SETTINGS, (parts, encoder, decoder, budget), strict=True))
        changed = replace_nested(config, changes)
        if given:
            with_mesh, _ = meshes.resolved(changed, topology)
            if config.train.batch_rows % (row_ways(with_mesh.mesh) * parts) == 0:
                yield with_mesh
            continue
        for mesh in meshes.candidates(changed, topology):
            yield dataclasses.replace(changed, mesh=mesh)


def promising(
    config: ExperimentConfig, topology: Topology, tiles: Sequence[int], tries: int
) -> list[ExperimentConfig]:
    """The settings to compile, at most `tries`, by arithmetic.

    First the experiment's own with the best mesh; then, from the quickest on, one for each pair of
    remat policies that may fit; places that are left go to other meshes, then to what else may fit,
    from the quickest on: it may need more parts than arithmetic says. If nothing may fit, those
    that need the least memory.
    """
    own = (config.model.encoder.remat, config.model.decoder.remat)
    ranked = []
    for candidate in space(config, topology, tiles):
        e = estimate(candidate, topology)
        # Networks and compute overlap, but not all the time.
        seconds = e.seconds + _UNHIDDEN * min(e.compute, e.interconnect)
        ranked.append((seconds / (candidate.inputs.tiles_per_row or 1), e.memory, candidate))
    if not ranked:
        meshes.resolved(config, topology)  # says why
        raise ValueError(f"no setting of {config.name} divides {topology}")
    limit = topology.chip.hbm_usable * SLACK
    fitting = [row for row in ranked if row[1] <= limit]
    if not fitting:
        ranked.sort(key=lambda row: row[1])
        return [row[2] for row in ranked[:tries]]
    fitting.sort(key=lambda row: (row[0], row[1]))
    best: dict[Any, ExperimentConfig] = {}
    for _, _, candidate in fitting:
        best.setdefault(_policies(candidate), candidate)
    chosen = [best[own]] if own in best else []
    chosen += [c for policies, c in best.items() if policies != own][: max(tries - 2, 1)]
    for _, _, candidate in fitting:
        if all(candidate.mesh != other.mesh for other in chosen):
            chosen.append(candidate)
    for _, _, candidate in fitting:
        if len(chosen) >= tries:
            break
        if candidate not in chosen:
            chosen.append(candidate)
    return chosen[:tries]


def _policies(config: ExperimentConfig) -> tuple[str, str]:
    return config.model.encoder.remat, config.model.decoder.remat


def search(
    config: ExperimentConfig,
    topology: Topology,
    *,
    tiles: Sequence[int] = (),
    tries: int = 6,
    jobs: int = 1,
    compile_all: Callable[..., list] = compiler.steps_of,
    **limits: Any,
) -> dict[str, Any]:
    """Compiles the promising settings and ranks them.

    Args:
        config: The experiment.
        topology: The hardware.
        tiles: Budgets of tiles a row beside the experiment's own. Steps with other budgets do other
            work: they are ranked by seconds a tile slot.
        tries: Programs to compile.
        jobs: Compilers at once.
        compile_all: As `plan.compile.steps_of`.
        limits: Of `plan.compile.step_of`.

    Returns:
        {"experiment", "topology", "slices", "tried": plans of all that compiled, best first,
        "failed": [{"settings", "error"}], "frontier": places in "tried" of those that no other
        beats in both time and memory, "best": place of the quickest that fits, or null}.
    """
    chosen = promising(config, topology, tiles, tries)
    results = compile_all([(c, topology) for c in chosen], jobs=jobs, **limits)
    tried, failed = [], []
    for candidate, raw in zip(chosen, results, strict=True):
        settings = settings_of(candidate)
        if isinstance(raw, Exception):
            failed.append({"settings": settings, "error": str(raw)})
        else:
            plan = report.assemble(candidate, topology, raw)
            tried.append({**plan, "settings": settings, "seconds_per_tile": _per_work(plan)})
    tried.sort(key=lambda p: (not p["fits"], p["seconds_per_tile"] or 0, p["hbm_used_bytes"]))
    fitting = [i for i, plan in enumerate(tried) if plan["fits"]]
    return {
        "experiment": config.name,
        "topology": topology.name,
        "slices": topology.slices,
        "tried": tried,
        "failed": failed,
        "frontier": [i for i in fitting if not _beaten(tried, i)],
        "best": fitting[0] if fitting else None,
    }


def _per_work(plan: dict[str, Any]) -> float | None:
    """Seconds for each tile slot of the batch, or for each row where rows have none."""
    if plan["step_seconds_bound"] is None:
        return None
    return plan["step_seconds_bound"] / plan["batch_rows"] / (plan["tiles_per_row"] or 1)


def _beaten(tried: list[dict[str, Any]], place: int) -> bool:
    own = tried[place]
    return any(
        other["fits"]
        and other["seconds_per_tile"] <= own["seconds_per_tile"]
        and other["hbm_used_bytes"] < own["hbm_used_bytes"]
        for other in tried
    )


def settings_of(config: ExperimentConfig) -> list[str]:
    """A candidate's settings beside its mesh, as --set takes them."""
    return [f"{key}={value}" for key, value in zip(SETTINGS, _values(config), strict=True)]


def _values(config: ExperimentConfig) -> tuple[Any, ...]:
    return tuple(value_of(config, key) for key in SETTINGS)


def as_text(found: dict[str, Any]) -> str:
    """The frontier and what else was tried, for a reader."""
    slices = f"{found['slices']} slices of " if found["slices"] > 1 else ""
    lines = [
        f"{found['experiment']} on {slices}{found['topology']}: "
        f"{len(found['tried'])} programs compiled",
        f"  {'':2}{'mesh':<34}{'remat':<20}{'parts':>5}{'tiles':>6}{'memory':>10}{'step':>9}"
        f"{'MFU':>7}  bound by",
    ]
    for place, plan in enumerate(found["tried"]):
        mark = "*" if place == found["best"] else "+" if place in found["frontier"] else " "
        mesh = " ".join(
            f"{axis}={size}"
            for axis, size in plan["mesh"].items()
            if size != 1 and axis != "strategy"
        )
        remat = f"{plan['remat']['encoder']}, {plan['remat']['decoder']}"
        line = (
            f"  {mark:<2}{mesh:<34}{remat:<20}{plan['accumulation']:>5}{plan['tiles_per_row']:>6}"
            f"{plan['hbm_used_bytes'] / 2**30:>6.1f} GiB"
        )
        if plan["step_seconds_bound"] is None or not plan["fits"]:
            line += "  does not fit"
        else:
            line += (
                f"{plan['step_seconds_bound']:>7.3f} s{plan['mfu_bound']:>7.1%}  {plan['bound_by']}"
            )
        lines.append(line)
    lines += [f"  failed: {' '.join(f['settings'])}: {f['error']}" for f in found["failed"]]
    lines.append("  * the best, + the frontier of time and memory")
    if found["best"] is not None:
        best = found["tried"][found["best"]]
        axes = [f"mesh.{a}={n}" for a, n in best["mesh"].items() if a != "strategy"]
        lines.append(f"  as of now: --set {' '.join(axes + best['settings'])}")
    return "\n".join(lines)


def update(name: str, found: dict[str, Any]) -> str:
    """Keeps the best of a search in the experiments' table of hardware; returns what was done.

    Raises:
        ValueError: If nothing fits, or the experiment is not one of the package's.
    """
    if found["best"] is None:
        raise ValueError(f"nothing that was tried fits {found['topology']}; the table stays")
    known = experiments()
    if name not in known:
        raise ValueError(f"{name} is not an experiment of this package: add the mesh by hand")
    best = found["tried"][found["best"]]
    row = row_of(best, known[name]())
    path = keep({name: [row]})
    return f"{name} on {row.slices} x {row.topology}: written to {path}"


def row_of(plan: dict[str, Any], experiment: ExperimentConfig) -> HardwareMesh:
    """A plan's mesh, and its settings where they are not the experiment's own."""
    values = (
        plan["accumulation"],
        plan["remat"]["encoder"],
        plan["remat"]["decoder"],
        plan["tiles_per_row"],
    )
    settings = tuple(
        f"{key}={value}"
        for key, value in zip(SETTINGS, values, strict=True)
        if value != value_of(experiment, key)
    )
    return HardwareMesh(plan["topology"], plan["slices"], MeshConfig(**plan["mesh"]), settings)


def keep(rows: dict[str, list[HardwareMesh]]) -> pathlib.Path:
    """Writes rows into the experiments' table of hardware, each in the place of its earlier one."""
    from mm15_jax.experiments import hardware

    path = pathlib.Path(hardware.__file__)
    # As it is now: another search may have written since this one began, hours ago.
    table = runpy.run_path(str(path))["TABLE"]
    for name, new in rows.items():
        places = {(row.topology, row.slices): row for row in (*table.get(name, ()), *new)}
        table[name] = tuple(sorted(places.values(), key=lambda r: (r.topology, r.slices)))
    path.write_text(_rendered(path.read_text(), table))
    return path


def _rendered(source: str, table: dict[str, tuple[HardwareMesh, ...]]) -> str:
    """The module's source with another table in the place of its own, as ruff would format it."""
    lines = ["TABLE: dict[str, tuple[HardwareMesh, ...]] = {"]
    for name in sorted(table):
        lines.append(f'    "{name}": (')
        for row in table[name]:
            axes = [
                f"{field.name}={getattr(row.mesh, field.name)!r}".replace("'", '"')
                for field in dataclasses.fields(MeshConfig)
                if getattr(row.mesh, field.name) != field.default
            ]
            settings = "".join(f'                "{s}",\n' for s in row.settings)
            settings = f"(\n{settings}            )"
            if len(row.settings) == 1:
                settings = f'("{row.settings[0]}",)'
            lines += [
                "        HardwareMesh(",
                f'            "{row.topology}",',
                f"            {row.slices},",
                f"            MeshConfig({', '.join(axes)}),",
            ]
            if row.settings:
                lines.append(f"            {settings},")
            lines.append("        ),")
        lines.append("    ),")
    lines.append("}" if table else "")
    text = "\n".join(lines) if table else lines[0] + "}"
    return re.sub(r"^TABLE: .*?^\}|^TABLE: .*?\{\}", lambda _: text, source, flags=re.M | re.S)
