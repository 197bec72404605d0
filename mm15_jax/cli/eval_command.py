"""mm15 eval [EXPERIMENT] --run_dir RUN [--benchmarks NAMES] [--split SPLIT] [--gallery] [--set ...]

Scores a run on held-out data: benchmark names, categories (text_rich), suites (mini) or all,
separated by commas. Resumes: an answer that the same parameters gave is not asked for again.
EXPERIMENT chooses a stage of a chain's directory, and its scores are in that stage's folder; the
last one answers where it is not given, and its scores are in RUN. One whose stage is evaluation,
such as mm15_video_7b_training_free, asks the run of the experiment that it starts from in its own
way, and what comes of it is in RUN/EXPERIMENT.
With --likelihood also how likely the model finds the right answers.
Scores that tables 4 to 12 of the paper have are shown beside the paper's too, and in
paper_tables.md.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time

from absl import flags as absl_flags

from mm15_jax.cli import common
from mm15_jax.config import ExperimentConfig, load, set_by_hand, validate
from mm15_jax.data.storage import to_path
from mm15_jax.evaluation.benchmarks import TABLE, resolve

# Parts of a config that decide how a trained model is asked.
_DECIDES = ("eval", "inputs", "mesh", "model")


def define_flags(flags) -> None:
    """Which run, on what, and changes of its evaluation settings."""
    common.define_json(flags)
    common.define_set(flags)
    common.define_data_dir(flags)
    common.define_string(flags, "run_dir", None, "the run to score")
    common.define_string(flags, "out_dir", None, "where results go; into the run where not given")
    common.define_checkpoint(flags)
    common.define_string(flags, "benchmarks", None, "names, categories, suites or all; by comma")
    absl_flags.DEFINE_integer(
        "limit",
        None,
        "questions of each benchmark, the first ones; 0: all; eval.examples where not given",
        lower_bound=0,
        flag_values=flags,
    )
    absl_flags.DEFINE_boolean(
        "likelihood", False, "also the probability of the right answers", flag_values=flags
    )
    absl_flags.DEFINE_boolean("list", False, "print the table of benchmarks", flag_values=flags)
    absl_flags.DEFINE_boolean(
        "gallery", False, "write a page of mistakes into the run directory", flag_values=flags
    )
    absl_flags.DEFINE_boolean(
        "paper", True, "print the paper's tables that have one of the scores", flag_values=flags
    )
    absl_flags.DEFINE_boolean(
        "peers", False, "in the paper's tables: MM1 and models of others too", flag_values=flags
    )
    absl_flags.DEFINE_enum(
        "split",
        "test",
        ["test", "validation"],
        "held-out split: validation for decisions, test for the result",
        flag_values=flags,
    )


def main(arguments, flags) -> int:
    """Prints the table of scores; scores.json and all answers go into the run directory."""
    if flags.list:
        print_benchmarks(flags.json)
        return 0
    check(arguments, flags)
    run_dir, own, folder = _asked(arguments, flags)
    config = _changed(own, flags.set)
    validate(config)
    out_dir = folder / _otherwise(own, flags)
    if flags.out_dir:
        out_dir = common.folder_to_write("out_dir", flags.out_dir)
    names = _names(config, flags)
    if not names:
        raise ValueError(f"{config.name} names no benchmarks; choose some with --benchmarks")
    resolve(names)  # a mistyped name is told before parameters are read
    data_dir = to_path(flags.data_dir or common.DATA_DIR)
    results = evaluate_run(
        run_dir,
        config,
        data_dir,
        names,
        flags.split,
        out_dir,
        limit=flags.limit,
        which=flags.checkpoint,
        likelihoods=flags.likelihood,
    )
    from mm15_jax.parallel.startup import is_main  # brings JAX

    if not is_main():
        return 0
    from mm15_jax.checkpoint import run

    # Of a run that is to go on, `mm15 ablate` asks again when it has ended.
    final = flags.checkpoint == "latest" and run.is_complete(run_dir)
    if flags.split == "test" and final:
        from mm15_jax.ablations import answered

        examples = config.eval.examples if flags.limit is None else flags.limit
        how = answered.How(examples, tuple(flags.set), config.train.steps)
        chosen = [row.name for row in resolve(names)]
        answered.note(out_dir, how, chosen, data_dir, likelihoods=flags.likelihood)
    if not flags.out_dir and out_dir != folder:
        print(f"asked otherwise than the run's own scores: {out_dir}", file=sys.stderr)
    if flags.gallery:
        from mm15_jax.evaluation.gallery import build_gallery

        print(f"mistakes: {build_gallery(out_dir, flags.split)}", file=sys.stderr)
    tables = _paper_tables(out_dir, config, results, flags.peers) if flags.paper else []
    if flags.json:
        from mm15_jax.evaluation.paper_render import to_dict

        paper = {"paper": [to_dict(table) for table in tables]} if flags.paper else {}
        print(json.dumps(results.to_json() | paper, indent=1))
    else:
        from mm15_jax.evaluation.paper_render import print_tables
        from mm15_jax.evaluation.score_table import print_scores

        print_scores(results)
        print_tables(tables)
        if flags["paper"].present and flags.paper and not tables:
            print("None of these scores is in tables 4 to 12 of the paper.")
    return 0


def check(arguments, flags) -> None:
    """Tells what is wrong with a command without its run, which may be on other machines.

    Raises:
        ValueError: For what `main` would refuse, whatever the run.
    """
    if flags.peers and not flags.paper:
        raise ValueError("--peers adds models to the paper's tables, which --nopaper leaves out")
    named = load(common.one_experiment(arguments, "eval")) if arguments else None
    if flags.run_dir is None:
        raise ValueError(common.NO_RUN_DIR)
    # Every experiment has the same fields.
    config = _changed(named or ExperimentConfig("", "", ""), flags.set)
    if names := _names(config, flags):
        resolve(names)


def _names(config, flags):
    """Of benchmarks, categories or suites."""
    return flags.benchmarks.split(",") if flags.benchmarks else config.eval.benchmarks


def _asked(arguments, flags):
    """The run that answers, the config by which it is asked (but for --set), its results' place."""
    if not arguments:
        run_dir, config = common.run_config(flags.run_dir)
        # A chain's scores are its last stage's, beside its page, as of `mm15 train --report`.
        return run_dir, config, to_path(flags.run_dir)
    named = load(common.one_experiment(arguments, "eval"))
    asks = named.stage == "evaluation"
    trained_as = named.init_from[0].experiment if asks else named.name
    inside = to_path(flags.run_dir or "") / trained_as  # of a chain's directory
    there = flags.run_dir and inside.is_dir()
    run_dir, config = common.run_config(str(inside) if there else flags.run_dir)
    if config.name != trained_as:
        asked = f"{named.name} asks a run of {trained_as}, and " if asks else ""
        raise ValueError(f"{asked}{run_dir} is a run of {config.name}, not of {trained_as}")
    if not asks:
        return run_dir, config, run_dir
    # Model and tokenizer are the run's, whatever it was trained with.
    inputs = dataclasses.replace(named.inputs, tokenizer=config.inputs.tokenizer)
    named = dataclasses.replace(named, model=config.model, inputs=inputs)
    return run_dir, named, run_dir / named.name


def _otherwise(own, flags) -> str:
    """The folder, within that of a run's own scores, of what is asked otherwise; "" of them.

    So neither takes the other's place. What changes no answer, such as `eval.examples`, does not
    count.
    """
    words = [flags.checkpoint] if flags.checkpoint != "latest" else []
    for assignment in flags.set:
        changed = set_by_hand(own, [assignment])
        if _answers_by(changed) != _answers_by(own):
            words.append(assignment.replace("/", "_"))
    return "/".join(("asked", ",".join(words))) if words else ""


def _answers_by(config):
    asked = config.eval
    return (
        config.model, config.inputs, asked.max_new_tokens, asked.n_min, asked.n_max,
        asked.indicator,
    )  # fmt: skip


def _changed(config, assignments):
    config = set_by_hand(config, assignments)
    for assignment in assignments:
        key = assignment.partition("=")[0].strip()
        if key.partition(".")[0] not in _DECIDES:
            known = ", ".join(f"{part}.*" for part in _DECIDES)
            raise ValueError(f"--set {key} changes nothing in an evaluation; expected {known}")
    return config


def print_benchmarks(as_json: bool) -> None:
    """The table of benchmarks: name, category, metric and what it is held against."""
    from mm15_jax.evaluation.benchmark_list import describe, print_list

    if as_json:
        print(json.dumps([describe(row) for row in TABLE], indent=1))
    else:
        print_list()


def _paper_tables(run_dir, config, results, peers):
    """The paper's tables with these scores; as Markdown they also go into the run directory."""
    from mm15_jax.evaluation.paper_render import write_tables
    from mm15_jax.evaluation.paper_tables import paper_tables

    tables = paper_tables(results, peers=peers, name=config.name)
    write_tables(run_dir, tables, results.split)
    return tables


def evaluate_run(
    run_dir,
    config,
    data_dir,
    names,
    split="test",
    out_dir=None,
    limit=None,
    which="latest",
    likelihoods=False,
):
    """Scores parameters of a run; results also go into its (or another) directory.

    Of each benchmark the first `limit` questions are asked, all by 0, and as many as the config
    says by None.
    """
    from mm15_jax.evaluation.runner import evaluate

    judge = _judge([row.name for row in resolve(names) if row.judge])
    generator = common.generator(run_dir, config, which)
    limit = config.eval.examples if limit is None else limit
    return evaluate(
        generator,
        data_dir,
        names,
        split=split,
        limit=limit or None,
        out_dir=out_dir or run_dir,
        max_new_tokens=config.eval.max_new_tokens,
        batch_size=config.eval.batch_size,
        judge=judge,
        likelihoods=likelihoods,
        progress=_Progress(),
    )


def _judge(benchmarks):
    """The judge that the environment names; None, and a sentence, where it names none."""
    if not benchmarks:
        return None
    from mm15_jax.evaluation.judges.client import judge_from_environment

    try:
        return judge_from_environment()
    except ValueError as error:
        print(f"without a judge {', '.join(benchmarks)} have no score: {error}", file=sys.stderr)
        return None


class _Progress:
    """A line a benchmark on stderr, with the pace of answers."""

    def __init__(self):
        self._began = time.monotonic()

    def __call__(self, benchmark: str, answered: int, total: int) -> None:
        from mm15_jax.data.progress import duration

        spent = time.monotonic() - self._began
        if answered == total:
            print(f"{benchmark}: {total} answers in {duration(spent)}", file=sys.stderr)
            self._began = time.monotonic()  # of the next benchmark
        elif sys.stderr.isatty():
            left = spent / answered * (total - answered)
            print(
                f"{benchmark}: {answered}/{total}  eta {duration(left)}\x1b[K",
                end="\r",
                file=sys.stderr,
                flush=True,
            )
