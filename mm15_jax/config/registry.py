"""Experiments by name, or from a user's own file."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import pathlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator

from mm15_jax.config.mixtures import Mixture, find
from mm15_jax.config.names import unknown
from mm15_jax.config.overrides import set_by_hand
from mm15_jax.config.render import from_dict, to_dict
from mm15_jax.config.schema import ExperimentConfig
from mm15_jax.config.validate import validate


def experiments() -> dict[str, Callable[[], ExperimentConfig]]:
    """Every named experiment. Imported late: experiments themselves import the config types."""
    return importlib.import_module("mm15_jax.experiments").EXPERIMENTS


def load(name: str, overrides: Iterable[str] = ()) -> ExperimentConfig:
    """The resolved, validated config of `name` or `path/to/file.py:function`.

    Raises ValueError for an unknown name (with the nearest ones), a file that gives no config, a
    bad override, or values that contradict each other.
    """
    if ".py" in name or ":" in name:
        config = _config_of_file(name)
    else:
        known = experiments()
        if name not in known:
            raise unknown("experiment", name, known)
        config = known[name]()
    config = set_by_hand(config, overrides)
    for start in config.init_from if config.was_given("init_from") else ():
        if start.experiment not in experiments():
            raise unknown("experiment in init_from:", start.experiment, experiments())
    validate(config)
    mixture(config)
    return config


def mixture(config: ExperimentConfig) -> Mixture:
    """The mixture of data sets that an experiment names; ValueError if there is none."""
    return find(
        config.data.mixture, importlib.import_module("mm15_jax.experiments.mixtures").MIXTURES
    )


def _config_of_file(reference: str) -> ExperimentConfig:
    path, colon, function = reference.rpartition(":")
    if not colon or not pathlib.Path(path).is_file():
        raise ValueError(
            f"experiment {reference!r} is not a file and function; write path/to/file.py:function"
        )
    # Not under the stem alone: a file called json.py would take the place of Python's.
    module_name = f"mm15_experiment_{pathlib.Path(path).stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # a dataclass of the file looks up its annotations there
    with _telling(reference, spec.origin):
        spec.loader.exec_module(module)
    if not callable(getattr(module, function, None)):
        names = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise unknown(f"function of {path}", function, names)
    with _telling(reference, spec.origin):
        config = getattr(module, function)()
    if not isinstance(config, ExperimentConfig):
        raise ValueError(
            f"experiment {reference} gives a value of type {type(config).__name__}; expected a"
            " function that returns an ExperimentConfig"
        )
    try:
        from_dict(ExperimentConfig, to_dict(config))  # Python takes a value of any type
    except ValueError as error:
        raise ValueError(f"experiment {reference}: {error}") from None
    return config


@contextlib.contextmanager
def _telling(reference: str, path: str | None) -> Iterator[None]:
    """Whatever goes wrong in a user's file as one sentence that names the line."""
    try:
        yield
    except Exception as error:
        frames = reversed(traceback.extract_tb(error.__traceback__))
        line = next((f" at line {frame.lineno}" for frame in frames if frame.filename == path), "")
        raise ValueError(
            f"experiment {reference} fails{line} ({type(error).__name__}: {error}); expected a"
            " function without arguments that returns an ExperimentConfig"
        ) from error
