"""Asks the oracles: worker.py in the environment that setup.sh makes."""

import json
import pathlib
import subprocess

WORKER = pathlib.Path(__file__).with_name("worker.py")


def ask(directory: str, cases: dict[str, list]) -> dict:
    """{"answers": {oracle: [...]}, "versions": {package: version}} of {oracle: [case, ...]}.

    Raises:
      RuntimeError: the worker failed; with what it said.
    """
    command = [str(pathlib.Path(directory) / "bin" / "python"), str(WORKER)]
    run = subprocess.run(
        command, check=False, input=json.dumps(cases), text=True, capture_output=True
    )
    if run.returncode:
        raise RuntimeError(f"{WORKER.name} failed:\n{run.stderr[-3000:]}")
    return json.loads(run.stdout)
