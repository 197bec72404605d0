"""What a wheel holds: the package with its experiments and launchers, and nothing else."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_a_wheel_carries_experiments_launchers_and_assets_under_one_name(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    # A copy, so that the build leaves no folder in the repository.
    source = tmp_path / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    subprocess.run([*build, str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    names = {path.name for path in unpacked.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"mm15_jax"}
    code = (
        "from mm15_jax import config, experiments, launch;"
        "import pathlib; folder = pathlib.Path(launch.__file__).parent;"
        "assert (folder / 'worker.sh').is_file();"
        "from mm15_jax.checkpoint import shipped;"
        "from mm15_jax.inputs.tokenizer import load_tokenizer;"
        "import mm15_jax; print(mm15_jax.__file__);"
        "assert len(config.experiments()) > 15;"
        "from mm15_jax import paper; assert len(paper.tables()) == 12 and len(paper.figures()) > 5;"
        "parts = ('mm15_nano_encoder', 'mm15_nano_text', 'mm15_nano_words');"
        "assert all(shipped.is_shipped(part) for part in parts);"
        "assert load_tokenizer('nano').vocab_size > 256"
    )
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(str(unpacked))
