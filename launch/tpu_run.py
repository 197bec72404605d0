"""A job on TPU VMs, from asking for machines until they are given back.

The machines run the job by themselves (`worker.sh`); this program watches, has a job begin anew
that crashed, and asks for other machines when these were taken back. It may be ended and begun
again: the same command goes on with what is there.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mm15_jax.config.jobs import Job
from mm15_jax.data.progress import duration
from mm15_jax.launch import bundle, fan_out, gcloud, hardware, names, programs, tpu_host
from mm15_jax.launch.patience import Patience, last_line, may_pass
from mm15_jax.launch.stopping import Stop, StopRequestedError

if TYPE_CHECKING:
    from mm15_jax.launch.tpu_vm import TpuVm

POLL_SECONDS = 30.0
_LOGS_AT_ONCE = 8
_LOG_TRIES = 3
_TRIES = 10  # of reaching machines that have just come up
OTHER_JOB = 3  # exit code of worker.sh where it runs another job already


def job_script(job: Job, variables: Mapping[str, str]) -> str:
    """What every host runs, in the source tree, with the environment that was set up."""
    root = bundle.source_root()
    lines = [f"export {key}={shlex.quote(value)}" for key, value in variables.items()]
    commands = [[bundle.relative(word, root) for word in command] for command in job.commands]
    steps = [shlex.join(["../venv/bin/mm15", *command]) for command in commands]
    return "\n".join([*lines, "cd source", " &&\n".join(steps)]) + "\n"


def send_commands(place: gcloud.Place, name: str, file: str, bucket: str) -> list[list[str]]:
    """Brings the archive to every host; the last one sets up the environment there."""
    archive, unpack = tpu_host.archive_name(name), tpu_host.unpack_command(name)
    if not bucket:
        return [place.scp(file, name), place.ssh(name, unpack)]
    address = f"{bucket.rstrip('/')}/{archive}"
    fetch = f"gcloud storage cp --quiet {shlex.quote(address)} {archive}"
    copy = ["gcloud", "storage", "cp", file, address, "--quiet"]
    return [copy, place.ssh(name, f"{fetch} && {unpack}")]


class Run:
    """One job, until it has ended."""

    def __init__(self, options: TpuVm, job: Job, launch: str, stop: Stop):
        self._options, self._job, self._launch, self._stop = options, job, launch, stop
        self._name, self._place = names.job_name(job.name), options.place()
        self._crashes = 0
        self._cloud = Patience(self._name, self._paid_for("machines that it has"))
        self._hosts = Patience(self._name, self._paid_for())
        self._requests = Patience(self._name, "no machines were made")

    def to_the_end(self) -> int:
        """The exit code of the job, or 128 + the signal by which this program was asked to stop."""
        try:
            while (code := self._on_machines()) is None:
                self._tell("the machines were taken back; asking for others")
                self._delete()
            self._collect_logs()
            if self._options.keep:
                self._tell(self._paid_for())
            else:
                self._delete()
            return code
        except StopRequestedError:
            stays = self._paid_for("machines that it has")
            self._tell(f"the same command watches it again; {stays}")
            return self._stop.exit_code

    def _on_machines(self) -> int | None:
        """From asking for machines to the job's end; None if they were taken back."""
        self._get_machines()
        return self._watch() if self._begin() else None

    def _state(self) -> str | None:
        """Of the resource; None where that cannot be known now, for a time."""
        return self._cloud.ask(lambda: self._place.state(self._name, self._stop))

    def _taken_back(self) -> bool:
        """Whether the machines are known to be preempted; ValueError if somebody deleted them."""
        state = self._state()
        if state in (gcloud.GONE, gcloud.DELETING):
            raise self._deleted()
        return state in gcloud.TAKEN

    def _get_machines(self) -> None:
        """Asks for machines if there are none, and waits for them."""
        began, asked = time.monotonic(), False
        while (state := self._state()) != gcloud.ACTIVE:
            if state in gcloud.TAKEN:
                self._delete()
                asked = False
                continue
            if state == gcloud.GONE and not asked:
                asked = self._ask_for_machines()
                continue
            asked = asked or state in gcloud.WAITING
            if state is not None:
                of_earlier = state == gcloud.DELETING and not asked
                if state not in gcloud.WAITING and not of_earlier:
                    raise self._without_machines(state)
                since = duration(time.monotonic() - began)
                self._tell(f"{state.lower().replace('_', ' ')}, {since}")
            self._stop.pause(POLL_SECONDS)

    def _ask_for_machines(self) -> bool:
        """False if that failed, and it cannot be known whether they were asked for."""
        self._tell(f"asking for {self._options.parsed_topology()}")
        try:
            self._output_of(self._options.create_command(self._name, self._launch))
        except programs.ProgramError as error:
            state = self._state()  # a request may arrive though its answer does not
            if state == gcloud.GONE:
                if not may_pass(error):
                    raise
                self._requests.failed(error)
                self._stop.pause(POLL_SECONDS)
                return False
            self._tell(f"not known to be asked for: {last_line(error.said)}")
            return state is not None
        self._requests.answered()
        return True

    def _deleted(self) -> ValueError:
        text = f"the machines of {self._name} were deleted from outside"
        return fan_out.EndedFromOutsideError(text)

    def _without_machines(self, state: str) -> ValueError:
        """Why there are no machines; gives a request back that failed."""
        if state in (gcloud.GONE, gcloud.DELETING):
            return self._deleted()
        try:
            field = "state.failedData.error.message"
            why = self._output_of(self._place.describe(self._name, field)).strip()
        except programs.ProgramError as error:
            why = last_line(error.said)
        if state == gcloud.FAILED:
            self._delete()
        return ValueError(f"no machines for {self._name}: {state} {why}".rstrip())

    def _begin(self) -> bool:
        """Has every host run the job; False if the machines were taken back meanwhile."""
        script = job_script(self._job, self._options.variables())
        worker = (Path(__file__).parent / "worker.sh").read_text()
        files = {"job.sh": script, "worker.sh": worker}
        archive = bundle.archive(bundle.source_root(), files)
        job = hashlib.sha256(script.encode()).hexdigest()
        wanted = tpu_host.Began.of(job, archive.tree)
        for attempt in range(_TRIES):
            try:
                if self._is_to_begin(wanted):
                    self._send(archive)
                    self._tell_workers("start")
                return True
            except programs.ProgramError as error:
                if self._taken_back():
                    return False
                # A new machine may not take connections yet; another job does not go away.
                if error.code == OTHER_JOB or attempt == _TRIES - 1:
                    raise ValueError(f"{last_line(error.said)}; {self._paid_for()}") from None
                self._tell(f"not yet: {last_line(error.said)}")
                self._stop.pause(POLL_SECONDS)
        raise AssertionError("unreachable")

    def _is_to_begin(self, wanted: tpu_host.Began) -> bool:
        """Whether the hosts do not run the job, nor have its answer; clears what they run then."""
        asked = tpu_host.command_if_sent(self._name, "state")
        hosts = tpu_host.said(self._tell_hosts(asked))
        try:
            begin = tpu_host.is_to_begin(hosts, wanted)
        except ValueError as error:
            raise ValueError(f"{error}; {self._paid_for()}") from None
        earlier = tpu_host.is_in_the_way(hosts, wanted)
        if not begin and earlier and any(host.state == tpu_host.RUNNING for host in hosts):
            self._tell("it goes on with the code that it began with; the tree has changed since")
        if begin and earlier:
            self._tell("the tree or the command has changed since it was begun: it begins anew")
            self._clear()
        return begin

    def _send(self, archive: bundle.Archive) -> None:
        self._tell("sending the working tree, setting up the environment")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / tpu_host.archive_name(self._name)
            path.write_bytes(archive.content)
            *send, set_up = send_commands(self._place, self._name, str(path), self._options.bundle)
            for command in send:
                self._output_of(command, programs.WORK_SECONDS)
            self._of_all_hosts(set_up, programs.WORK_SECONDS)

    def _watch(self) -> int | None:
        """Until every host has ended, or one of them for good; None if the machines are gone."""
        while True:
            try:
                code = self._look()
                self._hosts.answered()
            except programs.ProgramError as error:
                if self._taken_back():
                    return None
                self._hosts.failed(error)
                code = None
            if code is not None:
                return code
            self._stop.pause(POLL_SECONDS)

    def _look(self) -> int | None:
        """The job's exit code once it has ended for good; has it begin anew after a crash."""
        text = self._tell_workers("state")
        hosts = tpu_host.said(text)
        states = [host.state for host in hosts]
        self._tell(tpu_host.progress(text) or f"{states.count(tpu_host.RUNNING)} hosts run")
        if tpu_host.STOPPED in states:
            self._tell("was stopped")
            return fan_out.STOPPED
        code = tpu_host.verdict(hosts)
        if code is None or code < 127 or self._crashes >= self._options.max_restarts:
            return code
        self._crashes += 1
        self._tell(f"ended with {code}; begins anew, number {self._crashes}")
        self._clear()
        self._tell_workers("restart")
        return None

    def _paid_for(self, what: str = "its machines") -> str:
        return f"{what} are paid for until mm15 launch tpu-vm stop {self._name}"

    def _tell_workers(self, words: str) -> str:
        return self._tell_hosts(tpu_host.command(self._name, words))

    def _clear(self) -> None:
        grace = self._options.grace
        self._tell_hosts(tpu_host.command_if_sent(self._name, f"clear {grace:.0f}"), grace)

    def _tell_hosts(self, command: str, grace: float = 0.0) -> str:
        words = self._place.ssh(self._name, command)
        return self._of_all_hosts(words, programs.LOOK_UP_SECONDS + grace)

    def _of_all_hosts(self, words: Sequence[str], seconds: float) -> str:
        """What hosts print; ProgramError unless all did, for gcloud leaves out silently some."""
        text = self._output_of(words, seconds)
        topology = self._options.parsed_topology()
        wanted, found = hardware.hosts(topology) * topology.slices, len(tpu_host.said(text))
        if found != wanted:
            said = f"{found} of {wanted} hosts answered"
            raise programs.ProgramError(said, 0, said)
        return text

    def _collect_logs(self) -> None:
        """Every host's log, into the launch's folder."""
        topology = self._options.parsed_topology()
        per_slice = hardware.hosts(topology)
        folder = fan_out.FOLDER / self._name
        folder.mkdir(parents=True, exist_ok=True)

        def collect(worker: int) -> bool:
            node, index = divmod(worker, per_slice)
            command = tpu_host.log_command(self._name)
            words = self._place.ssh(self._name, command, node=str(node), worker=str(index))
            text, whole = self._log(words)
            (folder / f"worker_{worker}.log").write_text(text)
            return whole

        with concurrent.futures.ThreadPoolExecutor(_LOGS_AT_ONCE) as pool:
            collected = list(pool.map(collect, range(per_slice * topology.slices)))
        absent = (
            f"; of {collected.count(False)} hosts they say why not" if not all(collected) else ""
        )
        self._tell(f"logs are in {folder}/{absent}")

    def _log(self, words: Sequence[str]) -> tuple[str, bool]:
        """A host's log, or why there is none, and which; a host that is left out is asked again."""
        for _ in range(_LOG_TRIES):
            try:
                found = self._output_of(words, programs.WORK_SECONDS)
            except programs.ProgramError as error:
                return f"not collected: {error}\n", False
            text, end, _ = found.rpartition(tpu_host.LOG_ENDS)
            if end:
                return text, True
        return f"not collected: the host was left out {_LOG_TRIES} times\n", False

    def _delete(self) -> None:
        """Gives the machines back; ValueError if that is not known to be done."""
        patience = Patience(self._name, self._paid_for())
        while True:
            try:
                self._output_of(self._place.delete(self._name), programs.WORK_SECONDS)
                return
            except programs.ProgramError as error:
                if self._state() in (gcloud.GONE, gcloud.DELETING):
                    return
                patience.failed(error)
            self._stop.pause(POLL_SECONDS)

    def _output_of(self, words: Sequence[str], seconds: float = programs.LOOK_UP_SECONDS) -> str:
        return programs.output_of(words, seconds=seconds, stop=self._stop)

    def _tell(self, text: str) -> None:
        print(f"{self._name}: {text}", file=sys.stderr, flush=True)
