"""The generated data sets, made where a command needs them and nobody named a folder."""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Sequence

from mm15_jax import config as config_lib
from mm15_jax.cli import common
from mm15_jax.config import ExperimentConfig
from mm15_jax.data.storage import to_path
from mm15_jax.parallel import environment


def data_dir(
    given: str | None, configs: Sequence[ExperimentConfig], benchmarks: Sequence[str] = ()
) -> pathlib.Path:
    """Where the data is. In the default folder, what can be generated is, if missing or outdated.

    Args:
      given: by --data_dir; None for the default folder.
      configs: experiments whose mixtures are needed.
      benchmarks: whose data sets are needed as well.
    """
    if given is not None:
        return to_path(given)
    folder = pathlib.Path(common.DATA_DIR)
    from mm15_jax.config.mixtures import dataset_names
    from mm15_jax.data.records import MANIFEST, find_manifest
    from mm15_jax.data.registry import all_preparations
    from mm15_jax.evaluation.benchmarks import find

    known = all_preparations()
    wanted = [n for config in configs for n in dataset_names(config_lib.mixture(config))]
    wanted += [part.data_set for name in benchmarks for part in find(name).data_sets]
    missing = [
        name
        for name in dict.fromkeys(wanted)
        if name in known
        and not known[name].requires_source
        and _version(folder / name / "test" / MANIFEST) != known[name].version
    ]
    for name in dict.fromkeys(name for name in wanted if name not in missing):
        made = find_manifest(folder / name / "train")
        if made and (limit := made.settings.get("limit")):
            print(
                f"warning: {folder / name} was prepared with --limit {limit}: `mm15 prepare {name}`"
                " makes all of it",
                file=sys.stderr,
            )
    if environment.is_one_of_several():
        _prepare_once(missing, folder, configs[0].train.batch_rows)
    else:
        _prepare(missing, folder)
    return folder


def _version(manifest: pathlib.Path) -> int | None:
    """Of the preparation that made a data set; None where there is none."""
    if not manifest.is_file():
        return None
    try:
        return json.loads(manifest.read_bytes())["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{manifest} cannot be read ({type(error).__name__}: {error}); expected a JSON object"
            ' with "version": delete it, and the data set is generated anew'
        ) from error


def _prepare(missing: list[str], folder: pathlib.Path) -> None:
    from mm15_jax.data.prepare import prepare_many

    if missing:
        print(f"generating {len(missing)} data sets in {folder}/", file=sys.stderr)
        prepare_many(missing, folder)


def _prepare_once(missing: list[str], folder: pathlib.Path, batch_rows: int) -> None:
    """The first of several processes prepares, while the others wait."""
    from mm15_jax.parallel import startup

    startup.start_jax(batch_rows)
    if startup.is_main():
        _prepare(missing, folder)
    startup.wait_for_all("data sets")
