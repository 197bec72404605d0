import os
import signal

# Two devices on the CPU, so that tests see rows divided over devices. Before JAX is imported.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
# As `parallel.startup` has it: products whose sums do not depend on which thread is first.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

# The lock file has libtpu, to compile with: no test looks for chips.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import hypothesis
import pytest

from tests import buckets, tiny

# How fast a busy machine draws examples says nothing about the code.
EXPLORE = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile("explore", EXPLORE)  # new examples each time: `make test-all`
# A change lands or does not by what it is, so the fast tests draw the same examples each time.
hypothesis.settings.register_profile("same", EXPLORE, derandomize=True)
hypothesis.settings.load_profile("same")


def pytest_configure():
    """Signals as in a terminal: in the background and under nohup they are ignored, and sent."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A data directory with the first examples of the miniature's SFT data sets."""
    return tiny.prepare_data(tmp_path_factory.mktemp("datasets"))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, data_dir):
    """The run directory of `tiny.experiment()`, trained without a stop. To be read, not written."""
    from mm15_jax.train.loop import train

    run_dir = tmp_path_factory.mktemp("runs") / "straight"
    train(tiny.experiment(), run_dir, data_dir)
    return run_dir


@pytest.fixture(scope="session")
def gcs():
    """gs:// and the bucket of an emulator."""
    with buckets.gcs_emulator() as address:
        yield address


@pytest.fixture(scope="session")
def s3():
    """s3:// and the bucket of an emulator."""
    with buckets.s3_emulator() as address:
        yield address


@pytest.fixture
def gs_prefix(gcs, tmp_path, monkeypatch):
    """An address in a bucket that this test has alone, and a cache of its own."""
    monkeypatch.setenv("MM15_CACHE", str(tmp_path / "cache"))
    return f"{gcs}/{tmp_path.name}"


@pytest.fixture
def s3_prefix(s3, tmp_path, monkeypatch):
    """The same in S3."""
    monkeypatch.setenv("MM15_CACHE", str(tmp_path / "cache"))
    return f"{s3}/{tmp_path.name}"


@pytest.fixture(params=["gs", "s3"])
def prefix(request):
    """The same in either of them."""
    return request.getfixturevalue(f"{request.param}_prefix")
