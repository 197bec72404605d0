"""Pages, paragraphs and lines of real documents, with the words that are printed in them.

The documents are the manuals of Debian packages; the text layer of their PDFs is exact ground
truth, as PDFA's is. All three data sets split by page with one hash, so that a page that one of
them tests on trains none of the others.
"""

from __future__ import annotations

import functools
import random
import re
from pathlib import Path

import cv2
import numpy as np

from mm15_jax.data.convert.segments import conversation
from mm15_jax.data.open_corpus import common, pdf
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Example, Image, Text

# (path in the unpacked packages, short name); what is not there is left out.
DOCUMENTS = (
    ("usr/share/developers-reference/developers-reference.pdf", "developers-reference"),
    ("usr/share/doc/debian-policy/policy.pdf.gz", "debian-policy"),
    ("usr/share/doc/debian/FAQ/debian-faq.en.pdf.gz", "debian-faq"),
    ("usr/share/debian-reference/debian-reference.en.pdf", "debian-reference"),
    ("usr/share/doc/debmake-doc/debmake-doc.en.pdf", "debmake-doc"),
    ("usr/share/doc/maint-guide/maint-guide.en.pdf", "maint-guide"),
    ("usr/share/doc/packaging-tutorial/packaging-tutorial.pdf", "packaging-tutorial"),
)
LICENCE = (
    "GPL-2+ (developers-reference, debian-policy, debian-reference, maint-guide), MIT"
    " (debmake-doc), GPL-3+ or CC-BY-SA-3.0 (packaging-tutorial), verbatim and modified copies"
    " with the notice (debian-faq)"
)
PAGE_SCALE = 120 / 72  # pixels a point: 120 dpi, an A4 page is 992 x 1403
FEWEST_CHARACTERS = 300  # pages with less (titles, blanks) are left out
LINE_CROPS = 24  # of a page: 10 of one word, 10 of two to four, 4 of up to 40 characters
PARAGRAPH_CROPS = 4  # of a page
LONGEST_LINE = 40  # characters of a crop of open_lines
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


def _pages(source: Path, data_set: str):
    """(relative path, document name, page, split) of every page with enough text."""
    found = [(p, name) for p, name in DOCUMENTS if (source / p).is_file()]
    if not found:
        raise ValueError(
            f"{data_set}: none of the documents ({DOCUMENTS[0][0]}, ...) is in {source}; expected"
            f" the unpacked Debian packages ({common.HOW_TO_GET})"
        )
    for relative, name in found:
        path = source / relative
        try:
            counts = [pdf.character_count(path, i) for i in range(pdf.page_count(path))]
        except DataError as error:
            common.log_unit(data_set, relative, error)
            continue
        for index, count in enumerate(counts):
            if count >= FEWEST_CHARACTERS:
                yield relative, name, index, common.split_of(f"documents/{name}/{index}")


def _items(source: Path, data_set: str, kinds) -> list[common.Item]:
    """Items of every page; `kinds(split)` lists the kinds of example a page gives."""
    return [
        common.Item(
            split, f"{name}/{index + 1}:{kind}", f"{path} page {index + 1}", (path, index, kind)
        )
        for path, name, index, split in _pages(source, data_set)
        for kind in kinds(split)
    ]


def _encode(picture: np.ndarray) -> Image:
    """PNG, grey where the picture is grey; JPEG where that PNG would be too large."""
    height, width = picture.shape[:2]
    grey = (picture == picture[..., :1]).all()
    pixels = picture[..., 0] if grey else picture[..., ::-1]
    data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1].tobytes()
    if len(data) > common.MAX_BYTES:
        data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    return Image(data=data, height=height, width=width)


# Lines: crops of a few words, print 10 to 14 pixels high.


def plan_lines(source: Path) -> list[common.Item]:
    """`LINE_CROPS` crops of every page."""
    kinds = [f"word{i}" for i in range(10)] + [f"words{i}" for i in range(10)]
    kinds += [f"line{i}" for i in range(LINE_CROPS - 20)]
    return _items(source, "open_lines", lambda split: kinds)


@functools.lru_cache(maxsize=384)
def _spans(path: Path, index: int, kind: str) -> list[list[pdf.Word]]:
    """All runs of neighbouring clean words of a line that a crop of this kind may show."""
    spans = []
    page = pdf.read_page(path, index)
    for line in filter(page.in_body, page.lines):
        for start in range(len(line.words)):
            if kind == "word":
                lengths: tuple[int, ...] = (1,)
            elif kind == "words":
                lengths = (2, 3, 4)
            else:
                lengths = tuple(range(4, 12))
            for length in lengths:
                words = line.words[start : start + length]
                text = " ".join(w.text for w in words)
                whole = len(words) == length and all(w.clean for w in words)
                fits = len(text) <= {"word": 14, "words": 24}.get(kind, LONGEST_LINE)
                if whole and fits and len(text) >= 2 and re.search(r"[A-Za-z0-9]", text):
                    same_size = max(w.size for w in words) - min(w.size for w in words) < 0.5
                    if same_size and (kind != "line" or len(text) > 24):
                        spans.append(words)
    return spans


def build_line(source: Path, item: common.Item) -> Example:
    """One crop of a few words and the question what it says."""
    relative, index, kind = item.payload
    path = common.inside(source, relative)
    page = pdf.read_page(path, index)
    spans = _spans(path, index, kind.rstrip("0123456789"))
    for level in ("words", "word"):  # a table of numbers may have no run of this kind
        spans = spans or _spans(path, index, level)
    if not spans:
        raise DataError("no word on the page can be cropped")
    # One order for all crops of a kind: the crops of a page differ while it has enough runs.
    level = kind.rstrip("0123456789")
    generator = common.seeded("lines", relative, str(index), level)
    number = int(kind.removeprefix(level))
    order = generator.sample(range(len(spans)), len(spans))
    words = spans[order[number % len(spans)]]
    generator = common.seeded("lines", relative, str(index), kind)
    picture, box = _crop(path, index, page, words, generator)
    text = " ".join(w.text for w in words)
    metadata = {
        "level": level, "page": index + 1, "document": relative, "page_box": box,
        "answer": text, "metric": "exact_match",
    }  # fmt: skip
    segments = conversation([_encode(picture)], [("Read the text.", text)])
    return Example(segments, "open_lines", item.key, "text_rich", metadata)


def _crop(
    path: Path, index: int, page: pdf.Page, words: list[pdf.Word], generator: random.Random
) -> tuple[np.ndarray, list[float]]:
    """(picture, its page-relative box [x, y, w, h]) of some words of one line."""
    size = words[0].size
    # Ascender to descender is nine tenths of the size: 10 to 14 pixels.
    scale = generator.uniform(11, 15.5) / size
    gap = 0.14 * size  # half of a word space, so that no neighbour is seen
    box = (
        max(min(w.box[0] for w in words) - gap, 0.0),
        max(words[0].baseline - 0.86 * size, 0.0),
        min(max(w.box[2] for w in words) + gap, page.width),
        min(words[0].baseline + 0.3 * size, page.height),
    )
    return pdf.render(path, index, scale, box), _relative(box, page)


def _relative(box: tuple[float, float, float, float], page: pdf.Page) -> list[float]:
    """PDFA's boxes: [x, y, width, height], as shares of the page."""
    x1, y1, x2, y2 = box
    shares = (x1 / page.width, y1 / page.height, (x2 - x1) / page.width, (y2 - y1) / page.height)
    return [round(share, 4) for share in shares]


# Paragraphs: two to six lines.


def plan_paragraphs(source: Path) -> list[common.Item]:
    """`PARAGRAPH_CROPS` crops of every page."""
    kinds = [f"paragraph{i}" for i in range(PARAGRAPH_CROPS)]
    return _items(source, "open_paragraphs", lambda split: kinds)


def _blocks(page: pdf.Page) -> list[list[pdf.Line]]:
    """Runs of lines of one size at one distance, each alone in its row."""
    blocks: list[list[pdf.Line]] = [[]]
    for row in _rows(page):
        line, block = row[0], blocks[-1]
        if len(row) > 1 or line.words[0].size < 4 or not page.in_body(line):
            blocks.append([])
            continue
        if block:
            step = line.words[0].baseline - block[-1].words[0].baseline
            overlap = min(line.box[2], block[-1].box[2]) - max(line.box[0], block[-1].box[0])
            if step > 1.6 * line.size or abs(line.size - block[-1].size) > 0.5 or overlap < 0:
                blocks.append([])
        blocks[-1].append(line)
    return [block for block in blocks if len(block) >= 2]


def build_paragraph(source: Path, item: common.Item) -> Example:
    """A crop of two to six lines and their text."""
    relative, index, kind = item.payload
    path = common.inside(source, relative)
    page = pdf.read_page(path, index)
    blocks = _blocks(page) or [[line] for line in page.lines]
    if not blocks:
        raise DataError("the page has no lines")
    generator = common.seeded("paragraphs", relative, str(index), kind)
    block = generator.choice(blocks)
    length = generator.randint(min(2, len(block)), min(6, len(block)))
    start = generator.randint(0, len(block) - length)
    lines = block[start : start + length]
    size = lines[0].size
    left, right = min(x.box[0] for x in lines), max(x.box[2] for x in lines)
    box = (
        max(left - 0.5 * size, 0.0),
        max(lines[0].words[0].baseline - 0.9 * size, 0.0),
        min(right + 0.5 * size, page.width),
        min(lines[-1].words[0].baseline + 0.3 * size, page.height),
    )
    picture = pdf.render(path, index, generator.uniform(12, 18) / size, box)
    text = "\n".join(line.text for line in lines)
    metadata = {
        "page": index + 1, "document": relative, "page_box": _relative(box, page),
        "answer": text, "metric": "anls",
    }  # fmt: skip
    segments = conversation([_encode(picture)], [("Read the text.", text)])
    return Example(segments, "open_paragraphs", item.key, "text_rich", metadata)


# Whole pages.


def plan_pages(source: Path) -> list[common.Item]:
    """Two questions a page."""
    return _items(source, "open_pages", lambda split: ("line", "heading"))


def plan_page_texts(source: Path) -> list[common.Item]:
    """All text of every page."""
    return _items(source, "open_page_texts", lambda split: ("text",))


def _rows(page: pdf.Page) -> list[list[pdf.Line]]:
    """Lines that stand beside each other, top to bottom."""
    rows: list[list[pdf.Line]] = []
    for line in page.lines:
        if rows and abs(rows[-1][0].words[0].baseline - line.words[0].baseline) < 3:
            rows[-1].append(line)
        else:
            rows.append([line])
    return rows


def _text(row: list[pdf.Line]) -> str:
    return " ".join(line.text for line in row)


def _headings(page: pdf.Page) -> list[str]:
    """Bold rows that are larger than the body or numbered like a section; no table of contents.

    A heading that goes on in the next row is one heading.
    """
    found: list[str] = []
    last: pdf.Word | None = None  # of the heading in the row before
    for row in _rows(page):
        words = [word for line in row for word in line.words]
        text = _text(row)
        size = float(np.median([w.size for w in words]))
        bold = sum(len(w.text) for w in words if w.bold) > 0.8 * sum(len(w.text) for w in words)
        numbered = re.match(r"(Chapter |Appendix )?(\d+|[A-Z]\.\d+)(\.\d+)*\.?(\s+\S|$)", text)
        listed = len(row) > 1 and re.fullmatch(r"[\divxlc]+", row[-1].text)
        heads = size > 1.1 * page.body_size or (numbered and page.in_body(row[0]))
        if not (bold and heads and not listed and any(c.isalpha() for c in text)):
            last = None
            continue
        step = words[0].baseline - last.baseline if last else float("inf")
        if last and not numbered and step < 1.7 * size and abs(last.size - size) < 0.5:
            divided = found[-1].endswith("-")
            found[-1] = found[-1][:-1] + text if divided else f"{found[-1]} {text}"
        else:
            found.append(text)
        last = words[0]
    return found


@functools.lru_cache(maxsize=2)
def _page_image(path: Path, index: int) -> Image:
    """A whole page; several questions in a row are about the same."""
    return _encode(pdf.render(path, index, PAGE_SCALE))


def build_page(source: Path, item: common.Item) -> Example:
    """A page with a question about one of its headings or lines."""
    relative, index, kind = item.payload
    path = common.inside(source, relative)
    page = pdf.read_page(path, index)
    image = _page_image(path, index)
    rows = [_text(row) for row in _rows(page)]
    metadata: dict = {"kind": kind, "page": index + 1, "document": relative}
    generator = common.seeded("pages", item.key)
    headings = _headings(page)
    if kind == "heading" and 0 < len(headings) <= len(ORDINALS):
        number = generator.randrange(len(headings))
        question = f"What is the {ORDINALS[number]} heading on this page?"
        answer = headings[number]
    else:  # a page without a heading is asked about another line
        number = generator.randrange(min(len(rows), len(ORDINALS)))
        question = f"What does the {ORDINALS[number]} line of this page say?"
        answer = rows[number]
    metadata |= {"answer": answer, "metric": "anls"}
    segments = conversation([image], [(question, answer)])
    return Example(segments, "open_pages", item.key, "text_rich", metadata)


def build_page_text(source: Path, item: common.Item) -> Example:
    """A page and its text; its words and their boxes as PDFA has them."""
    relative, index, _ = item.payload
    path = common.inside(source, relative)
    page = pdf.read_page(path, index)
    text = "\n".join(_text(row) for row in _rows(page))
    metadata = {
        "page": index + 1,
        "document": relative,
        "words": [word.text for word in page.words],
        "boxes": [_relative(word.box, page) for word in page.words],
    }
    segments = (_page_image(path, index), Text(text, loss=True))
    return Example(segments, "open_page_texts", item.key, "text_rich", metadata)


def _preparation(name: str, description: str, plan, build):
    return common.preparation(name, "text_rich", description, LICENCE, plan, build)


PREPARATIONS = (
    _preparation(
        "open_lines", "Crops of one to a few words of manuals, to be read.", plan_lines, build_line
    ),
    _preparation(
        "open_paragraphs",
        "Crops of two to six lines of manuals, to be read.",
        plan_paragraphs,
        build_paragraph,
    ),
    _preparation(
        "open_pages",
        "Whole pages of manuals, with questions about their lines and headings.",
        plan_pages,
        build_page,
    ),
    _preparation(
        "open_page_texts",
        "Whole pages of manuals and all their text, word by word with boxes.",
        plan_page_texts,
        build_page_text,
    ),
)
