import subprocess
import sys

import jax
import numpy as np
import pytest
from jax._src import xla_bridge
from jax._src.clusters import GkeTpuCluster
from jax.experimental import multihost_utils

from mm15_jax.parallel.startup import check_alike, devices_for, join_processes


@pytest.mark.parametrize(
    ("rows", "cores", "devices"), [(8, 2, 2), (8, 3, 2), (8, 64, 8), (7, 2, 1), (256, 96, 64)]
)
def test_rows_divide_over_as_many_devices_as_there_are_cores(rows, cores, devices):
    assert devices_for(rows, cores) == devices


@pytest.mark.parametrize(("arguments", "enabled"), [("join=True", False), ("8", True)])
def test_only_training_has_its_sigterm_held_back(arguments, enabled):
    """JAX's preemption service swallows the signal; training asks it after every step."""
    script = (
        "import jax; from mm15_jax.parallel.startup import start_jax;"
        f"start_jax({arguments}); print(jax.config.jax_enable_preemption_service)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(enabled)


def test_a_first_host_that_never_comes_has_all_begin_anew(monkeypatch):
    """Else one slice of spot machines that comes later than the other fails the JobSet for good."""
    waited = []

    def wait(cls, address, timeout_secs):
        waited.append((address, timeout_secs))
        raise RuntimeError(f"Failed to recognize coordinator address {address}")  # JAX's words

    # Of the tests before this one, which have used devices.
    monkeypatch.setattr(xla_bridge, "backends_are_initialized", lambda: False)
    monkeypatch.setattr(GkeTpuCluster, "is_env_present", classmethod(lambda cls: True))
    monkeypatch.setattr(GkeTpuCluster, "wait_for_coordinator", classmethod(wait))
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    monkeypatch.setenv("MM15_DISTRIBUTED", "auto")
    monkeypatch.setenv("MEGASCALE_COORDINATOR_ADDRESS", "run-slice-0-0.run:8080")
    with pytest.raises(SystemExit) as end:
        join_processes.__wrapped__()
    assert end.value.code == 134  # what launchers begin anew
    assert waited == [("run-slice-0-0.run", 3600)]


def test_processes_that_disagree_all_say_who(monkeypatch):
    """Else each brings rows of its own plan to one batch, and nothing tells."""
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    sent = []

    def gather(x):
        sent.append(x)
        return np.stack([sent[0], sent[0], x])

    monkeypatch.setattr(multihost_utils, "process_allgather", gather)
    check_alike("the data", "one plan")
    with pytest.raises(ValueError, match="the data is not the same for all processes: 2 have"):
        check_alike("the data", "another plan")
