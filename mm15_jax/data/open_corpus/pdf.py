"""Pages of PDF documents: their words with boxes, their lines, their pictures.

PDF coordinates are points (1/72 inch) with y upwards; everything this module gives out has its
origin at the top left, x to the right and y downwards, as pictures have.
"""

from __future__ import annotations

import ctypes
import functools
import gzip
import math
import threading
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mm15_jax.data.preparation import DataError

MAX_BYTES = 64_000_000  # of an unpacked document
LINE_END_HYPHEN = "\x02"  # what PDFium gives for a hyphen that divides a word
GAP = 0.7  # of the font size: a wider space inside a word is a space between columns
# How people type what typesetters print.
_TYPED = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "−": "-", "‑": "-", "…": "..."}
    | {"\u00ad": "-", LINE_END_HYPHEN: "-"}
)

# PDFium is not thread safe; decoding threads may share a process.
_LOCK = threading.Lock()


@dataclass
class Word:
    """A word as printed: text, its box in points [x1, y1, x2, y2], the baseline and the size."""

    text: str
    box: tuple[float, float, float, float]
    baseline: float
    size: float  # nominal font size in points
    bold: bool
    clean: bool  # printable ASCII, nothing raised or lowered attached to it


@dataclass
class Line:
    """Words that share a baseline and follow each other without a wide gap."""

    words: list[Word] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its words with a space between them."""
        return " ".join(word.text for word in self.words)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """[x1, y1, x2, y2] around its words, in points."""
        boxes = np.array([word.box for word in self.words])
        return (*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist())

    @property
    def size(self) -> float:
        """Font size of most of its characters, in points."""
        return float(np.median([w.size for w in self.words for _ in w.text]))


@dataclass
class Page:
    """One page: size in points and lines from top to bottom."""

    width: float
    height: float
    lines: list[Line]

    def in_body(self, line: Line) -> bool:
        """Whether a line is no running head or foot, which all pages share."""
        inside = 0.08 * self.height < line.words[0].baseline < 0.93 * self.height
        return inside or line.size > 1.1 * self.body_size

    @functools.cached_property
    def body_size(self) -> float:
        """Font size of the middle word, in points."""
        return float(np.median([word.size for word in self.words]))

    @property
    def words(self) -> list[Word]:
        """All words in reading order."""
        return [word for line in self.lines for word in line.words]


@functools.lru_cache(maxsize=8)
def _document(path: Path):
    """An open document; `.gz` is unpacked in memory."""
    import pypdfium2

    try:
        if path.suffix == ".gz":
            with gzip.open(path) as file:
                data = file.read(MAX_BYTES + 1)
        else:
            data = path.read_bytes()
        if len(data) > MAX_BYTES:
            raise DataError(f"{path.name} has more than {MAX_BYTES} bytes")
        return pypdfium2.PdfDocument(data)
    except (OSError, EOFError, pypdfium2.PdfiumError) as error:
        raise DataError(f"{path.name} is not a readable PDF ({error})") from error


def page_count(path: Path) -> int:
    """Pages of a document; DataError if it cannot be read."""
    with _LOCK:
        return len(_document(path))


def character_count(path: Path, index: int) -> int:
    """Characters in the text layer of a page (0-based)."""
    with _LOCK:
        return _document(path)[index].get_textpage().count_chars()


def render(
    path: Path, index: int, scale: float, box: tuple[float, float, float, float] | None = None
) -> np.ndarray:
    """uint8[h, w, 3] of a page, or of a box of it in points, at `scale` pixels a point."""
    with _LOCK:
        page = _document(path)[index]
        width, height = page.get_size()
        x1, y1, x2, y2 = box or (0, 0, width, height)
        margins = (x1, height - y2, width - x2, y1)  # left, bottom, right, top
        # PDFium's binding rounds margins up to whole pixels, which would cut into the box; a
        # hundredth keeps whole numbers whole.
        crop = tuple(max((math.floor(m * scale) - 0.01) / scale, 0) for m in margins)
        return page.render(scale=scale, crop=crop, rev_byteorder=True).to_numpy()[..., :3].copy()


@functools.lru_cache(maxsize=128)  # a whole evaluation split, which is in random order
def read_page(path: Path, index: int) -> Page:
    """The text layer of a page (0-based) as lines of words; DataError if it cannot be read."""
    import pypdfium2

    with _LOCK:
        try:
            page = _document(path)[index]
            width, height = page.get_size()
            words = _words(page.get_textpage(), height)
        except (IndexError, pypdfium2.PdfiumError) as error:
            raise DataError(f"page {index + 1} of {path.name} is not readable ({error})") from error
    words = [
        w
        for w in words
        if w.box[0] >= 0
        and w.box[1] >= 0
        and w.box[2] <= width
        and w.box[3] <= height
        and w.box[0] < w.box[2]
        and w.box[1] < w.box[3]
    ]
    return Page(width=width, height=height, lines=_lines(words))


def _words(text_page, page_height: float) -> list[Word]:
    """Words in the order of the text layer."""
    import pypdfium2.raw as raw

    left, right, bottom, top, x, y = (ctypes.c_double() for _ in range(6))
    words: list[Word] = []
    run: list[tuple[str, tuple[float, float, float, float], float, float, int]] = []

    def close() -> None:
        if run:
            words.append(_word(run, _is_bold(text_page, run[0][-1])))
            run.clear()

    for i in range(text_page.count_chars()):
        code = raw.FPDFText_GetUnicode(text_page, i)
        character = chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd"
        printed = code >= 32 and raw.FPDFText_IsGenerated(text_page, i) != 1
        if character.isspace() or not (printed or character == LINE_END_HYPHEN):
            close()
            continue
        raw.FPDFText_GetCharBox(text_page, i, left, right, bottom, top)
        raw.FPDFText_GetCharOrigin(text_page, i, x, y)
        size = raw.FPDFText_GetFontSize(text_page, i)
        box = (left.value, page_height - top.value, right.value, page_height - bottom.value)
        if run and (
            abs(run[-1][2] - (page_height - y.value)) > 0.6 * size  # on in the next line
            or box[0] < run[-1][1][0] - size
            or box[0] > run[-1][1][2] + GAP * size  # in the next column
        ):
            close()
        run.append((character, box, page_height - y.value, size, i))
        if character == LINE_END_HYPHEN:
            close()
    close()
    return _without_leaders(words)


def _without_leaders(words: list[Word]) -> list[Word]:
    """Drops the rows of dots that lead the eye in a table of contents."""
    dots = [set(word.text) == {"."} for word in words]
    near = [any(dots[max(i - 1, 0) : i] + dots[i + 1 : i + 2]) for i in range(len(words))]
    return [w for w, dot, by in zip(words, dots, near, strict=True) if not (dot and by)]


def _is_bold(text_page, index: int) -> bool:
    """By the font's weight, or by its name: the standard fonts come without a weight."""
    import pypdfium2.raw as raw

    name = ctypes.create_string_buffer(128)
    raw.FPDFText_GetFontInfo(text_page, index, name, len(name), ctypes.c_int())
    return raw.FPDFText_GetFontWeight(text_page, index) >= 600 or b"bold" in name.value.lower()


def _word(run: list, bold: bool) -> Word:
    """A word from its characters (character, box, baseline, size, index)."""
    text = unicodedata.normalize("NFC", "".join(c for c, *_ in run)).translate(_TYPED)
    for ligature in "ﬀﬁﬂﬃﬄ":
        text = text.replace(ligature, unicodedata.normalize("NFKC", ligature))
    boxes = np.array([box for _, box, *_ in run])
    baselines = [baseline for _, _, baseline, _, _ in run]
    sizes = [size for _, _, _, size, _ in run]
    baseline, size = float(np.median(baselines)), float(np.median(sizes))
    level = max(abs(b - baseline) for b in baselines) < 0.1 * size
    even = max(sizes) - min(sizes) < 0.05 * size
    return Word(
        text=text,
        box=(*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist()),
        baseline=baseline,
        size=size,
        bold=bold,
        clean=level and even and text.isascii() and text.isprintable() and size > 4,
    )


def _lines(words: list[Word]) -> list[Line]:
    """Words to lines, top to bottom: one baseline, and no gap of two letters' width."""
    lines: list[Line] = []
    for word in words:
        last = lines[-1].words[-1] if lines else None
        if (
            last is not None
            and abs(last.baseline - word.baseline) < 0.3 * max(last.size, word.size)
            and -0.5 * word.size < word.box[0] - last.box[2] < 1.5 * word.size
        ):
            lines[-1].words.append(word)
        else:
            lines.append(Line([word]))
    # Baselines within two points are one row, read from left to right.
    return sorted(lines, key=lambda line: (round(line.words[0].baseline / 2), line.box[0]))
