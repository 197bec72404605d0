import subprocess
import sys

import pytest

from mm15_jax.parallel.startup import devices_for


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
