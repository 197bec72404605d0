"""Interleaved documents from the Debian Administrator's Handbook: text and figures in page order.

Layout: usr/share/doc/debian-handbook/html/en-US/*.html and images/. Pages that show the same
picture are one unit.
"""

from __future__ import annotations

import functools
import html.parser
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mm15_jax.data.open_corpus import common
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Example, Image, Text

FOLDER = "usr/share/doc/debian-handbook/html/en-US"
LICENCE = "GPL-2+ or CC-BY-SA-3.0 (Debian package debian-handbook)"
SHORT = 500  # characters of a piece: 512 tokens of the nano tokenizer, its picture included
LONG = 4000  # of a piece for models with longer rows
IMAGE_CHARACTERS = 180  # what a picture counts for
MAX_HTML_BYTES = 4_000_000
_BLOCKS = {
    "p", "div", "pre", "ul", "ol", "li", "dl", "dt", "dd", "table", "tr", "td", "th", "blockquote",
    "h1", "h2", "h3", "h4", "h5", "h6", "hr", "br",
}  # fmt: skip
_VOID = {"img", "br", "hr", "meta", "link", "input", "col"}


@dataclass(frozen=True)
class Block:
    """A paragraph, or a figure where `image` is the picture's path."""

    text: str = ""
    image: str = ""

    @property
    def length(self) -> int:
        """What it counts for in a chunk."""
        return IMAGE_CHARACTERS if self.image else len(self.text)


class _Reader(html.parser.HTMLParser):
    """Collects a page's blocks; navigation and decoration are left out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[Block] = []
        self._text: list[str] = []
        self._stack: list[tuple[str, bool, bool]] = []  # tag, is a block, is skipped
        self._preformatted = 0
        self._item = False

    def handle_starttag(self, tag: str, attributes) -> None:
        attributes = {name: value or "" for name, value in attributes}
        classes = set(attributes.get("class", "").split())
        skipped = bool(self._stack and self._stack[-1][2]) or (
            tag in ("head", "script", "style")
            or attributes.get("id") in ("banner", "title")
            or bool(classes & {"docnav", "toc", "indexterm", "footnotes"})
        )
        # A URL stands inside its sentence, although it is a <div>.
        block = tag in _BLOCKS and "url" not in classes
        if block:
            self._flush()
        if tag == "img" and not skipped:
            source = attributes.get("src", "")
            if source.startswith("images/"):
                self._flush()
                self.blocks.append(Block(image=source))
        if tag == "li" and not skipped:
            self._item = True
        if tag not in _VOID:
            self._stack.append((tag, block, skipped))
            self._preformatted += tag == "pre"

    def handle_startendtag(self, tag: str, attributes) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not any(open_tag == tag for open_tag, *_ in self._stack):
            return
        while self._stack:
            open_tag, block, _ = self._stack[-1]
            if block:
                self._flush()
            self._stack.pop()
            self._preformatted -= open_tag == "pre"
            if open_tag == tag:
                break

    def handle_data(self, data: str) -> None:
        if not (self._stack and self._stack[-1][2]):
            self._text.append(data)

    def _flush(self) -> None:
        text = "".join(self._text)
        self._text.clear()
        text = text.replace("\u00a0", " ").replace("\u200b", "").replace("\u2060", "")
        text = text.strip("\n").rstrip() if self._preformatted else " ".join(text.split())
        if not text:
            return
        if self._item and not self._preformatted:
            text, self._item = f"- {text}", False
        self.blocks.append(Block(text=text))


@functools.lru_cache(maxsize=256)
def read_blocks(path: Path) -> tuple[Block, ...]:
    """The blocks of a page in order; DataError if it is not UTF-8 HTML of bounded size."""
    if path.stat().st_size > MAX_HTML_BYTES:
        raise DataError(f"{path.name} has more than {MAX_HTML_BYTES} bytes")
    reader = _Reader()
    try:
        reader.feed(path.read_text(encoding="utf-8"))
        reader.close()
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name} is not UTF-8 ({error})") from error
    reader._flush()
    return tuple(reader.blocks)


def chunks(blocks: tuple[Block, ...], longest: int) -> list[tuple[Block, ...]]:
    """Cuts a page between blocks into chunks of at most `longest` characters.

    A block that is longer is cut between sentences, or else between words. A figure stays with
    its caption, and takes the block before it along where a chunk would begin with it, if that
    fits.
    """
    found: list[list[Block]] = [[]]
    for unit in _units([piece for block in blocks for piece in _pieces(block, longest)], longest):
        chunk = found[-1]
        if chunk and _length(chunk) + _length(unit) > longest:
            start: list[Block] = []
            fits = chunk[-1].length + _length(unit) <= longest
            if unit[0].image and not chunk[-1].image and len(chunk) > 1 and fits:
                start = [chunk.pop()]
            found.append(start)
        found[-1] += unit
    return [tuple(chunk) for chunk in found if chunk]


def _length(blocks: Sequence[Block]) -> int:
    return sum(block.length for block in blocks)


def _units(pieces: list[Block], longest: int) -> list[list[Block]]:
    """Pieces that stay together: the pictures of a figure and its caption, while they fit."""
    units: list[list[Block]] = []
    for piece in pieces:
        goes_on = units and units[-1][-1].image and (piece.image or piece.text.startswith("Figure"))
        if goes_on and _length(units[-1]) + piece.length <= longest:
            units[-1].append(piece)
        else:
            units.append([piece])
    return units


def _pieces(block: Block, longest: int) -> list[Block]:
    if block.length <= longest:
        return [block]
    pieces = [""]
    for part in re.findall(r".+?(?:[.!?]\s+|\n|$)", block.text, flags=re.DOTALL):
        words = [part] if len(part) <= longest else re.findall(r"\S{1,500}\s*", part)
        for word in words:
            if len(pieces[-1]) + len(word) > longest:
                pieces.append("")
            pieces[-1] += word
    return [Block(text=piece.rstrip()) for piece in pieces if piece.strip()]


def _plan(source: Path, data_set: str, longest: int, with_images: bool) -> list[common.Item]:
    root = common.folder(source, FOLDER, data_set)
    pages: dict[str, list[tuple[Block, ...]]] = {}
    links = []
    for path in sorted(root.glob("*.html")):
        try:
            blocks = read_blocks(path)
        except DataError as error:
            common.log_unit(data_set, f"{FOLDER}/{path.name}", error)
            continue
        marks = []
        for image in (block.image for block in blocks if block.image):
            try:
                marks.append(common.content_hash(common.inside(root, image)))
            except DataError:
                marks.append(image)  # named when its chunk is built
        links.append((path.name, marks))
        pages[path.name] = chunks(blocks, longest)
    units = common.linked(links)
    return [
        common.Item(
            common.split_of(f"handbook/{units[name]}"),
            f"{name.removesuffix('.html')}/{number}",
            f"{FOLDER}/{name}",
            (name, number),
        )
        for name, parts in pages.items()
        for number, part in enumerate(parts)
        if any(block.image for block in part) == with_images
    ]


def _build(source: Path, item: common.Item, data_set: str, longest: int) -> Example:
    name, number = item.payload
    root = source / FOLDER
    chunk = chunks(read_blocks(common.inside(root, name)), longest)[number]
    segments: list[Image | Text] = []
    text: list[str] = []
    for block in (*chunk, None):
        if (block is None or block.image) and text:
            segments.append(Text("\n".join(text), loss=True))
            text = []
        if block is not None and block.image:
            segments.append(common.read_image(common.inside(root, block.image)))
        elif block is not None:
            text.append(block.text)
    category = "general" if any(block.image for block in chunk) else "text"
    return Example(tuple(segments), data_set, item.key, category, {"page": name, "chunk": number})


def _preparation(name: str, longest: int, with_images: bool, description: str):
    return common.preparation(
        name,
        "general" if with_images else "text",
        description,
        LICENCE,
        lambda source: _plan(source, name, longest, with_images),
        lambda source, item: _build(source, item, name, longest),
    )


PREPARATIONS = (
    _preparation(
        "open_handbook",
        SHORT,
        True,
        "Short pieces of a handbook with figures: text and pictures interleaved.",
    ),
    _preparation("open_handbook_long", LONG, True, "The same in pieces of up to 4000 characters."),
    _preparation("open_handbook_text", SHORT, False, "Short pieces without figures."),
)
