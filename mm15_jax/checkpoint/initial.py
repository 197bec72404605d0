"""The parameters that a run starts with: its own random ones, parts of them replaced."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from mm15_jax.checkpoint import run, shipped
from mm15_jax.checkpoint.manager import compare_shapes, flat_shapes
from mm15_jax.checkpoint.upcycle import upcycle_decoder, wants_upcycling
from mm15_jax.config import ExperimentConfig, ModelConfig, load
from mm15_jax.data import storage
from mm15_jax.model import mllm
from mm15_jax.model.resize import resize_position_tables


@dataclasses.dataclass(frozen=True)
class Start:
    """Where some parts of the parameters come from."""

    experiment: str
    parts: tuple[str, ...]
    run_dir: pathlib.Path | None  # None: the file that ships with the package

    def __str__(self) -> str:
        origin = "shipped with the package" if self.run_dir is None else str(self.run_dir)
        return f"{' + '.join(self.parts)} of {self.experiment} ({origin})"


def find_starts(
    config: ExperimentConfig, run_dir: pathlib.Path, init_from: str | None
) -> tuple[tuple[Start, ...], str]:
    """The starts of a run, and a warning where they are not those that the experiment names.

    `init_from` is a run directory, "none" for random parameters, or None to look for a run of each
    named experiment: beside `run_dir`, then anywhere under the folder above it, then among the
    shipped files. Where the experiment before has no run, its own starts are taken instead, with a
    warning.

    Raises ValueError where nothing can be found.
    """
    if init_from == "none" or (init_from is None and not config.init_from):
        return (), ""
    if init_from is not None:
        source_dir = storage.to_path(init_from)
        source = run.read_config(source_dir)
        parts = next(
            (start.parts for start in config.init_from if start.experiment == source.name),
            ("encoder", "connector", "decoder"),
        )
        return (Start(source.name, parts, source_dir),), ""
    starts, missing = [], []
    for wanted in config.init_from:
        found = _find_run(wanted.experiment, run_dir)
        if found or shipped.is_shipped(wanted.experiment):
            starts.append(Start(wanted.experiment, wanted.parts, found))
        else:
            missing.append(wanted.experiment)
    if not missing:
        return tuple(starts), ""
    earlier = load(missing[0])
    if len(config.init_from) == 1 and earlier.init_from:
        try:
            roots, _ = find_starts(earlier, run_dir, None)
        except ValueError:
            roots = ()
        if roots:
            return roots, (
                f"{config.name} starts from {missing[0]}, which has no finished run near "
                f"{run_dir}: starting from {' and '.join(map(str, roots))} instead; --chain trains "
                "the stages before, --init_from names a run"
            )
    raise ValueError(
        f"{config.name} starts from {missing[0]}, which has no finished run near {run_dir}: "
        f"train it first (mm15 train {missing[0]}), name a run with --init_from RUN_DIR, train all "
        "stages with --chain, or start from random parameters with --init_from none"
    )


def _find_run(experiment: str, run_dir: pathlib.Path) -> pathlib.Path | None:
    above = storage.absolute(run_dir).parent
    places = [above / experiment, *sorted(above.glob(f"*/{experiment}"))]
    return next((place for place in places if run.is_complete(place)), None)


def initial_params(
    config: ExperimentConfig,
    starts: tuple[Start, ...],
    abstract_of: Callable[[ModelConfig], Any] | None = None,
) -> Any:
    """Random parameters by the seed, with the parts of `starts` in their places.

    Position tables are interpolated where the resolution changed, and a dense decoder is upcycled
    where the experiment's has experts (`checkpoint.upcycle`).

    Args:
      config: of the experiment that starts.
      starts: of `find_starts`.
      abstract_of: from a model to its parameters' tree of `jax.ShapeDtypeStruct` with shardings,
        so that parameters are made and read in parts, each where it belongs. None: on one device.

    Raises ValueError where another shape differs.
    """
    if abstract_of is None:
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])

        def abstract_of(model):
            return run.abstract_params(model, device)

    shardings = jax.tree.map(lambda x: x.sharding, abstract_of(config.model))
    init = jax.jit(mllm.init_params, static_argnums=0, out_shardings=shardings)
    params = init(config.model, jax.random.key(config.train.seed))
    for start in starts:
        wanted = {part: shardings[part] for part in start.parts}
        if start.run_dir is None:
            source_model = load(start.experiment).model
            source = {part: shipped.load(start.experiment)[part] for part in start.parts}
        else:
            source_config = run.read_config(start.run_dir)
            source_model = source_config.model
            source = run.load_params(start.run_dir, source_config, abstract_of(source_model))
            source = {part: source[part] for part in start.parts}
        source = resize_position_tables(source, source_model, config.model)
        shapes, upcycle = source, None
        if "decoder" in source and wants_upcycling(source_model, config.model):
            upcycle = functools.partial(upcycle_decoder, target=config.model)
            shapes = {
                **source,
                "decoder": jax.eval_shape(upcycle, source["decoder"], params["decoder"]),
            }
        compare_shapes(
            flat_shapes({part: params[part] for part in start.parts}),
            flat_shapes(shapes),
            str(start),
        )
        if upcycle:
            compiled = jax.jit(upcycle, out_shardings=wanted["decoder"])
            source = {**source, "decoder": compiled(source["decoder"], params["decoder"])}
        params = {**params, **_place(source, wanted)}
    return params


def _place(tree: Any, shardings: Any) -> Any:
    """Arrays, whole on this host or divided already, with the given shardings."""

    def place(x, sharding):
        if jax.process_count() == 1 or not getattr(x, "is_fully_addressable", True):
            return jax.device_put(x, sharding)
        values = np.asarray(x)  # every process has the same
        return jax.make_array_from_callback(values.shape, sharding, lambda index: values[index])

    return jax.tree.map(place, tree, shardings)
