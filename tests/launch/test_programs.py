import os
import pathlib
import signal
import threading
import time

import pytest

from mm15_jax.launch import programs
from mm15_jax.launch.stopping import Stop, StopRequestedError

# As gcloud does with ssh: another process has the pipes too, and writes its number.
HANGS = "{trap}sleep 300 & echo $! > {file}; echo said >&2; wait; sleep 300"


@pytest.fixture
def hanging(tmp_path):
    """A command that hangs, and the file with its child's number."""

    def make(trap=""):
        file = tmp_path / "child"
        return ["bash", "-c", HANGS.format(trap=trap, file=file)], file

    return make


def signal_once_there(file: pathlib.Path, number: int) -> None:
    """Sends this process a signal when the command runs that writes the file."""

    def send():
        while not file.exists():
            time.sleep(0.02)
        time.sleep(0.3)
        os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


def has_ended(file: pathlib.Path) -> bool:
    """Whether the process of that number goes, but for an exit code that nobody asked for."""
    stat = pathlib.Path(f"/proc/{file.read_text().strip()}/stat")
    deadline = time.monotonic() + 30  # it has closed its pipes before it is gone
    while time.monotonic() < deadline:
        try:
            if stat.read_text().split()[2] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_what_it_is_told_and_prints():
    assert programs.output_of(["cat"], text="a\nb" * 99_999) == "a\nb" * 99_999
    with pytest.raises(programs.ProgramError, match=r"bash -c .* ended with 3: why") as found:
        programs.output_of(["bash", "-c", "echo out; echo why >&2; exit 3"])
    assert (found.value.code, found.value.said) == (3, "why")


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["", "deaf"])
def test_a_program_that_hangs_is_ended_with_what_it_started(hanging, monkeypatch, trap):
    monkeypatch.setattr(programs, "_GRACE_SECONDS", 0.5)
    words, file = hanging(trap)
    with pytest.raises(programs.ProgramError, match="no end after 3 s") as found:
        programs.output_of(words, seconds=3)
    assert found.value.code == programs.TIMED_OUT and found.value.said.startswith("said")
    assert has_ended(file)


def test_a_request_to_stop_ends_a_program_that_is_waited_for(hanging):
    words, file = hanging()
    began = time.monotonic()
    with Stop() as stop:
        signal_once_there(file, signal.SIGTERM)
        with pytest.raises(StopRequestedError):
            programs.output_of(words, stop=stop)
        with pytest.raises(StopRequestedError):
            programs.output_of(["touch", f"{file}2"], stop=stop)
    assert time.monotonic() - began < 60
    assert has_ended(file) and not pathlib.Path(f"{file}2").exists()


def test_an_interruption_ends_the_program_too(hanging):
    words, file = hanging()
    signal_once_there(file, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        programs.output_of(words)
    assert has_ended(file)
