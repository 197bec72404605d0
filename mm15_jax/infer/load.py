"""From a run directory to something that answers."""

from __future__ import annotations

import os
import pathlib

import jax

from mm15_jax.checkpoint import run
from mm15_jax.config import ExperimentConfig, experiments
from mm15_jax.config.names import nearest
from mm15_jax.data.storage import telling, to_path
from mm15_jax.infer.generate import Generator
from mm15_jax.inputs.tokenizer import load_tokenizer
from mm15_jax.parallel.mesh import config_for, make_mesh
from mm15_jax.parallel.startup import start_jax
from mm15_jax.train.state import abstract_params, compute_dtype


def find_run(
    run_dir: str | os.PathLike[str], *, places: str = "runs"
) -> tuple[pathlib.Path, ExperimentConfig]:
    """A run directory, or the last stage inside a chain's, and its config.

    Args:
      run_dir: a folder or an address in a bucket.
      places: where runs are, to name the nearest of where there is none.

    Raises:
      ValueError: there is no such run.
    """
    path = to_path(run_dir)
    with telling(path):
        there = path.is_dir()
    if not there:
        known = [str(p.parent) for p in pathlib.Path(places).glob("**/config.json")]
        hint = f"; did you mean {nearest(str(run_dir), known, 1)[0]}?" if known else ""
        raise ValueError(f"--run_dir {run_dir} does not exist{hint}")
    if not (path / run.CONFIG).exists():
        stages = [p.parent for p in path.glob(f"*/{run.CONFIG}")]
        if stages:
            order = list(experiments())
            path = max(stages, key=lambda p: order.index(p.name) if p.name in order else -1)
    return path, run.read_config(path)


def load_generator(
    run_dir: pathlib.Path, config: ExperimentConfig, which: str = run.LATEST
) -> Generator:
    """Parameters of a run, ready to answer as `config.eval` says.

    They are divided over the experiment's mesh where there are several devices.

    Args:
      run_dir: as `find_run` gives it.
      config: of the run, with changes of how it answers.
      which: "latest" or "best", as of `run.load_params`.

    Raises:
      ValueError: there is no checkpoint, or it does not fit `config`.
    """
    start_jax(join=True)
    config = config_for(config)
    mesh = make_mesh(config.mesh) if jax.device_count() > 1 else None
    strategy = config.mesh.strategy
    abstract = abstract_params(config.model, mesh, strategy) if mesh else None
    return Generator(
        run.load_params(run_dir, config, abstract, which),
        config.model,
        config.inputs,
        load_tokenizer(config.inputs.tokenizer),
        dtype=compute_dtype(config.train.compute_dtype, jax.default_backend()),
        n_min=config.eval.n_min,
        n_max=config.eval.n_max,
        mesh=mesh,
        strategy=strategy,
    )
