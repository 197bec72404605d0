"""mm15 train EXPERIMENT [--chain] [--report] [--run_dir DIR] [--set key=value ...]

Trains one stage, with --chain also the stages before it, those that have no finished run in
--run_dir. A run directory that has a checkpoint is continued.
"""

from __future__ import annotations

import math
import os
import pathlib
import sys
import time

from absl import flags as absl_flags

from mm15_jax import config as config_lib
from mm15_jax.cli import common, generated
from mm15_jax.data.storage import to_path, write_atomically
from mm15_jax.parallel import environment


def define_flags(flags) -> None:
    """Where to read and write, what to start from, and what to do besides one stage."""
    common.define_set(flags)
    common.define_data_dir(flags)
    common.define_string(
        flags,
        "run_dir",
        None,
        f"a folder or gs://, where the run lives; {common.RUNS_DIR}/EXPERIMENT where not given",
    )
    common.define_string(
        flags, "init_from", None, "run directory to take parameters from; 'none' for random ones"
    )
    absl_flags.DEFINE_boolean(
        "chain",
        False,
        "train also the stages before it, which --set leaves alone, each in a folder of run_dir",
        flag_values=flags,
    )
    absl_flags.DEFINE_boolean(
        "report",
        False,
        "evaluate on held-out data and write report.html at the end",
        flag_values=flags,
    )


def main(arguments, flags) -> int:
    """Trains, evaluates and reports as the flags ask; a stop by a signal exits with 128 + it."""
    config = asked(arguments, flags)
    if flags.report:
        _check_report(config)
    if flags.chain and flags.init_from:
        raise ValueError("--chain decides what each stage starts from; leave out --init_from")
    chain = stages(config) if flags.chain else [config]
    data_dir = generated.data_dir(flags.data_dir, chain)
    run_dir = to_path(flags.run_dir or os.path.join(common.RUNS_DIR, config.name))
    began = time.monotonic()
    if flags.chain:
        # A CPU is divided into devices once, and the rows of every stage divide over them.
        rows = math.gcd(*map(_rows_at_once, chain))
        for stage in chain:
            _train_stage(stage, run_dir / stage.name, data_dir, None, rows)
            _join_metrics(run_dir, [other.name for other in chain])
    else:
        _train_stage(config, run_dir, data_dir, flags.init_from, _rows_at_once(config))
    if flags.report:
        from mm15_jax.cli import report_command

        report_command.evaluate_and_report(run_dir, data_dir, began=began)
    return 0


def _check_report(config) -> None:
    """ValueError where --report would fail when all is trained."""
    from mm15_jax.cli import report_command
    from mm15_jax.evaluation.benchmarks import resolve

    if environment.is_one_of_several():
        raise ValueError("--report is for one process; run mm15 eval and mm15 report afterwards")
    report_command.check(config)
    resolve(config.eval.benchmarks)


def _rows_at_once(config) -> int:
    """Rows that devices have between them at one time: of a part, where gradients are summed."""
    return config.train.batch_rows // config.train.accumulation


def asked(arguments, flags) -> config_lib.ExperimentConfig:
    """The experiment to train; ValueError as of `common.load_experiment`, or if it trains none."""
    config = common.load_experiment(arguments, flags, "train")
    if config.stage == "evaluation":
        run = f"a run of {config.init_from[0].experiment}" if config.init_from else "another's run"
        raise ValueError(
            f"{config.name} trains nothing; it asks {run}: mm15 eval {config.name} --run_dir RUN"
        )
    return config


def stages(config) -> list:
    """The experiment and those it starts from, first to last; shipped ones are not trained."""
    from mm15_jax.checkpoint import shipped

    chain = [config]
    while chain[0].init_from:
        names = [start.experiment for start in chain[0].init_from]
        if all(shipped.is_shipped(name) for name in names):
            break
        chain = [config_lib.load(name) for name in names] + chain
    return chain


def _join_metrics(run_dir: pathlib.Path, stages: list[str]) -> None:
    """The chain's own metrics.jsonl: its stages' rows, one after the other."""
    import jax

    if jax.process_index():
        return
    paths = [run_dir / stage / "metrics.jsonl" for stage in stages]
    text = "".join(path.read_text() for path in paths if path.exists())
    write_atomically(run_dir / "metrics.jsonl", text.encode())


def _train_stage(config, run_dir, data_dir, init_from, rows: int) -> None:
    """Trains `config`; a CPU becomes as many devices as `rows` divide over."""
    from mm15_jax.parallel.startup import start_jax

    start_jax(rows)
    from mm15_jax.checkpoint import run
    from mm15_jax.checkpoint.initial import find_starts
    from mm15_jax.data.progress import duration
    from mm15_jax.train.loop import train

    # A run that goes on has its parameters; those it began with may be gone.
    goes_on = run.has_checkpoint(run_dir)
    starts, warning = ((), "") if goes_on else find_starts(config, run_dir, init_from)
    if warning:
        print(f"warning: {warning}", file=sys.stderr)
    _check_inputs(config, data_dir)
    if goes_on and not run.began_from(run_dir, init_from):
        print(
            f"warning: {run_dir} goes on from its checkpoint, and did not start from {init_from}:"
            " --init_from is for a new run, in another --run_dir",
            file=sys.stderr,
        )
    for start in starts or (() if goes_on else ("random parameters",)):
        print(f"{config.name} starts from {start}", file=sys.stderr)
    evaluator = None
    if config.eval.during.every:
        from mm15_jax.evaluation.during import DuringTraining

        evaluator = DuringTraining(config, run_dir, data_dir)
    result = train(config, run_dir, data_dir, starts, evaluator)
    if result.stopped_by:
        print(
            f"stopped by signal {result.stopped_by} after step {result.last_step}; saved; the same "
            f"command continues",
            file=sys.stderr,
        )
        raise SystemExit(128 + result.stopped_by)
    done = "was complete" if result.first_step == result.last_step else "trained"
    print(
        f"{config.name} {done}: step {result.last_step} in {run_dir} ({duration(result.seconds)})",
        file=sys.stderr,
    )


def _check_inputs(config, data_dir) -> None:
    """ValueError for missing data or a tokenizer that does not fit, before there are parameters."""
    from mm15_jax.config.mixtures import dataset_names
    from mm15_jax.data.inventory import dataset_counts
    from mm15_jax.inputs.tokenizer import check_embedded, load_tokenizer

    check_embedded(load_tokenizer(config.inputs.tokenizer), config.model.decoder.vocab_size)
    streams = config.data.stream_sources()
    names = [name for name in dataset_names(config_lib.mixture(config)) if name not in streams]
    if names:
        dataset_counts(names, data_dir, allow_missing=config.data.allow_missing)
