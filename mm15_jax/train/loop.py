"""One stage of training, from a config to its last checkpoint. Reads top to bottom."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import pathlib
import time

import jax
import jax.numpy as jnp

from mm15_jax.checkpoint import run
from mm15_jax.checkpoint.initial import Start, initial_params
from mm15_jax.checkpoint.manager import Checkpoints
from mm15_jax.config import ExperimentConfig
from mm15_jax.data.pipeline import open_pipeline
from mm15_jax.parallel.mesh import batch_divisor, batch_sharding, make_mesh, replicated
from mm15_jax.train.metrics import MetricsWriter, ProgressLine
from mm15_jax.train.optimizer import make_optimizer
from mm15_jax.train.schedule import learning_rate
from mm15_jax.train.step import TrainState, train_step
from mm15_jax.train.stop import StopRequest


@dataclasses.dataclass(frozen=True)
class Result:
    """What a call of `train` did."""

    first_step: int  # where it began: 0, or the checkpoint it resumed from
    last_step: int
    stopped_by: int | None  # signal that ended it before the last step
    seconds: float


def compute_dtype(name: str):
    """Jnp dtype of matmuls: float32 on CPU under "auto", where bfloat16 is emulated and slower."""
    if name == "auto":
        name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jnp.dtype(name)


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
    mesh = make_mesh(config.mesh)
    if config.train.batch_rows % batch_divisor(mesh):
        raise ValueError(
            f"train.batch_rows {config.train.batch_rows} is not a multiple of the "
            f"{batch_divisor(mesh)} devices that rows are divided over"
        )
    run.open_for_training(run_dir, config)
    checkpoints = Checkpoints(run_dir / run.CHECKPOINTS, config.checkpoint)

    # The state: from the newest checkpoint, else from where the experiment starts.
    schedule = learning_rate(config.optimizer, config.train.steps)
    optimizer = make_optimizer(config.optimizer, config.model, schedule)
    first_step = checkpoints.latest_step or 0
    state, data_state = _initial_state(
        config, run_dir, starts, optimizer, checkpoints, first_step, mesh
    )

    with (
        jax.set_mesh(mesh),
        open_pipeline(config, data_dir, cursor=data_state["cursor"]) as pipeline,
        StopRequest() as stop,
    ):
        if data_state.setdefault("plan", pipeline.plan.fingerprint) != pipeline.plan.fingerprint:
            raise ValueError(
                f"the data sets in {data_dir} are not those that {run_dir} was started with: "
                "prepare them as they were, or start another run with --run_dir"
            )
        categories = pipeline.categories
        step_fn = jax.jit(
            functools.partial(
                train_step,
                model=config.model,
                optimizer=optimizer,
                dtype=compute_dtype(config.train.compute_dtype),
                num_categories=len(categories),
            ),
            donate_argnums=0,
        )
        writer = MetricsWriter(run_dir, resume_step=first_step)
        progress = ProgressLine(config.name, config.train.steps)
        window = _Window()
        step = first_step
        while step < config.train.steps and not stop.signal:
            waiting = time.monotonic()
            batch, stats, data_state["cursor"] = next(pipeline)
            window.waited += time.monotonic() - waiting
            state, metrics = step_fn(state, jax.device_put(batch, batch_sharding(mesh)))
            step += 1
            window.add(stats)
            if step % config.train.log_every == 0 or step in (1, config.train.steps):
                row = _row(config, step, jax.device_get(metrics), categories, schedule, window)
                if not math.isfinite(row["loss"]):
                    raise FloatingPointError(
                        f"loss {row['loss']} at step {step}; the last finite one was logged at "
                        f"step {step - window.steps}"
                    )
                writer.write(row)
                progress.update(
                    step,
                    f"loss {row['loss']:.3f}  {row['tokens_per_second']:,.0f} tokens/s",
                    (config.train.steps - step) * row["seconds_per_step"],
                    final=step == config.train.steps,
                )
                window = _Window()
            if step % config.checkpoint.every == 0 or step == config.train.steps or stop.signal:
                checkpoints.save(step, state.params, state.opt_state, dict(data_state))
        writer.close()
    checkpoints.wait()
    checkpoints.close()
    return Result(first_step, step, stop.signal, time.monotonic() - began)


def _initial_state(config, run_dir, starts, optimizer, checkpoints, step, mesh):
    """(state replicated over the mesh, data state: the cursor and the plan that it counts)."""
    sharding = replicated(mesh)
    if not step:
        (run_dir / run.STARTS).write_text(json.dumps([str(start) for start in starts]) + "\n")
        params = jax.device_put(initial_params(config, starts), sharding)
        opt_state = jax.jit(optimizer.init, out_shardings=sharding)(params)
        return TrainState(jax.device_put(jnp.int32(0), sharding), params, opt_state), {"cursor": 0}
    params = run.abstract_params(config.model, sharding)
    opt_state = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        jax.eval_shape(optimizer.init, params),
    )
    params, opt_state, data_state = checkpoints.restore(step, params, opt_state)
    return TrainState(jax.device_put(jnp.int32(step), sharding), params, opt_state), data_state


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


def _row(config, step, metrics, categories, schedule, window: _Window) -> dict:
    """One row of metrics.jsonl. Losses are of this very step; speeds, of the window."""
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
    return row
