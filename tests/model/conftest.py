"""Compiles these tests' many small programs without XLA's expensive passes."""

import jax
import pytest


@pytest.fixture(scope="package", autouse=True)
def quick_compilation():
    """Numerics are compared with tolerances here, and speed is not.

    What was compiled so is forgotten afterwards: other tests compare runs to the bit.
    """
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
    jax.clear_caches()
