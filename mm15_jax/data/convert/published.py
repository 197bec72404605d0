"""Which files of a source make up a split."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence

from mm15_jax.data.source import Source

SPLITS = ("train", "validation", "test")
# Patterns by split, in order; or of all files, whose names tell the split (`split_named`).
Patterns = Mapping[str, Sequence[str]] | Sequence[str]
# The first of them that words tell counts.
_WORDS = {
    "test": {"test"},
    "validation": {"val", "valid", "validation", "dev"},
    "train": {"train"},
}
_NAMES_SHOWN = 5
_THREADS = 16


class NoFilesError(ValueError):
    """A source that has no file of a layout, of whatever split."""


def splits_of(patterns: Patterns) -> tuple[str, ...]:
    """The splits that there may be."""
    return tuple(patterns) if isinstance(patterns, Mapping) else SPLITS


def files_of(source: Source, patterns: Sequence[str]) -> list[str]:
    """Names of the files that are there, in the order of the patterns.

    "*" and "**" match as in `Source.glob`; of alternatives, "a|b", the first that is there counts.
    """
    return list(dict.fromkeys(name for pattern in patterns for name in _matches(source, pattern)))


def _matches(source: Source, pattern: str) -> list[str]:
    for alternative in pattern.split("|"):
        if "*" in alternative or "?" in alternative:
            names = source.glob(alternative)
        else:
            names = [alternative] if source.exists(alternative) else []
        if names:
            return names
    return []


def stamp_of(source: Source, files: Sequence[str]) -> str:
    """A word that changes when one of the files does; "" of none."""
    if not files:
        return ""
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:  # a bucket answers slowly
        stamps = list(pool.map(source.stamp, files))
    facts = json.dumps([files, stamps])
    return hashlib.blake2b(facts.encode(), digest_size=8).hexdigest()


def published_files(
    source: Source, patterns: Patterns, split: str, layout: str, *, together: bool = False
) -> list[str]:
    """The files of a split that are there; none if only other splits are.

    Args:
      source: where to look.
      patterns: of the files.
      split: which.
      layout: what the source must hold, for the sentence that says it does not.
      together: whether a split is of no use unless each of its patterns has a file.

    Raises:
      NoFilesError: if no split has a file.
      ValueError: if this one has only some of those that belong together.
    """
    if isinstance(patterns, Mapping):
        found = files_of(source, patterns[split])
        anything = found or any(files_of(source, others) for others in patterns.values())
        if found and together and not all(_matches(source, pattern) for pattern in patterns[split]):
            raise ValueError(f"{source.url} has {', '.join(found)} alone; expected {layout}")
    else:
        anything = sorted(files_of(source, patterns))
        found = [file for file in anything if split_named(file) == split]
    if not anything:
        names = source.glob("*") or source.glob("*/*")
        more = " ..." if len(names) > _NAMES_SHOWN else ""
        there = ", ".join(names[:_NAMES_SHOWN]) + more if names else "no files"
        raise NoFilesError(f"{source.url} has {there}; expected {layout}")
    return found


def split_named(file: str) -> str:
    """The split that words of a file's name, or the folder it is in, tell; else "train".

    Where they tell none, the nearest folder further up that is named as a split decides:
    "validation/chunk1/example_holdout_0.jsonl.zst".
    """
    *folders, near, name = f"//{file}".split("/")
    told = _split_of(re.split(r"[^a-z]+", f"{near}/{name}".lower()))
    further = (_split_of((folder.lower(),)) for folder in reversed(folders))
    return told or next(filter(None, further), "train")


def _split_of(words: Collection[str]) -> str | None:
    for split, names in _WORDS.items():
        if not names.isdisjoint(words):
            return split
    return None
