"""Slurm: batch scripts that save and go on when they are preempted, arrays for ablations.

One task is one process, as JAX expects it: one a GPU, or one a node without GPUs. `sbatch`'s manual
page has the options; that a job must requeue itself after it saved and ended in its grace time was
tried on Slurm 22.05.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mm15_jax.config.jobs import Job
from mm15_jax.config.names import unknown
from mm15_jax.launch import names, programs
from mm15_jax.launch.fan_out import FOLDER, check_order
from mm15_jax.launch.hardware import Hardware
from mm15_jax.launch.options import AT_ONCE, ENVIRONMENT, GRACE, MAX_RESTARTS, option
from mm15_jax.parallel.environment import DISTRIBUTED

RUNTIMES = ("pyxis", "apptainer")
_MARK = "mm15:"  # comment of our jobs, before the launch's name
_TIME = re.compile(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}")  # as sbatch has it
_OPTION = re.compile(r"--[a-z][-a-z]*(=[^\n]*)?")
_IDENTITIES = "jobs.json"  # of a launch's jobs by their names, which those of an array have not
_FORMAT = "%i|%j|%T|%M|%R|%k"


@dataclass(frozen=True)
class Slurm:
    """Nodes of a cluster, and the environment on them."""

    nodes: int = option(1, "nodes of each job", least=1)
    gpus_per_node: int = option(0, "GPUs of each node, a process each; 0: one process a node")
    cpus_per_task: int = option(0, "CPUs of each process; 0: the cluster's default")
    partition: str = option("", "partition of the jobs")
    account: str = option("", "account that the jobs are charged to")
    time: str = option("", "time limit such as 24:00:00; at it a job saves, and is queued again")
    sbatch: tuple[str, ...] = option((), "other option of sbatch, as --qos=low; may be repeated")
    container: str = option("", "image that the processes run in")
    container_runtime: str = option("pyxis", f"what runs the image: {', '.join(RUNTIMES)}")
    mounts: tuple[str, ...] = option((), "folder in the container, FROM:TO; may be repeated")
    python: str = option("", "Python on the nodes; where not given, this one, on a shared disk")
    grace: float = GRACE
    max_restarts: int = MAX_RESTARTS
    at_once: int = AT_ONCE
    env: tuple[str, ...] = ENVIRONMENT

    def __post_init__(self):
        if self.container_runtime not in RUNTIMES:
            raise unknown("value of --container_runtime:", self.container_runtime, RUNTIMES)
        if self.time and not _TIME.fullmatch(self.time):
            raise ValueError(
                f"--time is {self.time}; expected minutes, hours:minutes:seconds or"
                " days-hours:minutes:seconds, such as 24:00:00 or 1-0"
            )
        names.check_options(self.sbatch, "--sbatch")
        for text in self.sbatch:
            if not _OPTION.fullmatch(text):
                raise ValueError(
                    f"--sbatch={text} is no option of sbatch; write --sbatch=--qos=low"
                )

    def hardware(self) -> Hardware:
        """Nothing is planned: the planner knows TPUs, and these are GPUs or CPUs."""
        return Hardware()

    def missing(self) -> tuple[str, ...]:
        """Nothing has to be given."""
        return ()

    def start(self, name: str, jobs: Sequence[Job], *, dry_run: bool) -> int:
        """Submits the jobs, and returns; jobs that wait for the same ones are one array."""
        launch = names.job_name(name)
        submitted: dict[str, str] = {}  # id of the job, as ARRAY_TASK of one in an array
        for group in _groups(check_order(jobs)):
            words, script = self._submission(launch, group, submitted)
            if dry_run:
                print(f"{shlex.join(words)} <<'SCRIPT'\n{script}SCRIPT")
                identity = f"ID_OF_{group[0].name}"
            else:
                (FOLDER / launch).mkdir(parents=True, exist_ok=True)
                identity = programs.output_of(words, text=script).strip().partition(";")[0]
                print(f"{group[0].name}: job {identity}")
            array = len(group) > 1
            submitted |= {
                job.name: f"{identity}_{task}" if array else identity
                for task, job in enumerate(group)
            }
        if not dry_run:
            (FOLDER / launch / _IDENTITIES).write_text(json.dumps(submitted, indent=1))
            print(f"logs in {FOLDER / launch}/; mm15 launch slurm status {launch}", file=sys.stderr)
        return 0

    def status(self, name: str) -> int:
        """Prints the jobs of a launch, a job, or all, that Slurm still knows."""
        rows = list(_jobs_of(name))
        if not rows:
            print(f"Slurm knows no job of {name or 'mm15'} any more; logs stay in {FOLDER}/")
        for identity, job, state, elapsed, reason, comment in rows:
            print(
                f"{comment.removeprefix(_MARK)}: job {identity} ({job}) {state} {elapsed} {reason}"
            )
        return 0

    def logs(self, name: str, *, worker: int, follow: bool) -> int:
        """Prints the logs of a launch's jobs, newest last; the processes of a job share one."""
        paths = sorted((FOLDER / name).glob("*.log"), key=lambda path: path.stat().st_mtime)
        if not paths:
            raise ValueError(f"no log of {name} is in {FOLDER / name}/; nothing has begun yet")
        command = ["tail", "-n", "+1", *(["-F"] if follow else []), *map(str, paths)]
        return programs.show(command)

    def stop(self, name: str) -> int:
        """Asks running jobs to save and end, without being queued again; cancels the others."""
        rows = [row for row in _jobs_of(name) if row[2] not in _ENDED]
        for identity, _, state, *_ in rows:
            if state != "RUNNING":
                programs.output_of(["scancel", identity])
                continue
            programs.output_of(["scontrol", "update", f"jobid={identity}", "requeue=0"])
            programs.output_of(["scancel", "--signal=TERM", identity])
        print(f"{name}: {len(rows)} jobs asked to stop")
        return 0

    def _submission(
        self, launch: str, group: Sequence[Job], submitted: dict[str, str]
    ) -> tuple[list[str], str]:
        """The command that submits a group, and the script for its stdin."""
        words = ["sbatch", "--parsable"]
        if group[0].after:
            waits = ":".join(submitted[name] for name in group[0].after)
            words += [f"--dependency=afterok:{waits}", "--kill-on-invalid-dep=yes"]
        return words, "\n".join(self._script(launch, group)) + "\n"

    def _script(self, launch: str, group: Sequence[Job]) -> Iterator[str]:
        yield "#!/bin/bash"
        for text in self._options(launch, group):
            yield f"#SBATCH {text}"
        yield ""
        variables = {"PYTHONUNBUFFERED": "1"}
        if self.container:  # launched from a checkout, the image's source still is what runs
            variables["PYTHONSAFEPATH"] = "1"
        variables |= names.variables(self.env)
        alone = group[0].alone
        if not alone and self.nodes * (self.gpus_per_node or 1) > 1:
            variables[DISTRIBUTED] = "auto"
        for key, value in variables.items():
            yield f"export {key}={shlex.quote(value)}"
        yield _RUN.format(program=shlex.join(self._program())).rstrip()
        yield "case ${SLURM_ARRAY_TASK_ID:-0} in"
        for number, job in enumerate(group):
            yield f"  {number}) # {job.name}"
            yield " &&\n".join(f"    run {shlex.join(command)}" for command in job.commands)
            yield "    ;;"
        yield "esac"
        yield _END.format(folder=FOLDER / launch, max_restarts=self.max_restarts).rstrip()

    def _options(self, launch: str, group: Sequence[Job]) -> Iterator[str]:
        array = len(group) > 1
        yield f"--job-name={launch if array else names.job_name(group[0].name)}"
        yield f"--comment={_MARK}{launch}"
        alone = group[0].alone
        yield f"--nodes={1 if alone else self.nodes}"
        yield f"--ntasks-per-node={1 if alone else self.gpus_per_node or 1}"
        if self.gpus_per_node and not alone:
            yield f"--gpus-per-node={self.gpus_per_node}"
        if self.cpus_per_task:
            yield f"--cpus-per-task={self.cpus_per_task}"
        for key in ("partition", "account", "time"):
            if getattr(self, key):
                yield f"--{key}={shlex.quote(getattr(self, key))}"
        if self.time:
            yield f"--signal=TERM@{self.grace:.0f}"
        if array:
            yield f"--array=0-{len(group) - 1}%{self.at_once}"
        yield "--requeue"
        yield "--open-mode=append"
        yield f"--chdir={shlex.quote(str(Path.cwd()))}"
        log = "%x-%A_%a.log" if array else "%x-%j.log"
        yield f"--output={shlex.quote(str(FOLDER / launch / log))}"
        yield from map(str, self.sbatch)

    def _program(self) -> list[str]:
        step = ["srun", "--kill-on-bad-exit=1"]
        if self.cpus_per_task:  # steps have not had the job's since Slurm 22.05
            step.append(f"--cpus-per-task={self.cpus_per_task}")
        mm15 = [self.python or ("python" if self.container else sys.executable)]
        mm15 += ["-m", "mm15_jax.cli.main"]
        if not self.container:
            return [*step, *mm15]
        # What is written beside the launch has to outlive the container.
        here = str(Path.cwd())
        mounts = ",".join((f"{here}:{here}", *self.mounts))
        if self.container_runtime == "pyxis":
            step.append(f"--container-image={self.container}")
            step += [f"--container-workdir={here}", f"--container-mounts={mounts}"]
            return [*step, *mm15]
        inside = ["apptainer", "exec"] + (["--nv"] if self.gpus_per_node else [])
        inside += ["--pwd", here, "--bind", mounts]
        return [*step, *inside, self.container, *mm15]


_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")
_RUN = """
trap '' TERM  # Slurm tells the processes itself, and this script has to see how they end
run() {{
  echo "mm15: $(date -u +%FT%TZ) job $SLURM_JOB_ID on $SLURM_JOB_NODELIST, restarts \
${{SLURM_RESTART_COUNT:-0}}: $*"
  {program} "$@"
}}
"""
# 143: told to stop, and saved. Other codes from 127 on: a crash. Below: it would fail again.
# A job that was cancelled is completing by now, and stays so. The last task of an array has the
# array's own id, by which Slurm would take all of them.
_END = """code=$?
self=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}
self=${{self:-$SLURM_JOB_ID}}
crashes={folder}/$SLURM_JOB_ID.crashes
if ((code == 143)); then
  why=stopped
elif ((code >= 127)); then
  why=crashed
  echo "$code" >> "$crashes"
  if (($(wc -l < "$crashes") > {max_restarts})); then exit "$code"; fi
else
  exit "$code"
fi
if [[ $(squeue --noheader --jobs="$self" --format=%T) != RUNNING ]]; then exit "$code"; fi
echo "mm15: $why with exit code $code; asking to be queued again"
if scontrol requeue "$self"; then sleep 120; fi
exit "$code"
"""


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that wait for the same ones and want the same machines, together."""
    found: dict[tuple[frozenset[str], bool], list[Job]] = {}
    for job in jobs:
        found.setdefault((frozenset(job.after), job.alone), []).append(job)
    return list(found.values())


def _jobs_of(name: str) -> Iterator[list[str]]:
    """Rows of squeue for a launch, a job, or all: id, name, state, time, reason, comment."""
    words = ["squeue", "--me", "--states=all", "--noheader", "--array", f"--format={_FORMAT}"]
    asked = {(_MARK + launch, identity) for launch, identity in _identities(name)}
    for line in programs.output_of(words).splitlines():
        row = line.strip().split("|")
        identity, job, comment = row[0], row[1], row[-1]
        named = name in (comment.removeprefix(_MARK), job) or (comment, identity) in asked
        if comment.startswith(_MARK) and (named or not name):
            yield row


def _identities(name: str) -> Iterator[tuple[str, str]]:
    """Launches that were made here and have a job of a name, each with the job's id."""
    for path in FOLDER.glob(f"*/{_IDENTITIES}"):
        for job, identity in json.loads(path.read_text()).items():
            if job.lower().replace("_", "-") == name:
                yield path.parent.name, identity
