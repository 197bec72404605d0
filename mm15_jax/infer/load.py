"""From a run directory to something that answers."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
from typing import Any

import jax

from mm15_jax.checkpoint import run
from mm15_jax.config import ExperimentConfig, InputsConfig, MeshConfig, experiments
from mm15_jax.config.hardware import filled, without_mesh
from mm15_jax.config.names import nearest
from mm15_jax.config.schema import MESH_AXES
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
        what = "is a file, not a run" if path.exists() else "does not exist"
        raise ValueError(f"--run_dir {run_dir} {what}{hint}")
    if not (path / run.CONFIG).exists():
        stages = [p.parent for p in path.glob(f"*/{run.CONFIG}")]
        if stages:
            order = list(experiments())
            path = max(stages, key=lambda p: order.index(p.name) if p.name in order else -1)
    return path, run.read_config(path)


def inputs_of(config: ExperimentConfig) -> InputsConfig:
    """How examples are formatted for answers: as in training but for what `config.eval` says.

    The range of sub-images may be finer than training's (paper, section 3.5 and table 2).
    """
    asked, trained = config.eval, config.inputs.splitting
    splitting = dataclasses.replace(
        trained,
        n_min=asked.n_min or trained.n_min,
        n_max=asked.n_max or trained.n_max,
        indicator=asked.indicator or trained.indicator,
    )
    return dataclasses.replace(config.inputs, splitting=splitting)


def make_generator(
    params: Any, config: ExperimentConfig, mesh: jax.sharding.Mesh | None = None
) -> Generator:
    """What answers as `config.eval` says; parameters are divided over the mesh as they come.

    Raises:
      ValueError: as of `Generator`.
    """
    return Generator(
        params,
        config.model,
        inputs_of(config),
        load_tokenizer(config.inputs.tokenizer),
        dtype=compute_dtype(config.train.compute_dtype, jax.default_backend()),
        mesh=mesh,
        strategy=config.mesh.strategy,
    )


def on_these_devices(config: ExperimentConfig) -> ExperimentConfig:
    """The config of a run with a mesh for what is there, which may not be what trained it."""
    if not (config.was_given("mesh") or _fits(config.mesh, jax.device_count())):
        config = without_mesh(config)
    return config_for(config)


def _fits(mesh: MeshConfig, devices: int) -> bool:
    try:
        whole = filled(mesh, devices)
    except ValueError:
        return False
    return math.prod(getattr(whole, axis) for axis in MESH_AXES) == devices


def load_generator(
    run_dir: pathlib.Path, config: ExperimentConfig, which: str = run.LATEST
) -> Generator:
    """Parameters of a run, ready to answer as `config.eval` says.

    They are divided over the mesh that the run had, where there are as many devices; else over
    what the experiment has for this hardware, or all of it. `--set mesh...` goes before either.

    Args:
      run_dir: as `find_run` gives it.
      config: of the run, with changes of how it answers.
      which: "latest" or "best", as of `run.load_params`.

    Raises:
      ValueError: there is no checkpoint, or it does not fit `config`; as of `make_generator`.
    """
    start_jax(join=True)
    config = on_these_devices(config)
    mesh = make_mesh(config.mesh) if jax.device_count() > 1 else None
    abstract = abstract_params(config.model, mesh, config.mesh.strategy) if mesh else None
    return make_generator(run.load_params(run_dir, config, abstract, which), config, mesh)
