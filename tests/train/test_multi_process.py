"""Runs of several processes on one machine: the same losses and the same data."""

import os
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from mm15_jax.data.storage import to_path
from mm15_jax.train import loop
from mm15_jax.train.metrics import read_rows
from tests import tiny

# A busy machine takes its time; what hangs is ended by the processes' own limits.
pytestmark = [pytest.mark.multi_process, pytest.mark.timeout(2000)]


def run(run_dir, data_dir, *, processes: int, devices: int, steps: int, kind: str = "dense"):
    """Trains on processes x devices; the rows of metrics.jsonl."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = []
    for index in range(processes):
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": str(devices)}
        if processes > 1:
            environment |= {
                "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
                "JAX_NUM_PROCESSES": str(processes),
                "JAX_PROCESS_ID": str(index),
            }
        command = [sys.executable, "-m", "tests.train.on_processes"]
        started.append(
            subprocess.Popen(
                [*command, str(run_dir), str(data_dir), str(steps), kind],
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        for process in started:
            _, errors = process.communicate(timeout=900)
            assert process.returncode == 0, errors[-3000:]
    finally:
        for process in started:
            process.kill()
    return read_rows(run_dir / "metrics.jsonl")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, data_dir):
    """Four steps of one process with eight devices."""
    return run(tmp_path_factory.mktemp("alone"), data_dir, processes=1, devices=8, steps=4)


def assert_same_run(rows, wanted):
    assert [row["step"] for row in rows] == [row["step"] for row in wanted]
    for row, other in zip(rows, wanted, strict=True):
        for key in other:
            if key.startswith(("loss", "grad_norm", "token_fill", "tile_fill")):
                np.testing.assert_allclose(row[key], other[key], rtol=1e-5, err_msg=key)


@pytest.mark.parametrize(("processes", "devices"), [(2, 4), (4, 2)])
def test_processes_agree_with_one(alone, tmp_path, data_dir, processes, devices):
    rows = run(tmp_path / "run", data_dir, processes=processes, devices=devices, steps=4)
    assert_same_run(rows, alone)


def test_experts_on_two_processes_are_those_of_one(tmp_path, data_dir):
    rows = [
        run(
            tmp_path / str(processes),
            data_dir,
            processes=processes,
            devices=8 // processes,
            steps=2,
            kind="experts",
        )
        for processes in (1, 2)
    ]
    assert_same_run(rows[1], rows[0])
    for row, other in zip(*rows, strict=True):
        dropped = other["moe/dropped/0"]
        assert dropped > 0 and row["moe/dropped/0"] == pytest.approx(dropped)
        assert row["moe/load/0"] == pytest.approx(other["moe/load/0"])


def test_a_run_goes_on_with_another_number_of_processes(alone, tmp_path, data_dir):
    run_dir = tmp_path / "run"
    run(run_dir, data_dir, processes=2, devices=4, steps=2)
    # The schedule is constant, so that a longer run is the same run.
    config = run_dir / "config.json"
    config.write_text(config.read_text().replace('"steps": 2', '"steps": 4'))
    assert_same_run(run(run_dir, data_dir, processes=1, devices=8, steps=4), alone)


def test_processes_share_data_and_a_run_in_a_bucket(alone, gs_prefix):
    data_dir, run_dir = f"{gs_prefix}/datasets", to_path(f"{gs_prefix}/run")
    tiny.prepare_data(data_dir)
    run(run_dir, data_dir, processes=2, devices=4, steps=2)
    config = run_dir / "config.json"
    config.write_text(config.read_text().replace('"steps": 2', '"steps": 4'))
    assert_same_run(run(run_dir, data_dir, processes=4, devices=2, steps=4), alone)


@pytest.mark.parametrize("first", [True, False])
def test_of_several_processes_the_first_counts_while_the_others_wait(first, data_dir, monkeypatch):
    done = []
    plan = loop.plan_mixture
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(loop, "is_main", lambda: first)
    monkeypatch.setattr(loop, "wait_for_all", done.append)
    monkeypatch.setattr(loop, "plan_mixture", lambda *a: done.append("counts") or plan(*a))
    config = tiny.experiment()
    loop._count_first(config, data_dir)
    assert done == ["counts"] * first + ["counted data sets"]
    # A mistake is left to all of them.
    loop._count_first(config, data_dir / "none")
    assert done[-1] == "counted data sets"
