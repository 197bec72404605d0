"""Photographs and drawings with captions: Debian's tuxpaint-stamps-default.

Layout: usr/share/tuxpaint/stamps/CATEGORY/.../X.png; line 1 of X.txt is the English caption.
X_mirror.png, the same picture mirrored, has no text of its own and takes X's.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from mm15_jax.data.convert.segments import conversation
from mm15_jax.data.open_corpus import common
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Example, Segment, Text

FOLDER = "usr/share/tuxpaint/stamps"
LICENCE = "GPL-2 (Debian package tuxpaint-stamps-default)"
SHORT = 40  # characters of a caption that can answer "What is this?"
_READABLE = {"naturalforces": "natural forces"}
CATEGORIES = (
    "animals", "clothes", "food", "hobbies", "household", "medical", "military", "naturalforces",
    "people", "plants", "seasonal", "space", "sports", "symbols", "town", "vehicles",
)  # fmt: skip


def plan(source: Path) -> list[common.Item]:
    """Two examples a stamp: a caption and a conversation to train on, else two questions."""
    root = common.folder(source, FOLDER, "open_stamps")
    paths = sorted(p for p in root.rglob("*.png") if len(p.relative_to(root).parts) > 1)
    names = [p.relative_to(root).with_suffix("").as_posix() for p in paths]
    groups = _groups(names, paths)
    items = []
    for name in names:
        caption = _caption(root, name)
        if caption is None:
            error = DataError(f"line 1 of {name}.txt holds no English caption")
            common.log_unit("open_stamps", f"{FOLDER}/{name}.png", error)
            continue
        split = common.split_of(f"stamps/{groups[name]}")
        kinds: tuple[str, ...] = ("caption", "chat") if split == "train" else ("what", "kind")
        if split != "train" and _short_answer(caption) is None:
            kinds = ("kind",)
        items += [
            common.Item(split, f"{name}:{kind}", f"{FOLDER}/{name}.png", (name, kind))
            for kind in kinds
        ]
    return items


def _groups(names: list[str], paths: list[Path]) -> dict[str, str]:
    """The unit of each stamp: variants (mirrored, numbered) and equal files are one unit."""
    links = []
    for name, path in zip(names, paths, strict=True):
        family = re.sub(r"(_mirror|_flip|[-_]?\d+)+$", "", name)
        links.append((name, [f"family {family}", f"content {common.content_hash(path)}"]))
    return common.linked(links)


def _caption(root: Path, name: str) -> str | None:
    """Line 1 of the stamp's text file; None if there is none that can be read."""
    stem = re.sub(r"(_mirror|_flip)+$", "", name)
    path = next((p for n in (name, stem) if (p := root / f"{n}.txt").is_file()), None)
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path else []
    except UnicodeDecodeError:
        return None
    caption = " ".join(lines[0].split()) if lines else ""
    # "xx.utf8=..." in line 1 is a translation: the English caption is missing.
    return caption if caption and not re.match(r"\w+\.utf8=", caption) else None


def _short_answer(caption: str) -> str | None:
    """The caption without its full stop, if it is short enough to name a thing."""
    if len(caption) > SHORT or not caption[0].isalnum():
        return None
    return caption.rstrip(".")


def _references(answer: str) -> list[str]:
    """The answer, also without its article."""
    bare = re.sub(r"^(an?|the|some) ", "", answer, flags=re.IGNORECASE)
    return [answer] if bare == answer else [answer, bare]


def _kind_question(name: str) -> tuple[str, str, list[str]]:
    generator = common.seeded("stamps", name, "kind")
    right = PurePosixPath(name).parts[0]
    others = generator.sample([c for c in CATEGORIES if c != right], 3)
    readable = [_READABLE.get(c, c) for c in (right, *others)]
    return common.multiple_choice(
        "What kind of thing is this?", readable[0], readable[1:], generator
    )


def build(source: Path, item: common.Item) -> Example:
    """The example of one stamp; DataError if its picture or its caption cannot be read."""
    root = source / FOLDER
    name, kind = item.payload
    caption = _caption(root, name)
    if caption is None:
        raise DataError("its caption went away after the plan was made")
    image = common.read_image(common.inside(root, f"{name}.png"))
    metadata = {"kind": kind, "caption": caption, "folder": str(PurePosixPath(name).parent)}
    short = _short_answer(caption)
    prompt, letter, options = _kind_question(name)
    if kind == "caption":
        segments: tuple[Segment, ...] = (image, Text(caption, loss=True))
    elif kind == "chat":
        first = ("What is this?", short) if short else ("Describe this picture.", caption)
        segments = conversation([image], [first, (prompt, letter)])
    elif kind == "what":
        assert short is not None, "the plan asks only for short captions"
        segments = conversation([image], [("What is this?", short)])
        metadata |= {"answer": _references(short), "metric": "exact_match"}
    else:
        segments = conversation([image], [(prompt, letter)])
        metadata |= {"answer": letter, "metric": "multiple_choice", "choices": options}
    return Example(segments, "open_stamps", item.key, "general", metadata)


PREPARATIONS = (
    common.preparation(
        "open_stamps",
        "general",
        "Photographs and drawings of things, with captions and questions about them.",
        LICENCE,
        plan,
        build,
    ),
)
