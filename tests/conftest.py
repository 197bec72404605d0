import os
import pathlib

# Two devices on the CPU, so that tests see rows divided over devices. Before JAX is imported.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
# Programs that tests compiled stay in the checkout, not in the user's folder.
os.environ.setdefault(
    "MM15_COMPILE_CACHE", str(pathlib.Path(__file__).parents[1] / ".pytest_cache" / "compiled")
)

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A data directory with the first examples of the miniature's SFT data sets."""
    return tiny.prepare_data(tmp_path_factory.mktemp("datasets"))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, data_dir):
    """The run directory of `tiny.experiment()`, trained without a stop. To be read, not written."""
    from mm15_jax.parallel.startup import start_jax
    from mm15_jax.train.loop import train

    start_jax()
    run_dir = tmp_path_factory.mktemp("runs") / "straight"
    train(tiny.experiment(), run_dir, data_dir)
    return run_dir
