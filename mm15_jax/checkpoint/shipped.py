"""Small pre-trained parts that ship with the package: nano's encoder and text decoder.

MM1.5 begins from CLIP and a language model; the miniature begins from these. Each file is the
result of a named experiment; its metadata says which command and seed made it.
"""

from __future__ import annotations

import importlib.resources
import json
import pathlib
from typing import Any

import jax
import numpy as np

from mm15_jax.checkpoint.manager import path_name

_FOLDER = importlib.resources.files("mm15_jax.checkpoint") / "assets"


def path_of(experiment: str) -> pathlib.Path:
    """Where the shipped file of `experiment` is, or would be."""
    return pathlib.Path(str(_FOLDER / f"{experiment}.npz"))


def is_shipped(experiment: str) -> bool:
    """Whether parameters of `experiment` come with the package."""
    return path_of(experiment).is_file()


def save(params: dict[str, Any], path: pathlib.Path, metadata: dict[str, Any]) -> None:
    """Writes parts of a parameter tree as float16, with metadata on how they were made."""
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    arrays: dict[str, Any] = {path_name(k): np.asarray(leaf, np.float16) for k, leaf in leaves}
    arrays["__metadata__"] = np.array(json.dumps(metadata))
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)


def load(experiment: str) -> dict[str, Any]:
    """The shipped parts of `experiment`: nested dict of float32 arrays."""
    params: dict[str, Any] = {}
    with np.load(path_of(experiment)) as archive:
        for name in archive.files:
            if name == "__metadata__":
                continue
            *parents, leaf = name.split("/")
            node = params
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = archive[name].astype(np.float32)
    return params


def metadata(experiment: str) -> dict[str, Any]:
    """How the shipped file was made: command, seed, steps, figures."""
    with np.load(path_of(experiment)) as archive:
        return json.loads(str(archive["__metadata__"]))
