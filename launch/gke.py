"""GKE: a JobSet a job by kubectl, or the same as a workload of XPK."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from mm15_jax.config.jobs import Job
from mm15_jax.launch import fan_out, hardware, manifest, names, programs
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
from mm15_jax.launch.patience import Patience, last_line
from mm15_jax.launch.stopping import Stop, StopRequestedError
from mm15_jax.parallel.environment import DISTRIBUTED
from mm15_jax.plan.topology import Topology

_POLL_SECONDS = 30.0
_KEPT_SECONDS = 12 * 3600  # of finished workloads, as XPK has it
_JOBSETS = "jobsets.jobset.x-k8s.io"
_WORKLOADS = "workloads.json"  # names of a launch's jobs on XPK


@dataclass(frozen=True)
class Gke:
    """A cluster with JobSet installed, and what a job has on it."""

    topology: str = TOPOLOGY
    slices: int = SLICES
    check: str = CHECK
    price: float = PRICE
    image: str = option("", "container image, with mm15 in it (docker/tpu.Dockerfile)")
    namespace: str = option("default", "of Kubernetes")
    context: str = option("", "of kubectl; the current one where not given")
    queue: str = option("", "Kueue's LocalQueue that admits the job")
    priority_class: str = option("", "of Kubernetes; for XPK: very-low to very-high")
    kubernetes_service_account: str = option("", "that may read and write the buckets")
    secret: tuple[str, ...] = option((), "Kubernetes secret as variables; may be repeated")
    spot: bool = SPOT
    reservation: str = option("", "name of the reservation whose machines are used")
    privileged: bool = option(False, "privileged containers, for GKE before 1.28")
    xpk: bool = option(False, "as a workload of XPK, on a cluster that XPK made")
    cluster: str = option("", "with --xpk: the cluster's name")
    project: str = PROJECT
    zone: str = ZONE
    grace: float = GRACE
    max_restarts: int = MAX_RESTARTS
    at_once: int = AT_ONCE
    env: tuple[str, ...] = ENVIRONMENT

    def __post_init__(self):
        if self.xpk and (self.secret or self.kubernetes_service_account or self.queue):
            raise ValueError(
                "XPK has a queue and a service account of its own, and takes no secrets: leave out "
                "--queue, --kubernetes_service_account and --secret"
            )

    def hardware(self) -> Hardware:
        """Hosts of a slice, which share no disk."""
        topology = self.parsed_topology()
        return Hardware(topology, self.check, self.price, shared_disk=False, only_image=True)

    def parsed_topology(self) -> Topology:
        """Of the slices; ValueError for an unknown name."""
        return hardware.parse(self.topology, self.slices)

    def missing(self) -> tuple[str, ...]:
        """Options without which nothing can be sent."""
        found = []
        if not self.image:
            found.append("no image: --image, built from docker/tpu.Dockerfile (docs/cloud.md)")
        if self.xpk and not self.cluster:
            found.append("XPK is not told its cluster: --cluster NAME")
        return tuple(found)

    def start(self, name: str, jobs: Sequence[Job], *, dry_run: bool) -> int:
        """Submits a job and returns; several jobs are followed until all have ended."""
        launch = names.job_name(name)
        if dry_run:
            print("---\n".join(self.rendered(job, launch) for job in jobs), end="")
            return 0
        if len(jobs) == 1:
            self._submit(jobs[0], launch)
            print(f"mm15 launch gke status {launch} tells how it goes", file=sys.stderr)
            return 0
        if self.xpk:
            (FOLDER / launch).mkdir(parents=True, exist_ok=True)
            workloads = [names.job_name(job.name) for job in jobs if not job.alone]
            (FOLDER / launch / _WORKLOADS).write_text(json.dumps(workloads))

        def run(job: Job, stop: Stop) -> int:
            return self._run(job, launch, stop)

        return fan_out.run(name, jobs, run, at_once=self.at_once)

    def rendered(self, job: Job, launch: str) -> str:
        """What is sent: a manifest for kubectl, or XPK's command line."""
        if job.alone:
            commands = [shlex.join(fan_out.here(command)) for command in job.commands]
            return "".join(f"# on this machine: {command}\n" for command in commands)
        if self.xpk:
            return shlex.join(self._xpk_create(job)) + "\n"
        variables = {**self._variables(), "MM15_CACHE": manifest.CACHE_FOLDER}
        content = manifest.jobset(job, launch, self, variables)
        return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000)

    def status(self, name: str) -> int:
        """Prints the JobSets of a launch, or a job's, or all, and the pods."""
        try:
            found = self._xpk_table(name) if self.xpk else self._table(name)
        except programs.ProgramError as error:
            program = "xpk" if self.xpk else "kubectl"
            raise ValueError(f"{program} says: {last_line(error.said)}") from None
        print(found.rstrip() or f"no jobs{f' of {name}' if name else ''}")
        return 0

    def logs(self, name: str, *, worker: int, follow: bool) -> int:
        """Prints the log of one host of the first slice."""
        selector = f"jobset.sigs.k8s.io/jobset-name={name},jobset.sigs.k8s.io/job-index=0"
        selector += f",batch.kubernetes.io/job-completion-index={worker}"
        words = ["logs", "--selector", selector, "--tail=-1"]
        words += [] if self.xpk else ["--container", manifest.CONTAINER]
        return programs.show(self._kubectl(*words, *(["--follow"] if follow else [])))

    def stop(self, name: str) -> int:
        """Deletes a launch's JobSets, or a job's; the pods have their grace time to save."""
        if self.xpk:
            rows = self._xpk_table(name).splitlines()
            delete = [[*self._xpk("delete"), "--workload", row.split()[0]] for row in rows]
        else:
            by_launch = ("--selector", f"{manifest.LAUNCH_LABEL}={name}")
            by_name = (name, "--ignore-not-found")
            found = self._get(_JOBSETS, *by_launch, "--output=name").split()
            found = found or self._get(_JOBSETS, *by_name, "--output=name").split()
            delete = [self._kubectl("delete", *found, "--cascade=foreground")] if found else []
        if not delete:
            print(f"the cluster has no job of {name}")
        codes = [programs.show(words) for words in delete]
        return next((code for code in codes if code), 0)

    def _get(self, *words: str) -> str:
        return programs.output_of(self._kubectl("get", *words))

    def _table(self, name: str) -> str:
        """JobSets and pods of a launch, of the job so named, or of all."""
        selector = ",".join(f"{key}={value}" for key, value in manifest.OURS.items())
        selector += f",{manifest.LAUNCH_LABEL}={name}" if name else ""
        found = self._get(f"{_JOBSETS},pods", "--selector", selector)
        if found.strip() or not name:
            return found
        pods = ("--selector", f"jobset.sigs.k8s.io/jobset-name={name}")
        return self._get(_JOBSETS, name, "--ignore-not-found") + self._get("pods", *pods)

    def _xpk_table(self, name: str) -> str:
        """Rows of XPK's workloads of a launch, or of the job so named; all that it says of all.

        XPK's workloads have no label of ours: those of several jobs are known where they were
        launched.
        """
        found = programs.output_of(self._xpk("list"))
        if not name:
            return found
        path = FOLDER / name / _WORKLOADS
        jobs = json.loads(path.read_text()) if path.exists() else [name]
        rows = [line for line in found.splitlines() if set(line.split()[:1]) & set(jobs)]
        return "\n".join(rows)

    def _submit(self, job: Job, launch: str, stop: Stop | None = None) -> None:
        if self.xpk:
            if code := programs.show(self._xpk_create(job)):
                raise ValueError(f"xpk ended with {code}")
            return
        words = self._kubectl("create", "--filename", "-")
        made = programs.output_of(words, text=self.rendered(job, launch), stop=stop)
        print(made.strip())

    def _run(self, job: Job, launch: str, stop: Stop) -> int:
        """Submits a job unless it is there, and waits for its end; asked to stop, leaves it."""
        try:
            return self._followed(job, launch, stop)
        except StopRequestedError:
            name = names.job_name(job.name)
            print(f"{name} goes on; mm15 launch gke stop {launch} ends it", file=sys.stderr)
            return stop.exit_code

    def _followed(self, job: Job, launch: str, stop: Stop) -> int:
        name, there = names.job_name(job.name), False
        stays = (
            f"if {name} is there, it goes on and is paid for; mm15 launch gke stop {launch} ends it"
        )
        patience = Patience(name, stays)

        def state() -> str | None:
            return patience.ask(lambda: self._state(name, stop))

        while (found := state()) != "Completed":
            if found == "Failed" and there:
                return 1
            if found == "" and there:
                raise fan_out.EndedFromOutsideError(f"the JobSet {name} was deleted")
            if found in ("", "Failed"):  # the failure is of an earlier launch
                try:
                    self._submit_anew(job, launch, found, stop)
                    there = True
                except programs.ProgramError:
                    if state() in ("", "Failed"):
                        raise
            there = there or found == "Running"
            stop.pause(_POLL_SECONDS)
        return 0

    def _submit_anew(self, job: Job, launch: str, earlier: str, stop: Stop) -> None:
        if earlier:
            words = ["delete", _JOBSETS, names.job_name(job.name), "--cascade=foreground"]
            programs.output_of(self._kubectl(*words), seconds=programs.WORK_SECONDS, stop=stop)
        self._submit(job, launch, stop)

    def _state(self, name: str, stop: Stop) -> str:
        """Of a JobSet: its terminal state, else "Running"; empty where there is none."""
        words = self._kubectl("get", _JOBSETS, name, "--ignore-not-found", "--output=json")
        text = programs.output_of(words, stop=stop)
        if not text.strip():
            return ""
        return json.loads(text).get("status", {}).get("terminalState") or "Running"

    def _variables(self) -> dict[str, str]:
        own = {DISTRIBUTED: "auto", "PYTHONUNBUFFERED": "1"}
        return own | names.variables(self.env)

    def _kubectl(self, *words: str) -> list[str]:
        where = ["--context", self.context] if self.context else []
        return ["kubectl", *where, "--namespace", self.namespace, *words]

    def _xpk(self, verb: str) -> list[str]:
        words = ["xpk", "workload", verb, "--cluster", self.cluster or "CLUSTER"]
        for key in ("project", "zone"):
            words += [f"--{key}", getattr(self, key)] if getattr(self, key) else []
        return words

    def _xpk_create(self, job: Job) -> list[str]:
        topology = self.parsed_topology()
        words = [*self._xpk("create"), "--workload", names.job_name(job.name)]
        words += ["--tpu-type", hardware.accelerator_type(topology)]
        words += ["--num-slices", str(topology.slices)]
        words += ["--docker-image", self.image or "IMAGE"]
        words += ["--max-restarts", str(self.max_restarts)]
        words += ["--termination-grace-period-seconds", f"{self.grace:.0f}"]
        words += ["--ttl-seconds-after-finished", str(_KEPT_SECONDS)]
        words += ["--priority", self.priority_class] if self.priority_class else []
        words += ["--spot"] if self.spot else []
        words += ["--reservation", self.reservation] if self.reservation else []
        # XPK takes a single --env.
        assignments = [f"{key}={shlex.quote(value)}" for key, value in self._variables().items()]
        commands = manifest.shell(job, first=False)  # XPK starts them from a script of its own
        script = f"export {' '.join(assignments)}; {commands}"
        return [*words, "--command", script]


class _Dumper(yaml.SafeDumper):
    """Lists of numbers on one line, no references; text of several lines as a block."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _list(dumper: _Dumper, data: list) -> yaml.Node:
    numbers = bool(data) and all(isinstance(item, int) for item in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=numbers)


def _text(dumper: _Dumper, data: str) -> yaml.Node:
    style = "|" if "\n" in data else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(list, _list)
_Dumper.add_representer(str, _text)
