"""One stage of training, from a config to its last checkpoint. Reads top to bottom."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import pathlib
import time

import jax
import numpy as np
from jax.experimental import multihost_utils

from mm15_jax.checkpoint import run
from mm15_jax.checkpoint.initial import Start, initial_params
from mm15_jax.checkpoint.manager import Checkpoints
from mm15_jax.config import ExperimentConfig
from mm15_jax.data import storage
from mm15_jax.data.pipeline import open_pipeline
from mm15_jax.parallel.feeding import process_rows, replicate, to_devices
from mm15_jax.parallel.mesh import config_for, make_mesh
from mm15_jax.train.metrics import MetricsWriter, ProgressLine, moe_row
from mm15_jax.train.schedule import learning_rate
from mm15_jax.train.state import (
    TrainState,
    abstract_batch,
    abstract_params,
    abstract_state,
    optimizer_of,
)
from mm15_jax.train.step import build_step
from mm15_jax.train.stop import StopRequest


@dataclasses.dataclass(frozen=True)
class Result:
    """What a call of `train` did."""

    first_step: int  # where it began: 0, or the checkpoint it resumed from
    last_step: int
    stopped_by: int | None  # signal that ended it before the last step
    seconds: float


def train(
    config: ExperimentConfig,
    run_dir: pathlib.Path,
    data_dir: pathlib.Path,
    starts: tuple[Start, ...] = (),
) -> Result:
    """Trains `config` in `run_dir`, from its newest checkpoint if it has one.

    Stopping after a checkpoint and starting again gives, to the bit, what a straight run gives.
    SIGTERM and SIGINT end the step under way, save, and return. Raises ValueError for a user's
    mistake and FloatingPointError when the loss is not finite.
    """
    began = time.monotonic()
    run_dir, data_dir = storage.to_path(run_dir), storage.to_path(data_dir)
    config = config_for(config)
    mesh = make_mesh(config.mesh)
    abstract_batch(config, mesh)  # rows that do not divide over devices are an error here
    rows = process_rows(mesh, config.train.batch_rows)
    main = jax.process_index() == 0  # writes what is not a checkpoint
    if main:
        run.open_for_training(run_dir, config)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("run directory")
    checkpoints = Checkpoints(run_dir / run.CHECKPOINTS, config.checkpoint)

    # The state: from the newest checkpoint, else from where the experiment starts.
    first_step = checkpoints.latest_step or 0
    if not first_step and main:
        text = json.dumps([str(start) for start in starts]) + "\n"
        storage.write_atomically(run_dir / run.STARTS, text.encode())
    state, data_state = _initial_state(config, starts, checkpoints, first_step, mesh)

    with (
        jax.set_mesh(mesh),
        open_pipeline(config, data_dir, cursor=data_state["cursor"], host_rows=rows) as pipeline,
        StopRequest() as stop,
        contextlib.ExitStack() as stack,
    ):
        if data_state.setdefault("plan", pipeline.plan.fingerprint) != pipeline.plan.fingerprint:
            raise ValueError(
                f"the data sets in {data_dir} are not those that {run_dir} was started with: "
                "prepare them as they were, or start another run with --run_dir"
            )
        categories = pipeline.categories
        step_fn = build_step(config, mesh, len(categories))
        schedule = learning_rate(config.optimizer, config.train.steps)
        writer = None
        if main:
            writer = stack.enter_context(MetricsWriter(run_dir, resume_step=first_step))
        progress = ProgressLine(config.name, config.train.steps)
        window = _Window()
        step = first_step
        while step < config.train.steps and not stop.signal:
            waiting = time.monotonic()
            batch, stats, data_state["cursor"] = next(pipeline)
            window.waited += time.monotonic() - waiting
            placed = to_devices(batch, mesh, config.train.batch_rows, rows)
            state, metrics = step_fn(state, placed)
            step += 1
            window.add(stats)
            stop.agree(step)
            if step % config.train.log_every == 0 or step in (1, config.train.steps):
                row = _row(config, step, jax.device_get(metrics), categories, schedule, window)
                if not math.isfinite(row["loss"]):
                    raise FloatingPointError(
                        f"loss {row['loss']} at step {step}; the last finite one was logged at "
                        f"step {step - window.steps}"
                    )
                if writer:
                    writer.write(row)
                    progress.update(
                        step,
                        f"loss {row['loss']:.3f}  {row['tokens_per_second']:,.0f} tokens/s",
                        (config.train.steps - step) * row["seconds_per_step"],
                        final=step == config.train.steps,
                    )
                window = _Window()
            if step % config.checkpoint.every == 0 or step == config.train.steps or stop.signal:
                if writer:
                    writer.sync()
                checkpoints.save(step, state.params, state.opt_state, dict(data_state))
    checkpoints.wait()
    checkpoints.close()
    return Result(first_step, step, stop.signal, time.monotonic() - began)


def _initial_state(config, starts, checkpoints, step, mesh):
    """(state, divided over the mesh; data state: the cursor and the plan that it counts)."""
    abstract = abstract_state(config, mesh)
    done = replicate(np.int32(step), abstract.step.sharding)
    if step:
        params, opt_state, data_state = checkpoints.restore(
            step, abstract.params, abstract.opt_state
        )
        return TrainState(done, params, opt_state), data_state
    params = initial_params(
        config, starts, lambda model: abstract_params(model, mesh, config.mesh.strategy)
    )
    shardings = jax.tree.map(lambda x: x.sharding, abstract.opt_state)
    opt_state = jax.jit(optimizer_of(config).init, out_shardings=shardings)(params)
    return TrainState(done, params, opt_state), {"cursor": 0}


class _Window:
    """What happened since the last log step."""

    def __init__(self):
        self.began = time.monotonic()
        self.steps = self.tokens = self.tiles = self.examples = 0
        self.waited = self.token_fill = self.tile_fill = 0.0

    def add(self, stats) -> None:
        self.steps += 1
        self.tokens += stats.tokens
        self.tiles += stats.tiles
        self.examples += stats.examples
        self.token_fill += stats.token_fill
        self.tile_fill += stats.tile_fill

    def over_processes(self) -> _Window:
        """The window with the sums of all processes' rows; they all call it at the same step."""
        if jax.process_count() > 1:
            sums = ("tokens", "tiles", "examples", "token_fill", "tile_fill")
            mine = np.array([getattr(self, name) for name in sums], np.float64)
            whole = multihost_utils.process_allgather(mine).sum(axis=0)
            for name, value in zip(sums, whole, strict=True):
                setattr(self, name, float(value))  # float32 is no JSON
            self.token_fill /= jax.process_count()
            self.tile_fill /= jax.process_count()
        return self


def _row(config, step, metrics, categories, schedule, window: _Window) -> dict:
    """One row of metrics.jsonl. Losses are of this very step; speeds, of the window."""
    window = window.over_processes()
    seconds = time.monotonic() - window.began
    row = {
        "step": step,
        "stage": config.stage,
        "experiment": config.name,
        "loss": float(metrics["loss"]),
        "grad_norm": float(metrics["grad_norm"]),
        "learning_rate": float(schedule(step - 1)),
        "tokens_per_second": window.tokens / seconds,
        "tiles_per_second": window.tiles / seconds,
        "examples_per_second": window.examples / seconds,
        "seconds_per_step": seconds / window.steps,
        "input_wait": window.waited / seconds,
        "token_fill": window.token_fill / window.steps,
        "tile_fill": window.tile_fill / window.steps,
    }
    for index, category in enumerate(categories):
        weight = float(metrics["weight"][index])
        if weight:
            row[f"loss/{category}"] = float(metrics["loss_sum"][index]) / weight
            row[f"accuracy/{category}"] = float(metrics["correct"][index]) / weight
            row[f"loss_weight/{category}"] = weight
    if "moe" in metrics:
        row |= moe_row(metrics["moe"], config.model.decoder.moe)
    return row
