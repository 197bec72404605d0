import os
import platform
import subprocess
import sys

import pytest

# Pages that a thread asks the kernel for while it takes, fills and frees 48 MiB ten times.
SCRIPT = """
import resource, threading
import jax
from mm15_jax.parallel.startup import start_jax

def work():
    for _ in range(10):
        bytearray(b"x") * (48 * 2**20)

start_jax()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
thread = threading.Thread(target=work)
thread.start()
thread.join()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // (48 * 256))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="options of glibc's malloc")
@pytest.mark.parametrize(
    ("environment", "fills"),
    [
        ({}, range(3)),
        ({"JAX_PLATFORMS": "cpu"}, range(3)),
        ({"MALLOC_ARENA_MAX": "8"}, range(9, 13)),  # options that a user gives stand
        ({"GLIBC_TUNABLES": "glibc.malloc.arena_max=8"}, range(9, 13)),
    ],
)
def test_memory_that_is_freed_is_used_again(environment, fills):
    """Not asked of the kernel each time, which would have to zero it."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**own, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) in fills
