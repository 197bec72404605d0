"""Flickr30k Entities: boxes of the phrases of five captions a picture.

Format: as read by the authors' `flickr30k_entities_utils.py`. `Sentences/ID.txt` has a caption a
line, phrases as `[/EN#CHAIN/TYPE/... words]`; `Annotations/ID.xml` has objects with one or more
chains as `name`, and a `bndbox` whose pixels count from 1, or `scene` or `nobndbox`. Chain 0 is
what cannot be seen. `train.txt`, `val.txt` and `test.txt` list pictures, `UNRELATED_CAPTIONS`
(picture, number from 1) captions that belong to another picture.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from xml.etree import ElementTree

from mm15_jax.data.convert import boxes
from mm15_jax.data.convert.prompts import pick
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, in_memory
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image

NAME = "flickr30k_entities"
GROUNDED_CAPTION = (
    "Describe the image in one sentence, with the box of each thing behind its name.",
    "Give a caption with boxes.",
    "What is in this image? Add the boxes of what you mention.",
)
_FOLDERS = ("flickr30k-images", "flickr30k_images", "images")
_PHRASE = re.compile(r"\[/EN#(\d+)((?:/[^\s\]/]+)+) ([^\]]*)\]")
# Captions are in words with spaces between.
_SPACED = re.compile(r"\s+(?=[.,;:!?])|\s+(?='s\b)|\s+(?=n't\b)")


@dataclass(frozen=True)
class Caption:
    """A caption, and where its phrases are in it."""

    text: str
    phrases: tuple[tuple[int, int, str], ...]  # first character, last + 1, chain


def parse_caption(line: str) -> Caption:
    """A line of a file of Sentences/, its marks taken out.

    Raises:
      DataError: if a mark is not closed, or not as published.
    """
    pieces: list[str] = []
    phrases: list[tuple[int, int, str]] = []
    place = 0

    def add(text: str) -> None:
        # What follows a phrase may begin with the space before a full stop.
        before = "".join(pieces)[-1:]
        joined = _SPACED.sub("", before + " ".join(text.split(" ")))
        pieces.append(joined[len(before) :])

    for found in _PHRASE.finditer(line):
        add(line[place : found.start()])
        start = sum(map(len, pieces))
        add(found.group(3).strip())
        phrases.append((start, sum(map(len, pieces)), found.group(1)))
        place = found.end()
    add(line[place:].rstrip())
    text = "".join(pieces)
    if "[/EN#" in text or not text.strip():
        raise DataError(f"a caption that is not as published: {line[:80]!r}")
    return Caption(text, tuple(phrases))


def parse_boxes(xml: bytes, image: Image) -> dict[str, list[boxes.Box]]:
    """Boxes of each chain of a file of Annotations/, checked against the picture.

    Raises:
      DataError: if the XML is damaged or not as published.
    """
    if b"<!" in xml:
        raise DataError("an annotation with a declaration of its own, which is not read")
    try:
        root = ElementTree.fromstring(xml)
        size = [int(_child(root, f"size/{name}")) for name in ("width", "height")]
        boxes.check_size(image, *size)
        found: dict[str, list[boxes.Box]] = {}
        for thing in root.findall("object"):
            if thing.find("bndbox") is None:
                continue
            # Pixels count from 1, and the last one belongs to the box.
            x1, y1, x2, y2 = (
                float(_child(thing, f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")
            )
            box = boxes.checked((x1 - 1, y1 - 1, x2, y2), image)
            for name in thing.findall("name"):
                found.setdefault(name.text or "", []).append(box)
    except (ElementTree.ParseError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"a damaged annotation: {error}") from error
    return found


def _child(element: ElementTree.Element, path: str) -> str:
    text = element.findtext(path)
    if text is None:
        raise DataError(f"an annotation without {path}")
    return text


@functools.lru_cache(maxsize=4)
def _listed(source: Source, files: tuple[str, ...]) -> list[tuple[str, str]]:
    """(file name, number) of the pictures of a split."""
    return [(f"{number}.jpg", number) for number in source.read(files[0]).decode("utf-8").split()]


@functools.lru_cache(maxsize=4)
def _unrelated(source: Source) -> frozenset[tuple[str, int]]:
    """(picture, line from 0) of captions of other pictures."""
    if not source.exists("UNRELATED_CAPTIONS"):
        return frozenset()
    lines = source.read("UNRELATED_CAPTIONS").decode("utf-8").splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return frozenset((number, int(line) - 1) for number, line in rows)


def _examples(maker: Maker, number: str) -> list[Example]:
    image = maker.picture(*(f"{folder}/{number}.jpg" for folder in _FOLDERS))
    places = parse_boxes(maker.source.read(f"Annotations/{number}.xml"), image)
    lines = maker.source.read(f"Sentences/{number}.txt").decode("utf-8").splitlines()
    captions = [
        parse_caption(text)
        for line, text in enumerate(lines)
        if text.strip() and (number, line) not in _unrelated(maker.source)
    ]
    if not captions:
        raise DataError("a picture without captions")
    make = _training if maker.trains else _questions
    return make(f"{number}.jpg", image, captions, places)


def _training(
    key: str, image: Image, captions: list[Caption], places: dict[str, list[boxes.Box]]
) -> list[Example]:
    """A caption with boxes, then every phrase of the captions once, grounded or referred to."""
    chosen = captions[pick(f"caption {key}", len(captions))]
    turns = [(boxes.template(GROUNDED_CAPTION, key), _with_boxes(chosen, image, places))]
    asked: set[tuple[str, str]] = set()
    for caption in captions:
        for start, end, chain in caption.phrases:
            phrase = caption.text[start:end]
            if chain not in places or (phrase.lower(), chain) in asked:
                continue
            asked.add((phrase.lower(), chain))
            seed = f"{key} {chain} {phrase}"
            if len(places[chain]) == 1 and pick(f"task {seed}", 2):
                turns.append(boxes.refer(phrase, places[chain][0], image, seed))
            else:
                question, answer = boxes.ground(phrase, places[chain], image, seed)
                turns.append((f"{caption.text}\n{question}", answer))
    return boxes.dialogues(image, turns, NAME, key)


def _with_boxes(caption: Caption, image: Image, places: dict[str, list[boxes.Box]]) -> str:
    pieces, last = [], 0
    for _, end, chain in caption.phrases:
        if chain in places:
            pieces.append(f"{caption.text[last:end]} {boxes.written(places[chain], image)}")
            last = end
    return "".join(pieces) + caption.text[last:]


def _questions(
    key: str, image: Image, captions: list[Caption], places: dict[str, list[boxes.Box]]
) -> list[Example]:
    """A question a phrase. Several boxes are merged into one around all: MDETR's MERGED-BOXES."""
    return [
        boxes.grounding_question(
            image,
            caption.text[start:end],
            _around(places[chain]),
            NAME,
            f"{key}:{line}:{index}",
            f"{caption.text}\n",
        )
        for line, caption in enumerate(captions)
        for index, (start, end, chain) in enumerate(caption.phrases)
        if chain in places
    ]


def _around(found: list[boxes.Box]) -> boxes.Box:
    left, top, right, bottom = zip(*found, strict=True)
    return min(left), min(top), max(right), max(bottom)


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name=NAME,
        category="refer_ground",
        description="Boxes of the phrases of Flickr30k's captions.",
        licence="research and education, not commercial; Flickr's terms of use for the pictures",
        format="flickr30k_entities",
        layout="train.txt, val.txt and test.txt, Sentences/ and Annotations/ (annotations.zip"
        " unpacked), and the pictures in flickr30k-images/",
        files={"train": ("train.txt",), "validation": ("val.txt",), "test": ("test.txt",)},
        reading=in_memory(_listed),
        example=_examples,
        beside=("UNRELATED_CAPTIONS",),
    ),
)
