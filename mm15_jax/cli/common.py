"""What several commands share: flags, and the one experiment that is named."""

from __future__ import annotations

import pathlib

from absl import flags as absl_flags

from mm15_jax.config import ExperimentConfig, load

DATA_DIR = "datasets"
RUNS_DIR = "runs"
NO_RUN_DIR = "name the run with --run_dir RUN_DIR"


def define_set(flags: absl_flags.FlagValues) -> None:
    """Adds --set, of which `main.gather_set` lets one take several assignments."""
    absl_flags.DEFINE_multi_string(
        "set", [], "fields to change, key=value; takes several", flag_values=flags
    )


def define_json(flags: absl_flags.FlagValues) -> None:
    """Adds --json: the command then prints one JSON value and nothing else on stdout."""
    absl_flags.DEFINE_boolean("json", False, "print JSON", flag_values=flags)


def define_string(flags: absl_flags.FlagValues, name: str, default: str | None, text: str) -> None:
    """Adds a flag that takes text."""
    absl_flags.DEFINE_string(name, default, text, flag_values=flags)


def define_data_dir(flags: absl_flags.FlagValues) -> None:
    """Adds --data_dir, None where it is not given: the default folder is filled on demand."""
    define_string(
        flags,
        "data_dir",
        None,
        f"prepared data sets: a folder, gs:// or s3://; {DATA_DIR}/ where not given",
    )


def one_experiment(arguments: list[str], command: str) -> str:
    """The single positional argument; ValueError where there is none or more."""
    if len(arguments) != 1:
        given = f"{len(arguments)} ({' '.join(arguments)})" if arguments else "none"
        raise ValueError(f"mm15 {command} takes one experiment, was given {given}; see mm15 list")
    return arguments[0]


def load_experiment(
    arguments: list[str], flags: absl_flags.FlagValues, command: str
) -> ExperimentConfig:
    """The one experiment that is named, with --set applied; ValueError as of `config.load`."""
    return load(one_experiment(arguments, command), flags.set)


def run_config(run_dir: str | None) -> tuple[pathlib.Path, ExperimentConfig]:
    """A run directory, or the last stage inside a chain's, and its config."""
    from mm15_jax.infer.load import find_run

    if run_dir is None:
        raise ValueError(NO_RUN_DIR)
    return find_run(run_dir, places=RUNS_DIR)


def folder_to_write(flag: str, path: str) -> pathlib.Path:
    """A folder that a flag names, made if it is not there; ValueError where it cannot be."""
    from mm15_jax.data.storage import to_path

    folder = to_path(path)
    if "://" in path:
        return folder
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--{flag} {path} is a file; expected a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--{flag} {path} cannot be made: {error.strerror}") from None
    return folder


def define_checkpoint(flags: absl_flags.FlagValues) -> None:
    """Adds --checkpoint: which parameters of a run answer."""
    absl_flags.DEFINE_enum(
        "checkpoint",
        "latest",
        ["latest", "best"],
        "the newest parameters, or the best by eval.during.keep_best",
        flag_values=flags,
    )


def generator(run_dir: pathlib.Path, config: ExperimentConfig, which: str = "latest"):
    """Parameters of a run, ready to answer; over the mesh where there are several devices."""
    from mm15_jax.infer.load import load_generator

    return load_generator(run_dir, config, which)
