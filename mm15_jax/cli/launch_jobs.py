"""From the words after `--` of `mm15 launch` to jobs, each with the mesh that it has there."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from absl import flags as absl_flags

from mm15_jax.cli import eval_command, main, train_command
from mm15_jax.config.jobs import Job
from mm15_jax.config.names import unknown
from mm15_jax.launch import names
from mm15_jax.launch.hardware import Hardware, settle

COMMANDS = ("train", "eval", "ablate")
# Flags of `mm15 ablate` that go into the rows' commands.
_OF_ROWS = ("set", "data_dir", "scale", "run_dir", "rows", "starts", "seeds")
_HOW = "write the command after --, as in: mm15 launch local -- train mm15_nano_sft"


@dataclass(frozen=True)
class Launch:
    """What is to be launched."""

    name: str  # as the user, or else the experiment, calls it
    jobs: tuple[Job, ...]
    summaries: tuple[str, ...]  # a line for each stage that was planned
    missing: tuple[str, ...]  # sentences: what the commands must be given before they can run


def expand(words: Sequence[str], hardware: Hardware, name: str = "") -> Launch:
    """The jobs of a command.

    Args:
        words: The command without `mm15`.
        hardware: Where it is to run.
        name: Of the user; the experiment's or the ablation's where empty.

    Raises:
        ValueError: For a command that is none, or that the hardware cannot run.
    """
    if not words:
        raise ValueError(f"nothing to launch: {_HOW}")
    command, *rest = words
    if command not in COMMANDS:
        raise unknown("command to launch:", command, COMMANDS)
    names.check_words(words)
    flags, arguments = _parsed(command, rest)
    planner = _Planner(hardware)
    if command == "ablate":
        title, jobs = _ablation(arguments, flags)
    elif command == "train":
        title = train_command.asked(arguments, flags).name
        jobs = [Job(name or title, (tuple(words),))]
    else:
        if flags.list:
            raise ValueError("--list asks no machines: run mm15 eval --list here")
        eval_command.check(arguments, flags)
        title = f"eval_{arguments[0]}" if arguments else "eval"
        jobs = [Job(name or title, (tuple(words),))]
    jobs = [
        job
        if job.alone
        else dataclasses.replace(job, commands=tuple(planner.planned(c) for c in job.commands))
        for job in jobs
    ]
    return Launch(
        name or title, tuple(jobs), tuple(planner.summaries), tuple(dict.fromkeys(planner.missing))
    )


def _parsed(command: str, words: Sequence[str]) -> tuple[Any, list[str]]:
    """A command's flags and arguments, read as the command itself reads them."""
    module = importlib.import_module(f"mm15_jax.cli.{command}_command")
    flags = absl_flags.FlagValues()
    module.define_flags(flags)
    try:
        return flags, flags([command, *main.gather_set(list(words))])[1:]
    except absl_flags.Error as error:
        raise ValueError(f"{str(error).rstrip(' ?.')}; see mm15 {command} --help") from None


def _ablation(arguments: list[str], flags: Any) -> tuple[str, list[Job]]:
    """The ablation's name with its scale, and its jobs."""
    from mm15_jax import ablations
    from mm15_jax.cli.ablate_command import RUN_DIR

    for name in flags:
        if flags[name].present and name not in _OF_ROWS:
            table = "".join(f" {argument}" for argument in arguments)
            how = f"run mm15 ablate{table} --{name} here, without mm15 launch"
            how = "--at_once before -- is how many run at once" if name == "workers" else how
            raise ValueError(f"--{name} would not reach the rows that are launched: {how}")
    if len(arguments) != 1:
        given = " ".join(arguments) or "none"
        raise ValueError(f"mm15 launch takes one table or figure to ablate, was given {given}")
    (table,) = arguments
    jobs = ablations.jobs(
        table,
        flags.scale,
        run_dir=flags.run_dir or RUN_DIR,
        data_dir=flags.data_dir,
        rows=flags.rows,
        starts=flags.starts,
        seeds=flags.seeds,
        overrides=flags.set,
    )
    return f"{table}_{flags.scale}", jobs


class _Planner:
    """Holds commands against the hardware; gives training the settings that it has there."""

    def __init__(self, hardware: Hardware):
        self._hardware = hardware
        self.summaries: list[str] = []
        self.missing: list[str] = []

    def planned(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """The command as it runs there; ValueError if it cannot."""
        flags, arguments = _parsed(command[0], command[1:])
        if self._hardware.only_image and arguments and ".py" in arguments[0]:
            raise ValueError(
                f"{arguments[0]} is not in the image: put the experiment into experiments/ and "
                "build the image anew (docs/cloud.md)"
            )
        if not self._hardware.shared_disk:
            self.missing += _missing_directories(command[0], flags)
        if command[0] != "train":
            return command
        config = train_command.asked(arguments, flags)
        if not config.inputs.tokenizer:
            self.missing.append(
                f"{config.name} has no tokenizer: --set inputs.tokenizer=PATH, a SentencePiece "
                f".model or a tokenizer.json, where every host finds it"
            )
        if self._hardware.topology is None:
            return command
        if flags.report or flags.chain:
            raise ValueError(
                "a pod trains one stage a launch, on a mesh of its own: leave out --chain and "
                "--report; docs/pods.md has the stages in a row, and mm15 eval after them"
            )
        fit = settle(config, self._hardware)
        if fit.summary not in self.summaries:
            self.summaries.append(fit.summary)
        return (*command, "--set", *fit.settings) if fit.settings else command


def _missing_directories(command: str, flags: Any) -> Iterator[str]:
    """What the hosts of a pod, which share no disk, would not find."""
    if not (flags.run_dir or "").startswith("gs://"):
        yield f"{command} has no run in a bucket: --run_dir gs://BUCKET/runs/NAME"
    if not flags.data_dir:
        yield (
            f"{command} has no data that every host sees: --data_dir gs://BUCKET/datasets, made by "
            f"mm15 prepare ... --out gs://BUCKET/datasets"
        )
