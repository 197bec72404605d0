"""A run in a bucket: data read from and everything written to gs://."""

import json
import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import tensorboardX.proto.event_pb2 as event_pb2

from mm15_jax.checkpoint import run
from mm15_jax.checkpoint.manager import Checkpoints
from mm15_jax.cli import main
from mm15_jax.data.storage import Growing, sizes, to_path
from mm15_jax.train.metrics import MetricsWriter, read_rows
from tests import tiny
from tests.train.test_loop import assert_equal_params, losses


def board_steps(run_dir) -> set[int]:
    """Steps of all TensorBoard events of a run."""
    steps = set()
    for name in sizes(run_dir / "tensorboard"):
        data = (run_dir / "tensorboard" / name).read_bytes()
        while data:  # a record: length, its checksum, the event, its checksum
            length = int.from_bytes(data[:8], "little")
            event = event_pb2.Event.FromString(data[12 : 12 + length])
            steps |= {event.step for _ in event.summary.value}
            data = data[16 + length :]
    return steps


def test_metrics_go_on_in_a_bucket(gs_prefix):
    run_dir = to_path(gs_prefix)
    with MetricsWriter(run_dir, resume_step=0) as writer:
        for step in (1, 2, 3):
            writer.write({"step": step, "stage": "sft", "loss": 1.0 / step})
            if step == 2:
                writer.sync()
                assert [row["step"] for row in read_rows(run_dir / run.METRICS)] == [1, 2]
    with MetricsWriter(run_dir, resume_step=2) as writer:
        # Rows after the checkpoint are gone at once: they will be written again.
        assert [row["step"] for row in read_rows(run_dir / run.METRICS)] == [1, 2]
        writer.write({"step": 3, "stage": "sft", "loss": 0.25})
    assert [row["loss"] for row in read_rows(run_dir / run.METRICS)] == [1.0, 0.5, 0.25]
    assert board_steps(run_dir) == {1, 2, 3}
    assert not any(name.endswith(".tmp") for name in sizes(run_dir))


def test_rows_are_there_when_a_run_ends_by_an_error(gs_prefix):
    run_dir = to_path(gs_prefix)
    with pytest.raises(FloatingPointError), MetricsWriter(run_dir, resume_step=0) as writer:
        writer.write({"step": 1, "stage": "sft", "loss": 1.0})
        raise FloatingPointError
    assert len(read_rows(run_dir / run.METRICS)) == 1


def test_a_row_that_cannot_be_copied_now_goes_with_the_next(gs_prefix, monkeypatch, caplog):
    def refuse(self):
        raise OSError("Forbidden")

    with MetricsWriter(to_path(gs_prefix), resume_step=0) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(Growing, "sync", refuse)
            writer.write({"step": 1, "stage": "sft", "loss": 1.0})
            writer.sync()
        assert "Forbidden" in caplog.text
        writer.write({"step": 2, "stage": "sft", "loss": 1.0})
    assert len(read_rows(to_path(gs_prefix) / run.METRICS)) == 2


def test_a_checkpoint_in_a_bucket_counts_when_it_is_whole(gs_prefix):
    run_dir = to_path(gs_prefix)
    config = tiny.experiment()
    run.open_for_training(run_dir, config)
    assert run.read_config(run_dir) == config
    assert not run.has_checkpoint(run_dir) and not run.is_complete(run_dir)
    checkpoints = Checkpoints(run_dir / run.CHECKPOINTS, config.checkpoint)
    params = {"encoder": {"kernel": jax.numpy.arange(6.0).reshape(2, 3)}}
    for step in (2, 4, 6):
        checkpoints.save(step, params, {"count": jax.numpy.int32(step)}, {"cursor": step})
    checkpoints.wait()
    checkpoints.close()
    assert run.is_complete(run_dir)
    (run_dir / run.CHECKPOINTS / "6" / "commit_success.txt").unlink()  # as if it were cut short
    assert run.has_checkpoint(run_dir) and not run.is_complete(run_dir)
    reader = Checkpoints(run_dir / run.CHECKPOINTS)
    assert reader.latest_step == 4
    abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), params)
    restored = reader.restore_params(4, abstract)
    np.testing.assert_array_equal(restored["encoder"]["kernel"], params["encoder"]["kernel"])
    reader.close()


@pytest.mark.parametrize("what", [run.open_for_training, lambda path, _: Checkpoints(path)])
def test_a_run_in_s3_is_refused_before_anything_is_written(s3_prefix, what):
    run_dir = to_path(s3_prefix)
    with pytest.raises(ValueError, match=r"s3://.* cannot hold a run: Orbax .* gs://"):
        what(run_dir, tiny.experiment())
    assert sizes(run_dir) == {}


def test_a_run_in_a_bucket_that_is_not_there(gs_prefix):
    with pytest.raises(ValueError, match=r"bucket of gs://no-such-bucket/run/config\.json"):
        run.open_for_training(to_path("gs://no-such-bucket/run"), tiny.experiment())


def train_in_a_process(run_dir, data_dir, stop_after: int | None = None) -> list[str]:
    """What the process says: its first and last step, the signal, and whether it has TensorFlow."""
    code = f"""
import os, signal, sys
from mm15_jax.data.storage import to_path
from mm15_jax.train import loop
from mm15_jax.train.metrics import read_rows
from tests import tiny
save = loop.Checkpoints.save
def save_behind_its_rows(self, step, *state):
    assert read_rows(to_path({run_dir!r}) / "metrics.jsonl")[-1]["step"] == step
    save(self, step, *state)
loop.Checkpoints.save = save_behind_its_rows
write = loop.MetricsWriter.write
def write_and_stop(self, row):
    write(self, row)
    if row["step"] == {stop_after}:  # answered after the next step
        os.kill(os.getpid(), signal.SIGTERM)
loop.MetricsWriter.write = write_and_stop
result = loop.train(tiny.experiment(), {run_dir!r}, {data_dir!r})
print(result.first_step, result.last_step, result.stopped_by, "tensorflow" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


@pytest.mark.slow
@pytest.mark.timeout(1800)  # three processes, and an evaluation
def test_a_run_in_a_bucket_is_stopped_and_goes_on_as_a_run_on_a_disk(tiny_run, gs_prefix, capsys):
    data_dir, run_dir = f"{gs_prefix}/datasets", f"{gs_prefix}/runs/sft"
    tiny.prepare_data(data_dir)
    stopped = train_in_a_process(run_dir, data_dir, stop_after=2)
    assert stopped == ["0", "3", str(int(signal.SIGTERM)), "False"]
    there = to_path(run_dir)
    assert [row["step"] for row in read_rows(there / run.METRICS)] == [1, 2, 3]
    assert not run.is_complete(there)
    assert train_in_a_process(run_dir, data_dir) == ["3", "6", "None", "False"]
    assert losses(there) == losses(tiny_run)
    assert board_steps(there) == {1, 2, 3, 4, 5, 6}
    assert_equal_params(run.load_params(there), run.load_params(tiny_run))

    # What reads a run: scores, answers with their pictures, the page, one answer.
    command = ["eval", "--run_dir", run_dir, "--data_dir", data_dir, "--set", "eval.examples=2"]
    assert main.main(command) == 0
    assert {"scores.json", "config.json", "starts.json", run.METRICS} <= set(sizes(there))
    scored = json.loads((there / "scores.json").read_text())["benchmarks"]
    assert {f"{name}.jsonl" for name in scored} == set(sizes(there / "eval")) and len(scored) > 8
    assert main.main(["report", "--run_dir", run_dir]) == 0
    assert "data:image/png" in (there / "report.html").read_text()
    capsys.readouterr()
    assert main.main(["generate", "--run_dir", run_dir, "--prompt", "what is 1 + 1?"]) == 0
    assert main.main(["generate", "--run_dir", f"{run_dir}s", "--prompt", "?"]) == 2
    assert "does not exist" in capsys.readouterr().err
