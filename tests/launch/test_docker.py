import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))
BIN = pathlib.Path(sys.executable).parent


def locked(path: pathlib.Path) -> dict[str, str]:
    return dict(line.split("==") for line in path.read_text().splitlines() if "==" in line)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing(path):
    subprocess.run([shutil.which("hadolint", path=BIN), path], check=True)


def test_the_lock_of_gpus_agrees_with_the_lock_of_all_else():
    everything, gpus = locked(ROOT / "requirements.lock"), locked(ROOT / "docker" / "gpu.lock")
    own = {name for name in gpus if name not in everything}
    assert all(name.startswith(("jax-cuda13", "nvidia-")) for name in own) and len(own) > 10
    assert {n: v for n, v in gpus.items() if n in everything and everything[n] != v} == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tpu"])  # CUDA's wheels are gigabytes
def test_what_an_image_installs_runs(name, tmp_path):
    """The commands of the Dockerfile, in folders of this machine instead of an image."""
    uv = BIN / "uv"
    if not uv.exists():
        pytest.skip("uv is not in this environment")
    text = (ROOT / "docker" / f"{name}.Dockerfile").read_text().replace("\\\n", " ")
    (command,) = [c for c in re.findall(r"^RUN (.*)", text, re.MULTILINE) if c.startswith("uv")]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    left_out = shutil.ignore_patterns(*(n.removeprefix("**/") for n in ignored if n))
    shutil.copytree(ROOT, tmp_path / "source", ignore=left_out)
    command = command.replace("/opt/mm15", shlex.quote(str(tmp_path / "mm15")))
    command = command.replace("--no-cache", "").replace("--compile-bytecode", "")
    command = command.replace("uv ", f"{shlex.quote(str(uv))} ")
    subprocess.run(["bash", "-ec", command], cwd=tmp_path / "source", check=True)
    mm15 = tmp_path / "mm15" / "bin" / "mm15"
    out = subprocess.run([mm15, "list"], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "mm15_30b_sft" in out.stdout
    python = tmp_path / "mm15" / "bin" / "python"
    imported = [python, "-c", "import libtpu, gcsfs, jax; print(jax.__version__)"]
    version = subprocess.run(imported, capture_output=True, text=True, check=True).stdout.strip()
    assert version == locked(ROOT / "requirements.lock")["jax"]
    missing = [python, "-c", "import pytest"]
    assert subprocess.run(missing, capture_output=True, check=False).returncode == 1
