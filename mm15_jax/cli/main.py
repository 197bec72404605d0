"""`mm15 COMMAND ...`: finds the command, reads its flags, answers mistakes in one sentence.

Each command is a module of this package with `define_flags(flags)` and `main(arguments, flags)`.
A command's module is imported when it is called, so that `mm15 --help` is quick.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import textwrap

from absl import flags as absl_flags

from mm15_jax.config.names import unknown
from mm15_jax.parallel.signals import watch_parent

COMMANDS = {
    "list": "experiments by family, with stage, parameters and mixture",
    "show": "the resolved config of an experiment",
    "prepare": "make a data set ready for training: shards and an index",
    "inspect": "look at what training will see: rows, mixture, fill",
    "train": "train one stage, or a chain of stages",
    "eval": "score a run on held-out benchmarks",
    "generate": "answer a question about a picture",
    "report": "write a run's report page anew",
    "ablate": "run a table or figure of the paper, compare, judge its findings",
    "launch": "run a command on local processes, Slurm, TPU VMs, GKE",
    "plan": "compile for TPUs that are not here: memory, time bound, best mesh",
}
USER_ERROR = 2
INTERRUPTED = 130  # as a shell has it of SIGINT
_GO_ON = ("prepare", "eval")  # others say so themselves, or have nothing to go on with
USAGE = "usage: mm15 COMMAND [ARGUMENTS] [--flags]"
_FILE_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)
_WIDTH = 100


def run() -> None:
    """Entry point of the console script."""
    watch_parent()
    if sys.stdout is None:
        print("mm15: standard output is closed: send it to /dev/null instead", file=sys.stderr)
        sys.exit(1)
    sys.exit(main(sys.argv[1:]))


def main(argv: list[str]) -> int:
    """Runs one command; returns the process's exit code."""
    try:
        if not argv or argv[0] in ("-h", "--help", "help"):
            print(_overview(), flush=True)
            return 0 if argv else USER_ERROR
        return _dispatch(argv[0], argv[1:])
    except (ValueError, *_FILE_ERRORS) as error:
        if os.environ.get("MM15_TRACEBACK"):
            raise
        print(f"mm15: {' '.join(str(error).split())}", file=sys.stderr)
        return USER_ERROR
    except FloatingPointError as error:
        print(f"mm15: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        goes_on = "; the same command goes on" if argv[0] in _GO_ON else ""
        print(f"\nmm15 {argv[0]}: interrupted{goes_on}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from mm15_jax.data.storage import is_of_store

        told = isinstance(error, OSError) or is_of_store(error)  # a full disk, a silent bucket
        if not told or os.environ.get("MM15_TRACEBACK"):
            raise
        print(f"mm15: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


def _dispatch(name: str, argv: list[str]) -> int:
    if name not in COMMANDS:
        raise unknown("command", name, COMMANDS)
    module = importlib.import_module(f"mm15_jax.cli.{name}_command")
    flags = absl_flags.FlagValues()
    module.define_flags(flags)
    if any(word in ("-h", "--help") for word in argv):
        print(f"{(module.__doc__ or '').strip()}\n\nflags:\n{_flag_help(flags)}")
        return 0
    _configure_logging()
    try:
        arguments = flags([f"mm15 {name}", *gather_set(argv)])[1:]
    except absl_flags.Error as error:
        raise ValueError(f"{str(error).rstrip(' ?.')}; see mm15 {name} --help") from None
    return module.main(arguments, flags) or 0


def _configure_logging() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("mm15_jax").setLevel(logging.INFO)


def gather_set(argv: list[str]) -> list[str]:
    """`--set a=1 b=2` as `--set=a=1 --set=b=2`, so that one --set takes several assignments.

    Raises ValueError where no assignment follows one.
    """
    gathered, following, first = [], False, False
    for word in [*argv, "--"]:
        is_assignment = following and not word.startswith("-") and "=" in word
        if first and not is_assignment:
            raise ValueError(f"--set {word if word != '--' else ''}".rstrip() + ": no key=value")
        first = word == "--set"
        following = first or is_assignment
        if is_assignment:
            gathered.append(f"--set={word}")
        elif not first:
            gathered.append(word)
    return gathered[:-1]


def _flag_help(flags: absl_flags.FlagValues) -> str:
    shown = [name for name in sorted(flags) if name not in ("flagfile", "undefok")]
    indent = max(map(len, shown)) + 6
    lines = []
    for name in shown:
        # absl adds a remark of its own to flags that may be given more than once.
        text = (flags[name].help or "").split(";\n")[0]
        text += _default(flags[name])
        lines += textwrap.wrap(
            text,
            _WIDTH,
            initial_indent=f"  --{name}".ljust(indent),
            subsequent_indent=" " * indent,
        )
    return "\n".join(lines)


def _default(flag: absl_flags.Flag) -> str:
    """What holds where a flag is not given; "" where that goes without saying."""
    if flag.default in (None, False, "", []):
        return ""
    if flag.default is True:
        return f" (the default; --no{flag.name} does not)"
    several = isinstance(flag.default, list)
    return f" (default: {','.join(map(str, flag.default)) if several else flag.default})"


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()]
    return "\n".join([USAGE, "", *lines, "", "mm15 COMMAND --help tells a command's flags."])


if __name__ == "__main__":
    run()
