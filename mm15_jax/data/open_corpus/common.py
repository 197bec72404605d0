"""What the open corpus's data sets share: where files are, how units are split, how errors go.

A *unit* is what must not appear in two splits: a picture with its variants, a page, a map. Its
split is a hash of its name or content, so that it stays where it is when packages grow.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image

from mm15_jax.data.preparation import (
    BadRecord,
    DataError,
    Part,
    Preparation,
    examples_of,
    range_parts,
)
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image

SPLITS = ("train", "validation", "test")
LAYOUT = "the unpacked Debian packages (usr/share/...), as scripts/get_open_corpus.sh DIR puts them"
HOW_TO_GET = "scripts/get_open_corpus.sh DIR obtains the packages"
MAX_BYTES = 1_000_000  # larger pictures are encoded anew
MAX_SIDE = 2048  # and shrunk to this, longer side, in pixels
MAX_PIXELS = 50_000_000  # a larger picture is taken for a broken or hostile file
LETTERS = "ABCDEFGH"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """One example to be: all that a builder needs, cheap to hold for a whole split."""

    split: str
    key: str  # of the example, unique in its data set
    unit: str  # where in the source it comes from, for the log
    payload: Any  # a small value that only the data set's own builder reads


def log_unit(data_set: str, unit: str, error: DataError) -> None:
    """Names a whole unit of the source that is left out of the plan."""
    _logger.warning("%s: skipped %s: %s", data_set, unit, error)


def split_of(unit: str) -> str:
    """The unit's split by a hash of its name: 8 of 10 train, 1 validation, 1 test."""
    digit = hashlib.blake2b(unit.encode()).digest()[0] * 10 // 256
    return {0: "test", 1: "validation"}.get(digit, "train")


def linked(links: Iterable[tuple[str, Sequence[str]]]) -> dict[str, str]:
    """The unit of each name: names that share a mark, also by way of others, are one unit.

    Args:
        links: (name, its marks) pairs.

    Returns:
        For each name the alphabetically first name of its unit.
    """
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    links = list(links)
    for name, marks in links:
        for mark in marks:
            parent[root(f"mark {mark}")] = root(f"name {name}")
    first: dict[str, str] = {}
    for name in sorted(name for name, _ in links):
        first.setdefault(root(f"name {name}"), name)
    return {name: first[root(f"name {name}")] for name, _ in links}


def seeded(*parts: str) -> random.Random:
    """A generator that depends on the names alone: the same in every process and for ever."""
    digest = hashlib.blake2b("\0".join(parts).encode()).digest()
    return random.Random(int.from_bytes(digest[:8], "big"))


def content_hash(path: Path) -> str:
    """Hexadecimal digest of a file's bytes."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def folder(source: Path, relative: str, data_set: str) -> Path:
    """A folder of the source that must exist; ValueError says how to obtain it."""
    path = source / relative
    if not path.is_dir():
        raise ValueError(
            f"{data_set}: there is no folder {relative} in {source}; expected the unpacked Debian"
            f" packages ({HOW_TO_GET})"
        )
    return path


def inside(root: Path, relative: str) -> Path:
    """The file `relative` under `root`; DataError if it leads out of it or is not there."""
    path = (root / relative).resolve()
    if not path.is_relative_to(root.resolve()):
        raise DataError(f"the path {relative!r} leads out of {root}")
    if not path.is_file():
        raise DataError(f"there is no file {relative!r} in {root}")
    return path


def read_image(path: Path, role: str = "document") -> Image:
    """The picture of a file, in its own bytes where they are PNG or JPEG of at most 1 MB.

    Others are encoded anew: as PNG where that is small enough, else as JPEG (alpha on white),
    at most `MAX_SIDE` pixels on the longer side. DataError if the file cannot be read.
    """
    data = path.read_bytes()
    try:
        with PIL.Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DataError(f"{path.name} claims {picture.width} x {picture.height} pixels")
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            width, height = picture.size[::-1] if turned else picture.size
            picture.load()  # a truncated file shows itself only here
            if picture.format not in ("PNG", "JPEG") or len(data) > MAX_BYTES:
                data, height, width = _encode_anew(picture)
    except DataError:
        raise
    # Pillow reports broken files by all of these.
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise DataError(f"{path.name} is not a readable picture ({error})") from error
    return Image(data=data, height=height, width=width, role=role)


def _encode_anew(picture: PIL.Image.Image) -> tuple[bytes, int, int]:
    """(bytes, height, width) of a picture within the limits of size."""
    import PIL.ImageOps

    upright = PIL.ImageOps.exif_transpose(picture).convert("RGBA")
    upright.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    upright.save(buffer, "PNG", optimize=True)
    if buffer.tell() > MAX_BYTES:
        white = PIL.Image.new("RGBA", upright.size, "white")
        buffer = io.BytesIO()
        PIL.Image.alpha_composite(white, upright).convert("RGB").save(buffer, "JPEG", quality=90)
    return buffer.getvalue(), upright.height, upright.width


def multiple_choice(
    question: str, right: str, others: Sequence[str], generator: random.Random
) -> tuple[str, str, list[str]]:
    """(prompt with lettered options in random order, letter of the right one, the options)."""
    options = [right, *others]
    generator.shuffle(options)
    lines = [f"{LETTERS[i]}. {option}" for i, option in enumerate(options)]
    return "\n".join([question, *lines]), LETTERS[options.index(right)], options


def _in_random_order(name: str, split: str, items: list[Item]) -> list[Item]:
    """The items so that the first few of a split are a fair sample of it.

    In the train split a unit's items stay together: it is then read once.
    """
    generator = seeded("order", name, split)
    if split != "train":
        return generator.sample(items, len(items))
    groups = [list(group) for _, group in itertools.groupby(items, lambda item: item.unit)]
    generator.shuffle(groups)
    return list(itertools.chain.from_iterable(groups))


def preparation(
    name: str,
    category: str,
    description: str,
    licence: str,
    plan: Callable[[Path], Sequence[Item]],
    build: Callable[[Path, Item], Example],
) -> Preparation:
    """A `Preparation` from a plan of all examples of a source and a builder of one of them."""

    @functools.lru_cache(maxsize=2)
    def planned(source: Path) -> dict[str, list[Item]]:
        items: dict[str, list[Item]] = {split: [] for split in SPLITS}
        for item in plan(source):
            items[item.split].append(item)
        return {split: _in_random_order(name, split, found) for split, found in items.items()}

    def items_of(split: str, source: Source | None) -> list[Item]:
        assert source is not None  # `prepare` saw to it
        if not source.is_local:
            raise ValueError(f"{name} is read from a local folder only, not from {source.url}")
        return planned(Path(source.root))[split]

    def parts(split: str, source: Source | None) -> list[Part]:
        return range_parts(name, len(items_of(split, source)))

    def convert(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
        assert source is not None
        items = items_of(split, source)[part.start : part.stop]
        # The unit in the key says where to look: several keys may come from one damaged file.
        named = ((f"{item.key} (from {item.unit})", item) for item in items)
        return examples_of(named, lambda item: build(Path(source.root), item))

    return Preparation(
        name=name,
        category=category,
        description=description,
        licence=licence,
        splits=SPLITS,
        parts=parts,
        convert=convert,
        format="debian",
        layout=LAYOUT,
    )
