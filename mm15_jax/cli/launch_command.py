"""mm15 launch TARGET [flags] -- train EXPERIMENT ..., or TARGET status|logs|stop [NAME]

Runs a command of mm15 (train, eval, or every row of ablate) on local processes (local), a Slurm
cluster (slurm), Cloud TPU VMs (tpu-vm) or a Kubernetes cluster (gke). --dry_run prints what would
be sent. A flag is of the targets in brackets; one without brackets is of all.
"""

from __future__ import annotations

import sys

from absl import flags as absl_flags

from mm15_jax.cli import common
from mm15_jax.config.names import unknown
from mm15_jax.launch import TARGETS, names, options

VERBS = ("status", "logs", "stop")


def define_flags(flags) -> None:
    """The name, what is printed, what is followed; and each target's own."""
    define = {"flag_values": flags}
    absl_flags.DEFINE_boolean("dry_run", False, "print what would be sent, send nothing", **define)
    common.define_string(flags, "name", "", "of the launch; the experiment's where not given")
    absl_flags.DEFINE_integer(
        "worker", 0, "with logs: whose; the first is 0", lower_bound=0, **define
    )
    absl_flags.DEFINE_boolean("follow", False, "with logs: go on as they grow", **define)
    options.define(flags, TARGETS)


def main(arguments, flags) -> int:
    """Launches, or asks about a launch; the exit code of what ran, where it waits for it."""
    if not arguments:
        raise ValueError(f"name where to launch: {', '.join(TARGETS)}; see mm15 launch --help")
    name, *words = arguments
    if name not in TARGETS:
        raise unknown("launch target", name, TARGETS)
    target = options.read(flags, name, TARGETS)
    if words and words[0] in VERBS:
        return _ask(target, words, flags)
    from mm15_jax.cli import launch_jobs

    launch = launch_jobs.expand(words, target.hardware(), flags.name)
    for line in launch.summaries:
        print(line, file=sys.stderr)
    missing = (*launch.missing, *target.missing())
    if missing and not flags.dry_run:
        raise ValueError(missing[0])
    for sentence in missing:
        print(f"warning: would not be launched: {sentence}", file=sys.stderr)
    return target.start(launch.name, launch.jobs, dry_run=flags.dry_run)


def _ask(target, words: list[str], flags) -> int:
    verb, *given = words
    if len(given) > 1 or (flags.name and given):
        raise ValueError(f"{verb} takes the name of one launch, was given {' '.join(given)}")
    name = names.job_name(given[0] if given else flags.name) if given or flags.name else ""
    if verb == "status":
        return target.status(name)
    if not name:
        raise ValueError(f"{verb} of which launch? mm15 launch ... status lists them")
    if verb == "logs":
        return target.logs(name, worker=flags.worker, follow=flags.follow)
    return target.stop(name)
