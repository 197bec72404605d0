"""Compiles these tests' many small programs without XLA's expensive passes."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def quick_compilation():
    """Numerics are compared with tolerances here, and speed is not.

    What was compiled so is forgotten after each module, other tests compare runs to the bit. (Not
    after the package: without an `__init__.py` here pytest takes `tests` for it.)
    """
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
    jax.clear_caches()
