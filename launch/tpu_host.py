"""Hosts of TPU VMs: what they are told over SSH, what they say, and what is to be done of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ABSENT, RUNNING, STOPPED, ENDED = "absent", "running", "stopped", "ended"
LOG_ENDS = "mm15-log-ends"  # after a log: without it gcloud left the host out, with exit code 0
_DIGITS = 12  # of a digest
_LINE = re.compile(
    r"^mm15-host \S+ (\w+)(?: (\d+))?(?: job=([0-9a-f]+) tree=([0-9a-f]+))?$", re.MULTILINE
)


@dataclass(frozen=True)
class Began:
    """What a host began: the job's script and the working tree, by their digests' first digits."""

    job: str = ""
    tree: str = ""

    @classmethod
    def of(cls, job: str, tree: str) -> Began:
        """From whole digests."""
        return cls(job[:_DIGITS], tree[:_DIGITS])


@dataclass(frozen=True)
class Host:
    """What a host says of itself; the exit code is of what has ended."""

    state: str
    code: int = 0
    began: Began = Began()


def said(text: str) -> list[Host]:
    """The hosts in what a command for all of them prints, each once."""
    found = _LINE.findall(text)
    return [Host(state, int(code or 0), Began(job, tree)) for state, code, job, tree in found]


def progress(text: str) -> str:
    """The last line of a log that tells how far the training is."""
    found = re.findall(r"^mm15-log (.*eta.*)$", text, re.MULTILINE)
    return found[0].strip() if found else ""


def verdict(hosts: Sequence[Host]) -> int | None:
    """The exit code of a job of which a host has failed, or all have ended; None while it runs.

    What would come again goes before what would not, a failure before success.
    """
    codes = [host.code for host in hosts if host.state == ENDED]
    if any(host.state == RUNNING for host in hosts) and not any(codes):
        return None
    final = [code for code in codes if 0 < code < 127]
    return final[0] if final else max(codes, default=0)


def is_to_begin(hosts: Sequence[Host], wanted: Began) -> bool:
    """Whether a job is to be sent and begun, rather than watched as it is.

    Of a job that all hosts began with an earlier tree, what runs goes on, what is done stays done,
    and a failure is of no account.

    Args:
        hosts: All of them.
        wanted: What they would begin.

    Raises:
        ValueError: If another job runs there.
    """
    if any(host.state == RUNNING and host.began.job != wanted.job for host in hosts):
        raise ValueError("another job runs there")
    began = {host.began for host in hosts}
    if began == {wanted}:
        return False
    if {each.job for each in began} != {wanted.job} or len(began) > 1:
        return True
    if any(host.state == STOPPED for host in hosts):
        return False
    code = verdict(hosts) or 0
    # After a crash beside hosts that run it is restarted, as it would have been while watched.
    return 0 < code < 127 or (code > 0 and all(host.state != RUNNING for host in hosts))


def is_in_the_way(hosts: Sequence[Host], wanted: Began) -> bool:
    """Whether a host began something else, of which processes may be left."""
    return any(host.began not in (Began(), wanted) for host in hosts)


def folder(name: str) -> str:
    """Of a job, in the home directory of a host."""
    return f"mm15-{name}"


def archive_name(name: str) -> str:
    """Of what is sent to a host."""
    return f"mm15-{name}.tar.gz"


def log_command(name: str) -> str:
    """Prints all of a job's log on a host, and a line after it."""
    return f"cat {folder(name)}/log && echo {LOG_ENDS}"


def command(name: str, words: str) -> str:
    """A command for `worker.sh` on a host."""
    return f"bash {folder(name)}/worker.sh {words}"


def command_if_sent(name: str, words: str) -> str:
    """The same for a host that may not have been sent anything, and says that it has no job."""
    there = f"test -e {folder(name)}/worker.sh"
    return f"if {there}; then {command(name, words)}; else echo mm15-host new {ABSENT}; fi"


def unpack_command(name: str) -> str:
    """Unpacks the archive and has the environment set up.

    Into a fresh folder, from which `worker.sh` takes what is to be taken.
    """
    there, sent = folder(name), f"{folder(name)}/sent"
    unpack = f"rm -rf {sent} && mkdir -p {sent} && tar xzf {archive_name(name)} -C {sent}"
    return f"{unpack} && mv {sent}/worker.sh {there} && {command(name, 'setup')}"
