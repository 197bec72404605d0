import dataclasses
import shutil

import pytest

from mm15_jax.cli import main


@dataclasses.dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def mm15(capsys, monkeypatch, tmp_path):
    """Runs `mm15 ...` in this process, in an empty folder."""
    monkeypatch.delenv("MM15_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*argv) -> Outcome:
        capsys.readouterr()
        code = main.main([str(word) for word in argv])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def refused(mm15):
    """Runs `mm15 ...`, which must answer with exit code 2 and one sentence on stderr; gives it."""

    def call(*argv) -> str:
        outcome = mm15(*argv)
        assert outcome.code == 2, outcome
        assert outcome.out == ""
        assert outcome.err.startswith("mm15: ") and outcome.err.count("\n") == 1, outcome.err
        return outcome.err

    return call


@pytest.fixture
def run_dir(tiny_run, tmp_path):
    """A copy of a trained run, to be written to."""
    return shutil.copytree(tiny_run, tmp_path / "run")
