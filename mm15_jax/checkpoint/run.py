"""A run directory: one experiment's config, checkpoints, metrics and results."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable
from typing import Any, TypedDict

import jax
import orbax.checkpoint as ocp

from mm15_jax.checkpoint.manager import Checkpoints, check_place
from mm15_jax.config import ExperimentConfig, ModelConfig, from_dict, to_dict
from mm15_jax.data import storage
from mm15_jax.model import mllm

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
BEST = "best"  # folder of the best parameters, by a score of evaluation in training
BEST_SCORE = "best.json"  # which score, of which step
METRICS = "metrics.jsonl"
DATA_LOG = "data_log.jsonl"  # which data the run has read, from which step on
LATEST = "latest"
STARTS = "starts.json"  # where the first parameters came from, a sentence each
STARTED_FROM = "started_from.json"  # configs of the runs they came from, by experiment
STARTED_FROM_DATA = "started_from_data.json"  # and the data that those had read

# Fields that may differ between a run and its continuation: they change when a run ends, what it
# prints or how fast it is, not what a step computes. (Accumulation does where there are experts:
# their load balance is of each part. A run may need it to go on with other hardware all the same.)
_FREE_FIELDS = (
    "train.log_every",
    "checkpoint",
    "eval",
    "data.decode_threads",
    "data.prefetch",
    "data.on_change",
    "data.max_bad_fraction",
    "mesh",
    "meshes",
    "train.accumulation",
    "train.loss_chunk",
    "optimizer.offload",
    "model.encoder.remat",
    "model.decoder.remat",
)
# And those that data.on_change=continue lets differ: the change is recorded (data/history.py).
_DATA_FIELDS = (
    "data.mixture",
    "data.allow_missing",
    "data.weigh_by",
    "data.window",
    "data.long_documents",
)


class DataRead(TypedDict):
    """The records of a data set, as they were when a run read them."""

    version: int  # of the preparation that made them
    records: str  # checksum


def open_for_training(run_dir: pathlib.Path, config: ExperimentConfig) -> None:
    """Makes the directory a run of `config`; ValueError as of `check_for_training`."""
    check_for_training(run_dir, config)
    text = json.dumps(to_dict(config), indent=1) + "\n"
    storage.write_atomically(storage.to_path(run_dir) / CONFIG, text.encode())


def check_for_training(run_dir: pathlib.Path, config: ExperimentConfig) -> None:
    """ValueError where a directory is of another experiment, or of other values of this one.

    Before its first checkpoint there is nothing to go on with: values that a first start failed by
    may be changed.
    """
    run_dir = storage.to_path(run_dir)
    check_place(run_dir)
    if not (run_dir / CONFIG).exists():
        return
    earlier = read_config(run_dir)
    if earlier.name != config.name:
        raise ValueError(
            f"{run_dir} is a run of {earlier.name}, not of {config.name}; "
            "name another directory with --run_dir"
        )
    if not has_checkpoint(run_dir):
        return
    free = _FREE_FIELDS + (_DATA_FIELDS if config.data.on_change == "continue" else ())
    if not (earlier.model.decoder.moe.experts or config.model.decoder.moe.experts):
        free += ("model.decoder.moe",)  # what experts would have
    key = _first_difference(to_dict(earlier), to_dict(config), free)
    if key:
        raise ValueError(
            f"{run_dir} was started with another {key}; continue it with the values in its "
            f"{CONFIG}, or name another directory with --run_dir"
        )


def read_config(run_dir: pathlib.Path) -> ExperimentConfig:
    """The config a run was started with; ValueError if the directory is no run."""
    path = storage.to_path(run_dir) / CONFIG
    with storage.telling(path):
        there = path.is_file()
    if not there:
        raise ValueError(f"{run_dir} is not a run directory: it has no {CONFIG}")
    try:
        return from_dict(ExperimentConfig, json.loads(path.read_text()))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be read as a config: {error}") from None


def began_from(run_dir: pathlib.Path, init_from: str | None) -> bool:
    """Whether a run that is there began from what `--init_from` names, or nobody knows.

    Args:
      run_dir: of a run.
      init_from: as for `mm15 train`: a run directory, "none" for random parameters; None for what
        the experiment names.
    """
    starts = read_starts(run_dir)
    if init_from is None or starts is None:
        return True
    if init_from == "none":
        return not starts
    given = storage.to_path(init_from)
    places = (f"({given})", f"({storage.absolute(given)})")
    return any(start.endswith(places) for start in starts)


def read_starts(run_dir: pathlib.Path) -> list[str] | None:
    """Where a run's first parameters came from, a sentence each; None where nobody wrote it down.

    Raises:
      ValueError: what is there is no list of sentences.
    """
    path = storage.to_path(run_dir) / STARTS
    if not path.is_file():
        return None
    try:
        starts = json.loads(path.read_text())
        if not isinstance(starts, list) or not all(isinstance(start, str) for start in starts):
            raise TypeError(f"is {starts!r:.60}")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); expected a JSON list of sentences: delete it, and"
            " all goes on without"
        ) from error
    return starts


def read_started_from(run_dir: pathlib.Path) -> dict[str, ExperimentConfig]:
    """Experiment -> config, as it was trained, of every run that a run's parameters came from.

    Empty where they came from no run, or where it began before this was written down.
    """
    told = _read_json(storage.to_path(run_dir) / STARTED_FROM)
    return {name: from_dict(ExperimentConfig, config) for name, config in told.items()}


def read_data(run_dir: pathlib.Path) -> dict[str, dict[str, DataRead]]:
    """Experiment -> DATA_SET/train -> what a run, and every run that it came from, read of it last.

    Nothing of a run that packs late, or that began before this was written down.
    """
    run_dir = storage.to_path(run_dir)
    before, log = run_dir / STARTED_FROM_DATA, run_dir / DATA_LOG
    found = _read_json(before)
    if latest := _read_json(log, last_line=True):
        found[read_config(run_dir).name] = {
            f"{source['name']}/train": DataRead(
                version=source["version"], records=source["records"]
            )
            for source in latest.get("sources", ())
            if "records" in source
        }
    return found


def _read_json(path: pathlib.Path, *, last_line: bool = False) -> dict[str, Any]:
    """The object in a file, or on the last line of one; empty where there is no file."""
    if not path.is_file():
        return {}
    text = path.read_text().strip()
    try:
        found = json.loads(text.rpartition("\n")[2] if last_line else text)
        if not isinstance(found, dict):
            raise ValueError(f"it holds {found!r:.40}, no object")
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return found


def write_started_from(run_dir: pathlib.Path, starts: Iterable[pathlib.Path]) -> None:
    """Writes down the configs and the data of the run directories that a run starts from."""
    configs: dict[str, ExperimentConfig] = {}
    data: dict[str, dict[str, DataRead]] = {}
    for start in starts:
        config = read_config(start)
        configs |= {**read_started_from(start), config.name: config}
        data |= read_data(start)
    told = {name: to_dict(config) for name, config in configs.items()}
    for file, content in ((STARTED_FROM, told), (STARTED_FROM_DATA, data)):
        text = json.dumps(content, indent=1) + "\n"
        storage.write_atomically(storage.to_path(run_dir) / file, text.encode())


def _first_difference(
    earlier: dict, now: dict, free: tuple[str, ...], prefix: str = ""
) -> str | None:
    for key, value in now.items():
        name = prefix + key
        if name in free:
            continue
        if isinstance(value, dict) and isinstance(earlier.get(key), dict):
            found = _first_difference(earlier[key], value, free, name + ".")
            if found:
                return found
        elif earlier.get(key) != value:
            return f"{name} ({earlier.get(key)!r}, now {value!r})"
    return None


def abstract_params(model: ModelConfig, sharding: jax.sharding.Sharding) -> Any:
    """Shapes, dtypes and shardings of a model's parameters; allocates nothing."""
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        mllm.abstract_params(model),
    )


def load_params(
    run_dir: pathlib.Path,
    config: ExperimentConfig | None = None,
    abstract: Any = None,
    which: str = LATEST,
) -> Any:
    """The newest parameters of a run, or the best ones that evaluation in training kept; float32.

    They are divided as the tree `abstract` (of `jax.ShapeDtypeStruct` with shardings) says, and
    whole on the default device without one.

    Raises ValueError where there is no checkpoint, or where it does not fit `config`.
    """
    run_dir = storage.to_path(run_dir)
    config = config or read_config(run_dir)
    folder = run_dir / {LATEST: CHECKPOINTS, BEST: BEST}[which]
    if not ocp.utils.checkpoint_steps(folder):
        if which == BEST and has_checkpoint(run_dir):
            raise ValueError(
                f"{run_dir} has kept no best checkpoint: train with eval.during.every and "
                "eval.during.keep_best"
            )
        raise ValueError(f"{run_dir} has no checkpoint yet; train it first")
    checkpoints = Checkpoints(folder)
    try:
        step = checkpoints.latest_step
        assert step is not None, run_dir
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        if abstract is None:
            abstract = abstract_params(config.model, device)
        return checkpoints.restore_params(step, abstract)
    finally:
        checkpoints.close()


def has_checkpoint(run_dir: pathlib.Path) -> bool:
    """Whether any step of a run is whole; one whose save was cut short is not."""
    return bool(_steps(run_dir))


def is_complete(run_dir: pathlib.Path) -> bool:
    """Whether a run's last step has a checkpoint."""
    try:
        config = read_config(run_dir)
    except ValueError:
        return False
    return config.train.steps in _steps(run_dir)


def _steps(run_dir: pathlib.Path) -> list[int]:
    """Steps that are whole: of a name of their own on a disk, with a last file in a bucket."""
    return ocp.utils.checkpoint_steps(storage.to_path(run_dir) / CHECKPOINTS)
