"""Cloud TPU VMs by queued resources: the options, the command lines, and what is known of a launch.

`tpu_run.py` drives a job.
"""

from __future__ import annotations

import concurrent.futures
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from mm15_jax.config.jobs import Job
from mm15_jax.launch import bundle, fan_out, gcloud, hardware, names, programs, tpu_host
from mm15_jax.launch.fan_out import FOLDER
from mm15_jax.launch.hardware import Hardware
from mm15_jax.launch.options import (
    AT_ONCE,
    CHECK,
    ENVIRONMENT,
    GRACE,
    MAX_RESTARTS,
    PRICE,
    PROJECT,
    SLICES,
    SPOT,
    TOPOLOGY,
    ZONE,
    option,
)
from mm15_jax.launch.stopping import Stop
from mm15_jax.launch.tpu_run import Run, job_script, send_commands
from mm15_jax.parallel.environment import DISTRIBUTED
from mm15_jax.plan.topology import Topology

_STOPPED_AT_ONCE = 8


@dataclass(frozen=True)
class TpuVm:
    """Machines of one launch."""

    topology: str = TOPOLOGY
    accelerator: str = option("", "the same as --topology, by Google's name, such as v5p-128")
    slices: int = SLICES
    check: str = CHECK
    price: float = PRICE
    project: str = PROJECT
    zone: str = ZONE
    spot: bool = SPOT
    reserved: bool = option(False, "machines of your reservation")
    runtime_version: str = option("", "software of the machines; by the chip where not given")
    valid_until: str = option("", "how long to wait for machines, such as 6h; else without end")
    network: str = option("", "of the machines")
    subnetwork: str = option("", "of the machines")
    internal_ips: bool = option(False, "no addresses outside; reached through IAP")
    service_account: str = option("", "that the machines have; docs/cloud.md has its roles")
    bundle: str = option("", "gs:// folder by which the tree is sent; over SSH where not given")
    keep: bool = option(False, "leave the machines when the job has ended, and pay for them")
    grace: float = GRACE
    max_restarts: int = MAX_RESTARTS
    at_once: int = AT_ONCE
    env: tuple[str, ...] = ENVIRONMENT

    def __post_init__(self):
        if self.topology and self.accelerator:
            raise ValueError("--topology and --accelerator say the same: give one of them")
        if self.bundle and not self.bundle.startswith("gs://"):
            raise ValueError(f"--bundle is {self.bundle!r}; expected gs://BUCKET/FOLDER")
        if self.spot and self.reserved:
            raise ValueError("--spot and --reserved exclude one another")

    def hardware(self) -> Hardware:
        """Hosts of slices, which share no disk."""
        return Hardware(self.parsed_topology(), self.check, self.price, shared_disk=False)

    def parsed_topology(self) -> Topology:
        """Of the slices; ValueError for an unknown name."""
        return hardware.parse(self.topology or self.accelerator, self.slices)

    def missing(self) -> tuple[str, ...]:
        """Nothing has to be given."""
        return ()

    def start(self, name: str, jobs: Sequence[Job], *, dry_run: bool) -> int:
        """Runs the jobs to their end, each on machines of its own; the first failure's code."""
        launch = names.job_name(name)
        if dry_run:
            for job in jobs:
                print("\n".join(self._rendered(job, launch)))
            return 0
        bundle.source_root()
        programs.check_installed("gcloud")

        def run(job: Job, stop: Stop) -> int:
            return Run(self, job, launch, stop).to_the_end()

        return fan_out.run(name, jobs, run, at_once=self.at_once)

    def status(self, name: str) -> int:
        """Prints the resources of a launch, or of all, and of one launch its hosts."""
        place = self.place()
        print(programs.output_of(place.listing(name)), end="")
        for job in self._active(name) if name else ():
            print(programs.output_of(place.ssh(job, tpu_host.command(job, "state"))), end="")
        return 0

    def logs(self, name: str, *, worker: int, follow: bool) -> int:
        """Prints the log of one host: live while the machines are there, else what was kept."""
        per_slice = None if not (self.topology or self.accelerator) else self.parsed_topology()
        node, index = divmod(worker, hardware.hosts(per_slice)) if per_slice else (0, worker)
        kept = FOLDER / name / f"worker_{worker}.log"
        active = self._active(name)
        if len(active) > 1:
            raise ValueError(
                f"{name} has several jobs with machines: logs of {' or '.join(active)}?"
            )
        if not active:
            if not kept.exists():
                raise ValueError(f"{name} has no machines now, and {kept} does not exist")
            print(kept.read_text(errors="replace"), end="")
            return 0
        (job,) = active
        command = f"tail -n +1 {'-F ' if follow else ''}{tpu_host.folder(job)}/log"
        return programs.show(self.place().ssh(job, command, node=str(node), worker=str(index)))

    def stop(self, name: str) -> int:
        """Asks the jobs of a launch to save and end, collects nothing, gives the machines back.

        Raises:
            ValueError: With the machines that were not given back, after all others were.
        """
        states = self.place().states(name)
        if not states:
            print(f"{name} has no machines")
            return 0
        with concurrent.futures.ThreadPoolExecutor(_STOPPED_AT_ONCE) as pool:
            failures = [text for text in pool.map(self._stop, states, states.values()) if text]
        if failures:
            raise ValueError("; ".join(failures))
        return 0

    def _stop(self, job: str, state: str) -> str:
        """Why the machines of a job were not given back; empty if they were."""
        place = self.place()
        if state == gcloud.ACTIVE:
            try:
                stop = tpu_host.command(job, f"stop {self.grace:.0f}")
                seconds = programs.LOOK_UP_SECONDS + self.grace
                programs.output_of(place.ssh(job, stop), seconds=seconds)
            except programs.ProgramError as error:
                print(f"warning: hosts of {job} were not told to save: {error}", file=sys.stderr)
        try:
            programs.output_of(place.delete(job), seconds=programs.WORK_SECONDS)
        except programs.ProgramError as error:
            return f"the machines of {job} were not given back: {error}"
        print(f"{job} ended; its machines are given back")
        return ""

    def _active(self, name: str) -> list[str]:
        """Jobs of a launch that have machines."""
        states = self.place().states(name)
        return [job for job, state in states.items() if state == gcloud.ACTIVE]

    def place(self) -> gcloud.Place:
        """Where the machines are."""
        return gcloud.Place(self.project, self.zone, self.internal_ips)

    def create_command(self, name: str, launch: str) -> list[str]:
        """Asks for the machines."""
        topology = self.parsed_topology()
        machine = hardware.MACHINES[topology.chip.name]
        options: dict[str, str | bool] = {
            "runtime-version": self.runtime_version or machine.runtime,
            "spot": self.spot,
            "reserved": self.reserved,
            "valid-until-duration": self.valid_until,
            "network": self.network,
            "subnetwork": self.subnetwork,
            "service-account": self.service_account,
        }
        return self.place().create(name, launch, topology, options)

    def variables(self) -> dict[str, str]:
        """Of the environment of every host."""
        topology = self.parsed_topology()
        several = hardware.hosts(topology) * topology.slices > 1
        own = {"PYTHONUNBUFFERED": "1", **({DISTRIBUTED: "auto"} if several else {})}
        return own | names.variables(self.env)

    def _rendered(self, job: Job, launch: str) -> list[str]:
        name, place = names.job_name(job.name), self.place()
        if job.alone:
            here = [shlex.join(fan_out.here(command)) for command in job.commands]
            return [f"# on this machine: {command}" for command in here]
        commands = [
            self.create_command(name, launch),
            place.describe(name, "state.state"),
            place.ssh(name, tpu_host.command_if_sent(name, "state")),
            *send_commands(place, name, tpu_host.archive_name(name), self.bundle),
            place.ssh(name, tpu_host.command(name, "start")),
            place.ssh(name, tpu_host.command(name, "state")),
            place.ssh(name, tpu_host.log_command(name), node="0", worker="0"),
            place.delete(name),
        ]
        script = job_script(job, self.variables()).rstrip().replace("\n", "\n#   ")
        return [
            f"# {name}: the tree goes to ~/{tpu_host.folder(name)}/source, beside it job.sh:",
            f"#   {script}",
            *map(shlex.join, commands),
        ]
