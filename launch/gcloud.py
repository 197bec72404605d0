"""Command lines of gcloud for queued resources of TPU VMs, and what they answer.

As `gcloud compute tpus queued-resources --help` has them (Google Cloud CLI 528).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mm15_jax.launch import hardware, programs
from mm15_jax.launch.stopping import Stop
from mm15_jax.plan.topology import Topology

_TPUS = ("gcloud", "compute", "tpus", "queued-resources")
LABEL = "mm15"  # of what we made; its value is the launch
# States of a queued resource (tpu/v2 QueuedResourceState).
WAITING = ("CREATING", "ACCEPTED", "PROVISIONING", "WAITING_FOR_RESOURCES")
ACTIVE = "ACTIVE"
TAKEN = ("SUSPENDING", "SUSPENDED")
FAILED = "FAILED"
DELETING = "DELETING"
GONE = ""
# A failed look-up may have "not found" of a server in it, and 404 in an address of memory.
_ABSENT = r"\bNOT_FOUND\b|\b404\b"


@dataclass(frozen=True)
class Place:
    """Where resources are, and how their machines are reached."""

    project: str = ""
    zone: str = ""
    internal_ips: bool = False

    def create(
        self, name: str, launch: str, topology: Topology, options: dict[str, str | bool]
    ) -> list[str]:
        """Asks for one or several slices."""
        nodes = [f"--node-id={name}"]
        if topology.slices > 1:
            nodes = [f"--node-count={topology.slices}", f"--node-prefix={name}"]
        words = [*_TPUS, "create", name, *nodes]
        words.append(f"--accelerator-type={hardware.accelerator_type(topology)}")
        words.append(f"--labels={LABEL}={launch}")
        words += ["--internal-ips"] if self.internal_ips else []
        for key, value in options.items():
            if value:
                words.append(f"--{key}" if value is True else f"--{key}={value}")
        return self._there(words)

    def describe(self, name: str, field: str) -> list[str]:
        """One field of a resource."""
        return self._there([*_TPUS, "describe", name, f"--format=value({field})"])

    def listing(self, launch: str = "") -> list[str]:
        """A table of what we made."""
        wanted = f"={launch}" if launch else ":*"
        columns = "name.basename(),state.state,tpu.nodeSpec[0].node.acceleratorType,createTime"
        return self._list(wanted, f"table({columns})")

    def delete(self, name: str) -> list[str]:
        """Gives the machines back."""
        return self._there([*_TPUS, "delete", name, "--force"])

    def ssh(self, name: str, command: str, *, node: str = "all", worker: str = "all") -> list[str]:
        """Runs a command on hosts."""
        words = [*_TPUS, "ssh", name, f"--node={node}", f"--worker={worker}"]
        return self._there([*words, *self._tunnel(), f"--command={command}"])

    def scp(self, file: str, name: str) -> list[str]:
        """Sends a file to the home directories of all hosts."""
        words = [*_TPUS, "scp", file, f"{name}:", "--node=all", "--worker=all"]
        return self._there([*words, *self._tunnel()])

    def state(self, name: str, stop: Stop | None = None) -> str:
        """Of a resource; GONE where there is none."""
        try:
            return programs.output_of(self.describe(name, "state.state"), stop=stop).strip()
        except programs.ProgramError as error:
            if re.search(_ABSENT, error.said):
                return GONE
            raise

    def states(self, launch: str) -> dict[str, str]:
        """Of the resources of a launch, which are named like its jobs; or of the one so named."""
        words = self._list(f"={launch}", "value(name.basename(),state.state)")
        rows = (line.partition("\t") for line in programs.output_of(words).splitlines())
        if found := {name: state for name, _, state in rows}:
            return found
        state = self.state(launch)
        return {launch: state} if state != GONE else {}

    def _list(self, wanted: str, form: str) -> list[str]:
        filters = f"--filter=tpu.nodeSpec.node.labels.{LABEL}{wanted}"
        return self._there([*_TPUS, "list", filters, f"--format={form}"])

    def _tunnel(self) -> list[str]:
        return ["--tunnel-through-iap"] if self.internal_ips else []

    def _there(self, words: list[str]) -> list[str]:
        words = [*words, "--quiet"]
        words += [f"--zone={self.zone}"] if self.zone else []
        return [*words, f"--project={self.project}"] if self.project else words
