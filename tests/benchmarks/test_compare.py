"""benchmarks/compare.py asks the planner as the planner wants to be asked; compiles nothing."""

import json
import pathlib

import pytest

from mm15_jax.config import load
from mm15_jax.model import params
from mm15_jax.plan import worker

FOLDER = pathlib.Path(__file__).parents[2] / "benchmarks"


class Step:
    """Stands for a step, lowered and compiled."""

    def lower(self, *_):
        return self

    def as_text(self):
        return "program"

    def compile(self, compiler_options):
        assert compiler_options is None
        return self


@pytest.fixture
def compare(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import compare

    return compare


def test_a_program_without_loops_is_asked_for_its_figures(compare, monkeypatch, capsys):
    import jax

    for name in ("unrolls", "rematerialised"):  # which it replaces for good, in its own process
        monkeypatch.setattr(params, name, getattr(params, name))
    figures = {"xla": {"flops": 2e12, "optimal_seconds": 3.0}, "flops": 4, "flops_once": 2}
    monkeypatch.setattr(worker, "devices", lambda topology: jax.devices()[:1])
    monkeypatch.setattr(worker, "_figures", lambda *_: figures)
    monkeypatch.setattr("mm15_jax.train.step.build_step", lambda *_: Step())
    monkeypatch.setattr(compare, "resolved", load)
    compare.main(["aot-child", "text_tiny"])
    assert json.loads(capsys.readouterr().out) == {
        "tflop": 2.0,
        "optimal_seconds": 3.0,
        "looped": 2.0,
    }
