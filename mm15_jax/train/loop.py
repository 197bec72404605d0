"""One stage of training, from a config to its last checkpoint. Reads top to bottom."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from mm15_jax.checkpoint import run
from mm15_jax.checkpoint.best import BestParams
from mm15_jax.checkpoint.initial import Start, initial_params
from mm15_jax.checkpoint.lock import alone_in
from mm15_jax.checkpoint.manager import Checkpoints
from mm15_jax.config import ExperimentConfig
from mm15_jax.data import storage
from mm15_jax.data.pipeline import open_pipeline
from mm15_jax.data.planning import plan_mixture
from mm15_jax.parallel.feeding import DeviceBatches, process_rows, replicate, to_devices
from mm15_jax.parallel.mesh import config_for, make_mesh
from mm15_jax.parallel.startup import check_alike, is_main, wait_for_all
from mm15_jax.train.data_window import DataWindow
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

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Result:
    """What a call of `train` did."""

    first_step: int  # where it began: 0, or the checkpoint it resumed from
    last_step: int
    stopped_by: int | None  # signal that ended it before the last step
    seconds: float


# Scores of parameters at a step, by name; see `evaluation.during.DuringTraining`.
Evaluator = Callable[[int, Any], Mapping[str, float]]


def train(
    config: ExperimentConfig,
    run_dir: pathlib.Path,
    data_dir: pathlib.Path,
    starts: tuple[Start, ...] = (),
    evaluator: Evaluator | None = None,
) -> Result:
    """Trains `config` in `run_dir`, from its newest checkpoint if it has one.

    Stopping after a checkpoint and starting again gives, to the bit, what a straight run gives.
    SIGTERM, SIGINT and SIGHUP end the step under way, save, and return. `evaluator` is asked every
    `eval.during.every` steps and at the end; its scores become a row of metrics.jsonl. Raises
    ValueError for a user's mistake, such as a directory in which another training goes on, and
    FloatingPointError when the loss is not finite.
    """
    run_dir, data_dir = storage.to_path(run_dir), storage.to_path(data_dir)
    with alone_in(run_dir) if is_main() else contextlib.nullcontext():
        return _train(config, run_dir, data_dir, starts, evaluator)


def _train(
    config: ExperimentConfig,
    run_dir: pathlib.Path,
    data_dir: pathlib.Path,
    starts: tuple[Start, ...],
    evaluator: Evaluator | None,
) -> Result:
    began = time.monotonic()
    config = config_for(config)
    mesh = make_mesh(config.mesh)
    abstract_batch(config, mesh)  # rows that do not divide over devices are an error here
    rows = process_rows(mesh, config.train.batch_rows)
    main = is_main()  # writes what is not a checkpoint
    # By all: a mistake that one process alone ends with leaves the others as a crash does, with
    # whose exit code a launch begins anew.
    if main:
        run.open_for_training(run_dir, config)
    else:
        run.check_for_training(run_dir, config)
    wait_for_all("run directory")
    checkpoints = Checkpoints(run_dir / run.CHECKPOINTS, config.checkpoint)

    # The state: from the newest checkpoint, else from where the experiment starts.
    first_step = checkpoints.latest_step or 0
    if not first_step and main:
        text = json.dumps([str(start) for start in starts]) + "\n"
        storage.write_atomically(run_dir / run.STARTS, text.encode())
        run.write_started_from(run_dir, [start.run_dir for start in starts if start.run_dir])
    state, data_state = _initial_state(config, starts, checkpoints, first_step, mesh)

    _count_first(config, data_dir)
    with (
        jax.set_mesh(mesh),
        open_pipeline(
            config, data_dir, state=data_state, step=first_step, host_rows=rows
        ) as pipeline,
        StopRequest() as stop,
        checkpoints.whole_at_the_end(),
        contextlib.ExitStack() as stack,
    ):
        data_state = dict(pipeline.state)
        if main:
            _write_data_log(run_dir, data_state)
        categories = pipeline.categories
        step_fn = build_step(config, mesh, len(categories))
        if jax.process_count() > 1:
            # By all before any runs it: the first to be ready would wait in a collective, which
            # over CPUs gives up after half a minute.
            step_fn = step_fn.lower(state, abstract_batch(config, mesh)).compile()
            wait_for_all("compiled step")
            # Each plans the whole batch and reads its rows of it. Of a data set that is prepared
            # while they start, or where a file is a host's own, they may have seen different ones.
            check_alike(
                "the data", json.dumps([first_step, data_state["plan"], data_state["cursor"]])
            )
        schedule = learning_rate(config.optimizer, config.train.steps)
        writer = None
        if main:
            writer = stack.enter_context(MetricsWriter(run_dir, resume_step=first_step))
        progress = ProgressLine(config.name, config.train.steps)
        window = DataWindow(pipeline.sources, categories)
        # While a step runs, the batch of the next one is put on the devices.
        batches = DeviceBatches(
            pipeline, lambda batch: to_devices(batch, mesh, config.train.batch_rows, rows)
        )
        during = config.eval.during
        best = None
        if evaluator and during.keep_best:
            best = BestParams(run_dir, during.keep_best, first_step)
        step = first_step
        stopping = stop.signal is not None
        while step < config.train.steps and not stopping:
            batch, stats, data_state["cursor"] = batches.next()
            state, metrics = step_fn(state, batch)
            step += 1
            window.add(stats)
            if step < config.train.steps:
                batches.read_ahead(running=metrics["loss"])
            window.waited += batches.waited()
            stop.agree(step)
            # Asked once: a signal that comes later in this turn is answered in the next.
            stopping = stop.signal is not None
            last = step == config.train.steps
            saves = step % config.checkpoint.every == 0 or last or stopping
            # With each save too: what is counted here would be lost to a run that goes on.
            logs = step % config.train.log_every == 0 or step == 1 or saves
            evaluates = bool(evaluator) and (step % during.every == 0 or last)
            if logs or evaluates:
                _check_finite(step, metrics, checkpoints.latest_step)
            if logs:
                window = window.over_processes(len(rows), config.train.batch_rows)
                row = _row(config, step, jax.device_get(metrics), categories, schedule, window)
                if writer:
                    writer.write(row)
                    progress.update(
                        step,
                        f"loss {row['loss']:.3f}  {row['tokens_per_second']:,.0f} tokens/s",
                        (config.train.steps - step) * row["seconds_per_step"],
                        final=last,
                    )
                window = DataWindow(pipeline.sources, categories)
            if evaluator and evaluates:
                asked = time.monotonic()
                scores = evaluator(step, state.params)
                if writer:
                    writer.write(_scores_row(config, step, scores))
                if best and during.keep_best in scores:
                    best.offer(step, scores[during.keep_best], state.params)
                window.began += time.monotonic() - asked  # not the time of training
            if saves:
                if writer:
                    writer.sync()
                checkpoints.save(step, state.params, state.opt_state, dict(data_state))
    return Result(first_step, step, stop.signal, time.monotonic() - began)


def _count_first(config: ExperimentConfig, data_dir: pathlib.Path) -> None:
    """Has one of several processes count the data sets; the others find what it has written.

    A mistake is told by all of them, when they plan.
    """
    if jax.process_count() > 1 and is_main():
        with contextlib.suppress(ValueError):
            plan_mixture(config, data_dir)
    wait_for_all("counted data sets")


def _initial_state(config, starts, checkpoints, step, mesh):
    """(state, divided over the mesh; data state as of `data/history.py`)."""
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
    return TrainState(done, params, opt_state), {}


def _check_finite(step: int, metrics: Mapping[str, Any], saved: int | None) -> None:
    """FloatingPointError for a state that must be neither saved nor scored.

    The loss is of the parameters before the step, the gradient of those after it.
    """
    for name, words in (("loss", "the loss"), ("grad_norm", "the norm of the gradients")):
        value = float(metrics[name])
        if not math.isfinite(value):
            newest = (
                f"the newest checkpoint is of step {saved}" if saved else "nothing is saved yet"
            )
            raise FloatingPointError(f"{words} is {value} at step {step}; {newest}")


def _write_data_log(run_dir: pathlib.Path, data_state: dict) -> None:
    """`data_log.jsonl`: a line for each plan of the run; a change of the data is told as well."""
    *_, latest = data_state["history"]
    for change in latest.get("changes", ()):
        log.warning("data changed at step %d: %s", latest["from_step"], change)
    text = "".join(json.dumps(entry) + "\n" for entry in data_state["history"])
    storage.write_atomically(run_dir / run.DATA_LOG, text.encode())


def _scores_row(config, step: int, scores: Mapping[str, float]) -> dict:
    """A row of metrics.jsonl with scores alone."""
    row = {"step": step, "stage": config.stage, "experiment": config.name}
    return row | {f"score/{name}": value for name, value in scores.items()}


def _row(config, step, metrics, categories, schedule, window: DataWindow) -> dict:
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
        "input_wait_share": window.waited / seconds,
        "token_fill": window.token_fill / window.steps,
        "tile_fill": window.tile_fill / window.steps,
        **window.ratios(),
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
