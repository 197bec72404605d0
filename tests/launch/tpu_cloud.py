"""A cloud of TPU VMs that a test plays, in the place of gcloud: resources, and hosts as folders."""

import os
import pathlib
import re
import shutil
import subprocess
import threading

from mm15_jax.cli import main
from mm15_jax.launch import programs
from tests.launch import tpu_hosts

TRAIN = "train mm15_nano_sft --run_dir gs://b/run --data_dir gs://b/data --set train.batch_rows=32"
ONE_HOST = "--topology v5e:2x2 --check=estimate"
TWO_HOSTS = "--topology v5e:2x2 --slices 2 --check=estimate"
UNREACHABLE = "Failed to resolve 'tpu.googleapis.com' (host not found) at 0x7f404a"


class Cloud:
    """Answers gcloud's commands: resources with states that a test lists, hosts as folders.

    Attributes:
        states: Of each resource that is made, one list after the other; the last state stays.
        codes: With which the runs of a host end, one after the other.
        host_codes: The same of each host, where they differ.
        silent: How often a command to the hosts reaches none, as gcloud does without an error.
        outage: How many commands of all kinds fail, one after the other.
        hangs: Commands that hold this do not end by themselves.
        hanging: Whether one does.
        patience: Seconds after which a command is ended, by its last words.
        verbs: What was asked for.
    """

    def __init__(self, folder):
        self.states = [["WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE"]]
        self.codes: list = [0]
        self.host_codes: list[list] = []
        self.silent = 0
        self.outage = 0
        self.hangs, self.hanging = "nothing", threading.Event()
        self.patience: dict[str, float] = {}
        self.verbs: list[str] = []
        self.folder = folder
        self.environment = {**os.environ, **tpu_hosts.programs(folder / "programs")}
        self.left: list[str] | None = None
        self.hosts: list[pathlib.Path] = []
        self.made = 0
        self.name, self.label = "", ""

    def answer(self, words, *, text="", seconds=programs.LOOK_UP_SECONDS, stop=None):
        while stop is not None and any(self.hangs in word for word in words):
            self.hanging.set()
            stop.pause(0.02)
        assert words[:4] == ["gcloud", "compute", "tpus", "queued-resources"], words
        verb, *rest = words[4:]
        self.verbs.append(verb)
        if self.outage:
            self.outage -= 1
            raise programs.ProgramError("no", 1, UNREACHABLE)
        command = next((w for w in rest if w.startswith("--command=")), verb)
        self.patience[" ".join(command.split()[-2:])] = seconds
        flags = dict(re.findall(r"--([-\w]+)=(.*)", "\n".join(rest), re.MULTILINE))
        return getattr(self, verb)(rest, flags)

    def create(self, rest, flags):
        assert self.left is None, "made twice"
        self.left = list(self.states.pop(0))
        self.name, self.label = rest[0], flags["labels"]
        count = int(flags.get("node-count", 1))
        self.hosts = [self.folder / f"machines{self.made}" / f"host{i}" for i in range(count)]
        self.made += 1
        for host, codes in zip(self.hosts, self.host_codes or [self.codes] * count, strict=True):
            tpu_hosts.prepare(host, codes)
        return ""

    def describe(self, rest, flags):
        if self.left is None or rest[0] != self.name:
            raise programs.ProgramError("no", 1, f"NOT_FOUND: {rest[0]} was not found")
        if "error" in rest[1]:
            return "no capacity\n"
        if len(self.left) > 1:
            return self.left.pop(0) + "\n"
        return self.left[0] + "\n"

    def list(self, rest, flags):
        there = self.left is not None and flags["filter"].endswith(f".{self.label}")
        return f"{self.name}\t{self.left[0]}\n" if there else ""

    def delete(self, rest, flags):
        self.left = None
        return ""

    def scp(self, rest, flags):
        for host in self.hosts:
            shutil.copy(rest[0], host)
        return ""

    def ssh(self, rest, flags):
        if self.left is None or self.left[0] != "ACTIVE":
            raise programs.ProgramError("down", 255, "connection refused")
        if self.silent:
            self.silent -= 1
            return ""
        hosts = self.hosts if flags["worker"] == "all" else [self.hosts[int(flags["node"])]]
        command = next(w for w in rest if w.startswith("--command=")).removeprefix("--command=")
        out = ""
        for host in hosts:
            environment = {**self.environment, "HOME": str(host)}
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=host,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            out += done.stdout
            if done.returncode:
                said = done.stderr.strip()
                raise programs.ProgramError(said, done.returncode, said)
        return out


def launch(words, *, name="job") -> int:
    """The exit code of a training's launch."""
    return main.main(["launch", "tpu-vm", "--name", name, *words.split(), "--", *TRAIN.split()])


def stop_training(pid: pathlib.Path) -> None:
    """Asks the training alone, as the preemption of a host would."""
    group = pid.read_text().strip()
    subprocess.run(["pkill", "-TERM", "-g", group, "-f", "mm15 train"], check=True)
