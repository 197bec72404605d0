"""What a data directory holds: which data sets are prepared, and how to prepare the others."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable, Sequence
from pathlib import Path

from mm15_jax.data import storage
from mm15_jax.data.records import manifest_of
from mm15_jax.data.registry import all_preparations

_THREADS = 16  # a bucket answers slowly


def check_data_dir(data_dir: Path | str, names: Sequence[str] = ()) -> Path:
    """The data directory as a path; one clear sentence if it is absent or empty.

    Args:
      data_dir: where data sets are.
      names: the data sets that the caller wants, for the commands in the sentence.
    """
    path = storage.to_path(data_dir)
    if storage.folder_names(path):
        return path
    with storage.telling(path):
        state = "is empty" if path.is_dir() else "does not exist"
    raise ValueError(f"the data directory {path} {state}: run {_commands(names, path)} first")


def dataset_counts(
    names: Iterable[str], data_dir: Path | str, split: str = "train", *, allow_missing: bool = False
) -> dict[str, int]:
    """Number of examples of each prepared data set.

    Args:
      names: data sets.
      data_dir: where they are.
      split: such as "train".
      allow_missing: leave out a data set that is not prepared, rather than raise.

    Raises:
      ValueError: if the data directory is absent or empty, or a data set is missing.
    """
    names = list(names)
    data_dir = check_data_dir(data_dir, names)
    folders = storage.folder_names(data_dir)
    begun = [name for name in names if name in folders]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        manifests = list(pool.map(lambda name: manifest_of(data_dir / name / split), begun))
    # One of no examples would lose its weight as one that is missing does, and without a word.
    counts = {
        name: found.records
        for name, found in zip(begun, manifests, strict=True)
        if found and found.records
    }
    if not allow_missing and len(counts) < len(names):
        raise ValueError(_missing_sentence(names, list(counts), data_dir, split))
    return counts


def _missing_sentence(
    names: Sequence[str], present: Sequence[str], data_dir: Path, split: str
) -> str:
    """What is missing, and the commands that prepare it."""
    missing = [name for name in names if name not in present]
    sentence = (
        f"{len(missing)} of {len(names)} data sets are not prepared in {data_dir} ({split}): "
        f"{', '.join(missing)}; run {_commands(missing, data_dir)}"
    )
    if present:
        sentence += ", or leave them out, with their weight, by --set data.allow_missing=true"
    return sentence


def _commands(names: Sequence[str], data_dir: Path) -> str:
    """The commands that prepare data sets: all generated ones, the first of those with a source."""
    known = all_preparations()
    made = [name for name in names if name in known and not known[name].requires_source]
    converted = [name for name in names if name not in made]
    commands = [f"mm15 prepare {name} --source DIR --out {data_dir}" for name in converted[:3]]
    if made or not names:
        commands.insert(0, f"mm15 prepare {' '.join(made) or 'NAME'} --out {data_dir}")
    return ", ".join(f"`{c}`" for c in commands) + (" and so on" if len(converted) > 3 else "")
