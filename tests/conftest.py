import os

# Two devices on the CPU, so that tests see rows divided over devices. Before JAX is imported.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A data directory with the first examples of the miniature's SFT data sets."""
    return tiny.prepare_data(tmp_path_factory.mktemp("datasets"))
