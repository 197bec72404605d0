"""Real screenshots: the figures of the Debian Administrator's Handbook, each with its caption.

To look at what a model of screens says of real ones; a caption ("Network configuration") is no
answer that a small model could give. All lie in the test split, as nothing is trained on them here;
`open_handbook` has most of them in its own training split.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from mm15_jax.data.open_corpus import common
from mm15_jax.data.open_corpus.handbook import FOLDER, LICENCE, read_blocks
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Example, Text

NAME = "open_screens"
QUESTION = "what screen is it?"
_CAPTION = re.compile(r"Figure \d+(?:\.\d+)?\.?\s+(.+)")


def figures(page: Path) -> list[tuple[str, str]]:
    """(picture, caption) of each figure of a page; DataError as of `read_blocks`."""
    blocks = read_blocks(page)
    found = []
    for block, after in itertools.pairwise(blocks):
        caption = _CAPTION.match(after.text)
        if block.image and caption:
            found.append((block.image, caption[1].strip()))
    return found


def _plan(source: Path) -> list[common.Item]:
    root = common.folder(source, FOLDER, NAME)
    items: dict[str, common.Item] = {}
    for page in sorted(root.glob("*.html")):
        try:
            found = figures(page)
        except DataError as error:
            common.log_unit(NAME, f"{FOLDER}/{page.name}", error)
            continue
        for picture, caption in found:
            items.setdefault(
                picture, common.Item("test", picture, f"{FOLDER}/{page.name}", (picture, caption))
            )
    return list(items.values())


def _build(source: Path, item: common.Item) -> Example:
    picture, caption = item.payload
    image = common.read_image(common.inside(source / FOLDER, picture), role="user")
    segments = (image, Text(QUESTION, "user"), Text(caption, "assistant", loss=True))
    metadata = {"answer": caption, "metric": "anls", "kind": "caption"}
    return Example(segments, NAME, item.key, "ui", metadata)


PREPARATIONS = (
    common.preparation(
        NAME,
        "ui",
        "Real screenshots of a handbook with their captions, to look at.",
        LICENCE,
        _plan,
        _build,
    ),
)
