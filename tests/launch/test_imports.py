import subprocess
import sys

PRINT = """
import sys
import mm15_jax.launch
print([m for m in sys.modules if m == "jax" or m.startswith("mm15_jax.cli")])
"""


def test_launchers_import_neither_jax_nor_the_commands():
    done = subprocess.run([sys.executable, "-c", PRINT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
