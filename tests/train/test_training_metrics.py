"""Figures as they are written and shown."""

import io

import numpy as np
import pytest

from mm15_jax.config import MoEConfig
from mm15_jax.model.moe import Auxiliary
from mm15_jax.train import metrics
from mm15_jax.train.metrics import MetricsWriter, ProgressLine, moe_row, read_rows


def test_layers_with_experts_are_named_by_their_place_in_the_decoder():
    loads = np.array([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]])
    figures = Auxiliary(
        load_balance=np.array([1.5, 1.0]),
        router_z=np.array([2.0, 3.0]),
        load=loads,
        dropped=np.array([0.1, 0.0]),
        entropy=np.array([0.9, 1.3]),
    )
    row = moe_row(figures, MoEConfig(experts=4, every=3))
    assert {key.rpartition("/")[2] for key in row} == {"2", "5"} and len(row) == 12
    assert row["moe/load_balance/2"] == 1.5 and row["moe/router_z/5"] == 3.0
    assert row["moe/dropped/2"] == 0.1 and row["moe/entropy/5"] == 1.3
    assert row["moe/load/2"] == loads[0].tolist()
    # The busiest expert over what would be fair.
    assert (row["moe/max_load/2"], row["moe/max_load/5"]) == (2.0, 1.0)


def test_rows_behind_the_step_that_a_run_goes_on_from_are_dropped(tmp_path):
    with MetricsWriter(tmp_path, resume_step=0) as writer:
        for step in (1, 2, 3):
            writer.write({"step": step, "stage": "sft", "loss": 1.0})
    with MetricsWriter(tmp_path, resume_step=2) as writer:
        assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [1, 2]
        writer.write({"step": 3, "stage": "sft", "loss": float("nan")})
    *_, last = read_rows(tmp_path / "metrics.jsonl")
    assert last["step"] == 3 and np.isnan(last["loss"])
    assert read_rows(tmp_path / "none.jsonl") == []


class Terminal(io.StringIO):
    """A stream that says that it is one."""

    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that `now` holds."""
    now = [100.0]
    monkeypatch.setattr(metrics.time, "monotonic", lambda: now[0])
    return now


def test_a_log_has_a_line_now_and_then_and_always_the_last(clock):
    stream = io.StringIO()
    line = ProgressLine("sft", 4, stream=stream, seconds_between_lines=15)
    for done, at in ((1, 100.0), (2, 114.9), (3, 115.0), (4, 116.0)):
        clock[0] = at
        line.update(done, "loss 1.5", 60.0, final=done == 4)
    lines = stream.getvalue().split("\n")
    assert [text.partition("  ")[0] for text in lines] == ["sft 1/4", "sft 3/4", "sft 4/4", ""]
    assert "loss 1.5" in lines[0] and "eta" in lines[0] and "\x1b" not in stream.getvalue()


def test_a_terminal_has_one_line_that_is_written_over_until_the_last(clock):
    stream = Terminal()
    line = ProgressLine("sft", 2, stream=stream)
    line.update(1, "loss 1.5", 60.0)
    line.update(2, "loss 1.25", 0.0, final=True)
    first, last = stream.getvalue().split("\r")
    assert first.startswith("sft 1/2") and first.endswith("\x1b[K")
    assert last.startswith("sft 2/2") and last.endswith("\x1b[K\n")
