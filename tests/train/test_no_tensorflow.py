"""What `mm15 train` imports, and reading data, leave TensorFlow and SeqIO alone."""

import subprocess
import sys
import textwrap

from tests import tiny

PROGRAM = """
    import importlib, sys
    from mm15_jax.cli import main

    for command in main.COMMANDS:
        importlib.import_module(f"mm15_jax.cli.{command}_command")
    from mm15_jax import experiments
    from mm15_jax.data import registry, tfds_builder
    from mm15_jax.data.pipeline import open_pipeline
    from mm15_jax.infer import generate
    from mm15_jax.train import loop
    from tests import tiny

    assert registry.all_preparations()
    with open_pipeline(tiny.experiment(), sys.argv[1]) as pipeline:
        batch, stats, cursor = next(pipeline)
    assert stats.tokens
    unwanted = ("tensorflow", "seqio", "tensorflow_datasets", "clu")
    print(sorted(name for name in sys.modules if name.split(".")[0] in unwanted))
"""


def test_training_imports_neither_tensorflow_nor_seqio(data_dir):
    root = tiny.__file__.rsplit("/", 2)[0]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(data_dir)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
