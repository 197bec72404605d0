"""Documents of the web with their pictures in place: OBELICS and MMC4.

Formats. OBELICS (huggingface.co/datasets/HuggingFaceM4/OBELICS): parquet with `images` and `texts`,
lists of one length; at each place one of them has a URL or a text, and the other null. MMC4
(github.com/allenai/mmc4): lines of JSON, zipped, with `text_list` (sentences), `image_info`
({image_name, raw_url, matched_text_index, matched_sim}) and `similarity_matrix`.

Where a page of OBELICS shifts its topic, a text has a mark: a document of its own begins there, and
one that is left without a picture or without text is left out.

Neither has pictures, and some cannot be fetched any more. A document keeps those that are there:
`metadata["absent_pictures"]` counts the others, and a document without any picture is refused.

* OBELICS: `images/HH/HASH`, HASH the SHA-256 of the URL in hexadecimal, HH its first two digits; or
  `images/` as `img2dataset --output_format files` writes it, whose parquet tables say which URL is
  which file (they are held in memory: for subsets of some ten million pictures).
* MMC4: by `image_name` where its own download_images.py puts them.

A picture of MMC4 stands before the sentence it was matched with, as in OpenFlamingo's
`preprocess_interleaved`, if their similarity is `LEAST_SIMILARITY` or more (OpenFlamingo's
`--mmc4_textsim_threshold 0.24`); each sentence then has at most one by the publisher's matching.
"""

from __future__ import annotations

import functools
import hashlib
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

from mm15_jax.data.convert import parquet_files
from mm15_jax.data.convert.archives import zip_members
from mm15_jax.data.convert.json_files import parsed_line
from mm15_jax.data.convert.picture_files import read_picture
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import (
    by_file,
    file_preparation,
    json_lines,
    parquet,
    placed,
    whole_files,
)
from mm15_jax.data.preparation import BadRecord, DataError, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image, Segment, Text

LEAST_SIMILARITY = 0.24


def interleaved_example(
    maker: Maker, key: str, pieces: Sequence[str | Image | None], separator: str
) -> Example:
    """A document of texts and pictures; None is a picture that is absent.

    Raises:
      DataError: if it has no picture, or no text.
    """
    segments: list[Segment] = []
    run: list[str] = []

    def finish() -> None:
        text = separator.join(piece.strip() for piece in run if piece.strip())
        if text:
            segments.append(Text(text, loss=True))
        run.clear()

    for piece in pieces:
        if isinstance(piece, str):
            run.append(piece)
        elif piece is not None:
            finish()
            segments.append(piece)
    finish()
    absent = sum(piece is None for piece in pieces)
    if not any(isinstance(segment, Image) for segment in segments):
        raise DataError(f"a document without pictures: {absent} of them are absent")
    if not any(isinstance(segment, Text) for segment in segments):
        raise DataError("a document without text")
    metadata = {"absent_pictures": absent}
    return Example(tuple(segments), maker.name, key, maker.category, metadata)


def _present(source: Source, names: Sequence[str]) -> Image | None:
    """A picture of the web; None if it is not there or is broken."""
    try:
        return read_picture(source, names, role="document")
    except DataError:
        return None


# OBELICS


# Stands in a text where a page shifts its topic; trained on as the end of a document.
_TOPIC_ENDS = "END_OF_DOCUMENT_TOKEN_TO_BE_REPLACED"


def _obelics(maker: Maker, item: tuple[str, dict[str, Any]]) -> list[Example]:
    place, row = item
    urls, texts = row["images"] or [], row["texts"] or []
    if len(urls) != len(texts):
        raise DataError(f"{len(urls)} images and {len(texts)} texts; expected as many")
    topics: list[list[str | Image | None]] = [[]]
    for url, text in zip(urls, texts, strict=True):
        if (url is None) == (text is None):
            raise DataError("a place with both an image and a text, or neither")
        if url is not None:
            topics[-1].append(_present(maker.source, _obelics_names(maker.source, url)))
            continue
        before, *begun = text.split(_TOPIC_ENDS)
        topics[-1].append(before)
        topics += [[piece] for piece in begun]
    if len(topics) == 1:
        return [interleaved_example(maker, place, topics[0], "\n\n")]
    examples, reasons = [], []
    for number, pieces in enumerate(topics):
        try:
            examples.append(interleaved_example(maker, f"{place}:{number}", pieces, "\n\n"))
        except DataError as error:  # a post without pictures beside one with
            reasons.append(str(error))
    if not examples:
        raise DataError(f"{len(topics)} topics, none of them of use: {reasons[0]}")
    return examples


def _obelics_names(source: Source, url: str) -> list[str]:
    fetched = _fetched(source)
    if fetched is None:
        digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
        return [f"images/{digest[:2]}/{digest}"]
    stem = fetched.get(_short(url))
    return [f"{stem}.{suffix}" for suffix in ("jpg", "png", "webp")] if stem else []


def _short(url: str) -> bytes:
    return hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=12).digest()


@functools.lru_cache(maxsize=1)
def _fetched(source: Source) -> dict[bytes, str] | None:
    """File names without suffix, by a hash of the URL; None if img2dataset made no tables."""
    tables = source.glob("images/*.parquet")
    if not tables:
        return None
    found: dict[bytes, str] = {}
    for part in parquet_files.parquet_parts(source, tables):
        stem = part.files[0].removesuffix(".parquet")
        for _, row in parquet_files.parquet_rows(source, part, ("url", "key", "status")):
            if row["status"] == "success":
                found[_short(row["url"])] = f"{stem}/{row['key']}"
    return found


# MMC4


def _zipped_lines(source: Source, file: str) -> Iterator[tuple[str, Any]]:
    for member in zip_members(source, file, lambda name: ".jsonl" in name):
        if isinstance(member, BadRecord):
            yield member.key, DataError(member.reason)
            continue
        for number, line in enumerate(member.data.splitlines()):
            if line.strip():
                yield f"{file}:{member.name}#{number}", parsed_line(line)


_ZIPS, _PLAIN = whole_files(_zipped_lines), json_lines(64 * 2**20)


_MMC4_LINES = by_file(lambda source, file: _ZIPS if file.endswith(".zip") else _PLAIN)


def _mmc4(maker: Maker, item: tuple[str, dict[str, Any]]) -> Example:
    place, document = item
    shard = posixpath.basename(place).partition(".jsonl")[0]
    folders = ("images", "mmc4_images", f"{shard}_images")
    sentences = document["text_list"]
    before: dict[int, list[Image | None]] = {}
    for info in document["image_info"]:
        index = info["matched_text_index"]
        if not 0 <= index < len(sentences):
            raise DataError(f"a picture of sentence {index}; there are {len(sentences)}")
        if info["matched_sim"] >= LEAST_SIMILARITY:
            names = [f"{folder}/{info['image_name']}" for folder in folders]
            before.setdefault(index, []).append(_present(maker.source, names))
    pieces: list[str | Image | None] = []
    for index, sentence in enumerate(sentences):
        pieces += [*before.get(index, ()), sentence]
    return interleaved_example(maker, place, pieces, " ")


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="obelics",
        category="interleaved",
        description="141 million web pages with their pictures in place.",
        licence="CC BY 4.0 for the collection; texts and pictures are their authors'",
        format="obelics",
        layout="data/train-*.parquet (or opt_out_docs_removed_2023_07_12/train-*.parquet, which is"
        " preferred), and pictures as images/HH/HASH, the SHA-256 of their URL, or as"
        " img2dataset's files",
        files={"train": ("opt_out_docs_removed_2023_07_12/train-*.parquet|data/train-*.parquet",)},
        reading=placed(parquet("images", "texts")),
        example=_obelics,
        beside=("images/*.parquet",),
        version=2,
    ),
    file_preparation(
        name="mmc4",
        category="interleaved",
        description="C4's documents with their pictures beside the sentences they match.",
        licence="ODC-BY, and Common Crawl's terms of use; pictures are their authors'",
        format="mmc4",
        layout="docs_no_face_shard_*_v*.jsonl or .jsonl.zip, and pictures by image_name in images/,"
        " mmc4_images/ or SHARD_images/",
        files={"train": ("**/docs_*shard_*.jsonl.zip", "**/docs_*shard_*.jsonl")},
        reading=placed(_MMC4_LINES),
        example=_mmc4,
    ),
)
