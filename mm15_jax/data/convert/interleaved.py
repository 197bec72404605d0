"""Documents of the web with their pictures in place: OBELICS and MMC4.

Formats. OBELICS (huggingface.co/datasets/HuggingFaceM4/OBELICS): parquet with `images` and `texts`,
lists of one length; at each place one of them has a URL or a text, and the other null. MMC4
(github.com/allenai/mmc4): lines of JSON, zipped, with `text_list` (sentences), `image_info`
({image_name, raw_url, matched_text_index, matched_sim}) and `similarity_matrix`.

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
import json
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

from mm15_jax.data.convert import archives, json_files, parquet_files
from mm15_jax.data.convert.picture_files import read_picture
from mm15_jax.data.convert.record_files import published_files
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation, examples_of
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image, Segment, Text

LEAST_SIMILARITY = 0.24
_CATEGORY = "interleaved"
_OBELICS_LAYOUT = (
    "data/train-*.parquet (or opt_out_docs_removed_2023_07_12/train-*.parquet, which is preferred),"
    " and pictures as images/HH/HASH, the SHA-256 of their URL, or as img2dataset's files"
)
_MMC4_LAYOUT = (
    "docs_no_face_shard_*_v*.jsonl or .jsonl.zip, and pictures by image_name in images/,"
    " mmc4_images/ or SHARD_images/"
)


def interleaved_example(
    name: str, key: str, pieces: Sequence[str | Image | None], separator: str
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
    return Example(tuple(segments), name, key, _CATEGORY, {"absent_pictures": absent})


def _present(source: Source, names: Sequence[str]) -> Image | None:
    """A picture of the web; None if it is not there or is broken."""
    try:
        return read_picture(source, names, role="document")
    except DataError:
        return None


# OBELICS


def _obelics_parts(split: str, source: Source | None) -> list[Part]:
    folders = ("opt_out_docs_removed_2023_07_12", "data")
    patterns = [f"{folder}/train-*.parquet" for folder in folders]
    files = published_files(source, {split: patterns}, split, _OBELICS_LAYOUT)
    assert source is not None, "published_files() refuses to go without"
    preferred = [file for file in files if file.startswith(folders[0])]
    return parquet_files.parquet_parts(source, preferred or files)


def _obelics(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
    assert source is not None, "parts are of a source"

    def example(item: tuple[str, dict[str, Any]]) -> Example:
        place, row = item
        urls, texts = row["images"] or [], row["texts"] or []
        if len(urls) != len(texts):
            raise DataError(f"{len(urls)} images and {len(texts)} texts; expected as many")
        pieces: list[str | Image | None] = []
        for url, text in zip(urls, texts, strict=True):
            if (url is None) == (text is None):
                raise DataError("a place with both an image and a text, or neither")
            pieces.append(text if url is None else _present(source, _obelics_names(source, url)))
        return interleaved_example("obelics", place, pieces, "\n\n")

    rows = parquet_files.parquet_rows(source, part, ("images", "texts"))
    yield from examples_of(((place, (place, row)) for place, row in rows), example)


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


def _mmc4_parts(split: str, source: Source | None) -> list[Part]:
    patterns = ["**/docs_*shard_*.jsonl.zip", "**/docs_*shard_*.jsonl"]
    files = published_files(source, {split: patterns}, split, _MMC4_LAYOUT)
    assert source is not None, "published_files() refuses to go without"
    zipped = [Part(file, None, (file,)) for file in files if file.endswith(".zip")]
    plain = [file for file in files if not file.endswith(".zip")]
    return [*zipped, *json_files.lines_parts(source, plain)]


def _mmc4_lines(source: Source, part: Part) -> Iterator[tuple[str, bytes] | BadRecord]:
    if not part.files[0].endswith(".zip"):
        yield from json_files.line_bytes(source, part)
        return
    for member in archives.zip_members(source, part.files[0], lambda name: ".jsonl" in name):
        if isinstance(member, BadRecord):
            yield member
            continue
        for number, line in enumerate(member.data.splitlines()):
            if line.strip():
                yield f"{part.files[0]}:{member.name}#{number}", line


def _mmc4(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
    assert source is not None, "parts are of a source"
    shard = posixpath.basename(part.files[0]).removesuffix(".zip").removesuffix(".jsonl")
    folders = ("images", "mmc4_images", f"{shard}_images")

    def example(item: tuple[str, bytes]) -> Example:
        place, line = item
        try:
            document = json.loads(line)
        except ValueError as error:
            raise DataError(f"a line that is not JSON: {error}") from error
        sentences = document["text_list"]
        before: dict[int, list[Image | None]] = {}
        for info in document["image_info"]:
            index = info["matched_text_index"]
            if not 0 <= index < len(sentences):
                raise DataError(f"a picture of sentence {index}; there are {len(sentences)}")
            if info["matched_sim"] >= LEAST_SIMILARITY:
                names = [f"{folder}/{info['image_name']}" for folder in folders]
                before.setdefault(index, []).append(_present(source, names))
        pieces: list[str | Image | None] = []
        for index, sentence in enumerate(sentences):
            pieces += [*before.get(index, ()), sentence]
        return interleaved_example("mmc4", place, pieces, " ")

    for item in _mmc4_lines(source, part):
        if isinstance(item, BadRecord):
            yield item
        else:
            yield from examples_of([(item[0], item)], example)


PREPARATIONS: tuple[Preparation, ...] = (
    Preparation(
        name="obelics",
        category=_CATEGORY,
        description="141 million web pages with their pictures in place.",
        licence="CC BY 4.0 for the collection; texts and pictures are their authors'",
        splits=("train",),
        parts=_obelics_parts,
        convert=_obelics,
        format="obelics",
        layout=_OBELICS_LAYOUT,
    ),
    Preparation(
        name="mmc4",
        category=_CATEGORY,
        description="C4's documents with their pictures beside the sentences they match.",
        licence="ODC-BY, and Common Crawl's terms of use; pictures are their authors'",
        splits=("train",),
        parts=_mmc4_parts,
        convert=_mmc4,
        format="mmc4",
        layout=_MMC4_LAYOUT,
    ),
)
