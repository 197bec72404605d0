"""mm15 plan EXPERIMENT --topology v5p:8x8x8 [--slices 2] [--search [--update]] [--json]

Compiles the very step that trains for TPUs that are not here: does it fit, what binds it, how long
does the stage take. --search tries meshes, remat policies, accumulation and tile budgets. mm15 plan
--table writes docs/scaling.md anew.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
import sys

from absl import flags as absl_flags

from mm15_jax.cli import common


def define_flags(flags) -> None:
    """The hardware, what is looked for, and the compiler's limits."""
    common.define_json(flags)
    common.define_set(flags)
    common.define_string(flags, "topology", None, "chip and shape of a slice, such as v5p:4x4x8")
    define = {"flag_values": flags}
    absl_flags.DEFINE_integer("slices", 1, "equal slices", **define)
    absl_flags.DEFINE_boolean("search", False, "look for the best settings", **define)
    absl_flags.DEFINE_boolean(
        "update",
        False,
        "with --search, --table: keep what is best, what fits, in the table of hardware",
        **define,
    )
    absl_flags.DEFINE_list("tiles", [], "with --search: tile budgets a row to try", **define)
    absl_flags.DEFINE_integer("tries", 6, "with --search: programs to compile", 1, **define)
    absl_flags.DEFINE_integer("jobs", 0, "compilers at once; 0: by cores", 0, **define)
    absl_flags.DEFINE_boolean("table", False, "the whole family, into docs/scaling.md", **define)
    absl_flags.DEFINE_boolean(
        "nearest", True, "where it does not fit: compile for larger topologies", **define
    )
    absl_flags.DEFINE_boolean("cache", True, "take earlier results", **define)
    absl_flags.DEFINE_float("timeout", 3600.0, "seconds for one program", 1.0, **define)
    absl_flags.DEFINE_float("memory", 0.0, "host GiB for one program; 0: no limit", 0.0, **define)
    common.define_string(flags, "dump", "", "file for the compiled program's text")


def main(arguments, flags) -> int:
    """Prints the plan; exits with 0 also where it does not fit: that is an answer."""
    os.environ["JAX_PLATFORMS"] = "cpu"  # nothing runs: a TPU is left to what trains on it
    _check_flags(flags)
    limits = {
        "timeout": flags.timeout,
        "memory_limit": int(flags.memory * 2**30),
        "cache": flags.cache,
    }
    from mm15_jax.plan.compile import CompileError, default_jobs

    jobs = flags.jobs or default_jobs()
    try:
        if flags.table:
            if arguments:
                raise ValueError(f"mm15 plan --table takes no experiment, was given {arguments[0]}")
            return _table(jobs, flags.update, limits)
        return _plan(arguments, flags, jobs, limits)
    except CompileError as error:
        print(f"mm15: {error}", file=sys.stderr)
        return 1


# Of what each flag is, but for those of every use: --cache, --timeout, --memory.
_USES = {
    "set": ("", "--search"),
    "topology": ("", "--search"),
    "slices": ("", "--search"),
    "json": ("", "--search"),
    "nearest": ("",),
    "dump": ("",),
    "update": ("--search", "--table"),
    "tiles": ("--search",),
    "tries": ("--search",),
    "jobs": ("--search", "--table"),
}


def _check_flags(flags) -> None:
    """Raises ValueError for a flag that would do nothing."""
    if flags.search and flags.table:
        raise ValueError("--search and --table exclude each other")
    if math.isnan(flags.timeout):
        raise ValueError("--timeout is nan; expected seconds")
    if not math.isfinite(flags.memory):
        raise ValueError(f"--memory is {flags.memory:g}; expected GiB, or 0 for no limit")
    use = "--table" if flags.table else "--search" if flags.search else ""
    for name, uses in _USES.items():
        if flags[name].present and use not in uses:
            wanted = " or ".join(use or "a plan of one program" for use in uses)
            raise ValueError(
                f"--{name} is of {wanted}, and does nothing "
                + (f"with {use}" if use else "without it")
            )


def _plan(arguments, flags, jobs: int, limits: dict) -> int:
    from mm15_jax.plan import topology as topologies

    config = common.load_experiment(arguments, flags, "plan")
    if config.stage == "evaluation":
        raise ValueError(f"{config.name} trains nothing: there is no step to plan")
    if not flags.topology:
        names = ", ".join(topologies.known_names())
        raise ValueError(f"name the hardware with --topology, one of {names}")
    folder = pathlib.Path(flags.dump).parent
    if not folder.is_dir():
        raise ValueError(f"--dump {flags.dump}: there is no folder {folder}")
    if flags.dump and pathlib.Path(flags.dump).is_dir():
        raise ValueError(f"--dump {flags.dump} is a folder; expected a file")
    topology = topologies.parse(flags.topology, flags.slices)
    if flags.search:
        return _search(config, topology, flags, jobs, limits)
    from mm15_jax.plan import report

    result = report.plan(
        config, topology, look_for_nearest=flags.nearest, dump=flags.dump, **limits
    )
    print(json.dumps(result, indent=1) if flags.json else report.as_text(result))
    return 0


def _search(config, topology, flags, jobs: int, limits: dict) -> int:
    from mm15_jax.plan import search

    if not all(number.strip().isdecimal() and int(number) > 0 for number in flags.tiles):
        raise ValueError(f"--tiles {','.join(flags.tiles)}: expected whole numbers above 0")
    tiles = [int(number) for number in flags.tiles]
    kept = ("mesh", *search.SETTINGS)
    others = [a for a in flags.set if not a.startswith(kept)]
    if flags.update and others:
        raise ValueError(
            f"--update keeps the mesh and {', '.join(search.SETTINGS)} for {config.name} as it is:"
            f" it cannot be given --set {' '.join(others)}"
        )
    found = search.search(config, topology, tiles=tiles, tries=flags.tries, jobs=jobs, **limits)
    print(json.dumps(found, indent=1) if flags.json else search.as_text(found))
    if flags.update:
        print(search.update(config.name, found), file=sys.stderr)
    return 0


def _table(jobs: int, update: bool, limits: dict) -> int:
    from mm15_jax.plan import table

    print(table.write(jobs=jobs, update=update, **limits))
    return 0
