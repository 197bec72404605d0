"""Text to be read: pages of PDFA and IDL, and rendered handwriting.

Format: pixparse/pdfa-eng-wds and pixparse/idl-wds as chug's `DocReadProcessor` reads them. The json
of a sample has `pages`, each with `lines` of {text: [...], bbox: [[x, y, width, height], ...]} as
shares of the page (PDFA, beside `words`), or `text` and `bbox` themselves, a line each (IDL). PDFA
has the document as pdf, IDL as tif (the pdf and the older ocr beside it are not read).
wendlerc/RenderedText has png, and in the json `ocr_annotation.text`, a list of lines.

A page is one example: its picture, then its lines in the publisher's order, which is the order of
reading. The target of training is all text of the page.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mm15_jax.data.convert.archives import Sample
from mm15_jax.data.convert.page_pictures import TiffPages, pdf_page, require_pdfium
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, requiring
from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.convert.webdataset import TARS, field, json_field, webdataset
from mm15_jax.data.open_corpus import pdf
from mm15_jax.data.preparation import BadRecord, DataError, Preparation
from mm15_jax.inputs.example import Example, Image, Text

# Of a document; IDL has some of 3,000 pages of one kind. What is left out is reported.
MOST_PAGES = 100


def _page_texts(sample: Sample) -> list[str | DataError]:
    """The text of each page, or why there is none."""
    pages = json_field(sample).get("pages")
    if not isinstance(pages, list) or not pages:
        raise DataError("a document without pages in its json")
    return [_page_text(page) for page in pages]


def _page_text(page: Any) -> str | DataError:
    holder = page.get("lines", page) if isinstance(page, dict) else None
    lines = holder.get("text") if isinstance(holder, dict) else None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        return DataError("a page whose json has no list of lines")
    return _joined(lines) or DataError("a page without text")


def _joined(lines: list[str]) -> str:
    clean = (" ".join(line.split()) for line in lines)
    return "\n".join(line for line in clean if line)


def _pages(maker: Maker, key: str, texts: list[str | DataError], count: int, picture) -> Iterator:
    """Examples of the pages that have a picture and a text; BadRecords for the others.

    Args:
      maker: of the data set.
      key: of the document.
      texts: of each page, or what is wrong with it.
      count: pages that have a picture.
      picture: the Image of a page.
    """
    both = min(count, len(texts))
    if count != len(texts):
        yield BadRecord(key, f"{count} pages with a picture, {len(texts)} with text; {both} used")
    if both > MOST_PAGES:
        reason = f"{both - MOST_PAGES} pages of a document beyond {MOST_PAGES} are left out"
        yield BadRecord(f"{key}:{MOST_PAGES + 1}-{both}", reason)
    for number, text in enumerate(texts[: min(both, MOST_PAGES)]):
        place = f"{key}:{number + 1}"
        try:
            if isinstance(text, DataError):
                raise text
            image: Image = picture(number)
        except ValueError as error:  # the reader of PDF documents has an error of its own
            yield BadRecord(place, str(error))
            continue
        facts = {"page": number + 1, "document": key}
        yield Example((image, Text(text, loss=True)), maker.name, place, maker.category, facts)


def _pdfa(maker: Maker, item: tuple[str, Sample]) -> Iterator[Example | BadRecord]:
    key, sample = item
    texts = _page_texts(sample)
    # A folder of its own: documents are remembered by their path.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "document.pdf"
        path.write_bytes(field(sample, "pdf"))
        count = pdf.page_count(path)
        yield from _pages(
            maker, key, texts, count, lambda number: pdf_page(path, number, "document")
        )


def _idl(maker: Maker, item: tuple[str, Sample]) -> Iterator[Example | BadRecord]:
    key, sample = item
    pages = TiffPages(field(sample, "tif", "tiff"))
    yield from _pages(
        maker, key, _page_texts(sample), len(pages), lambda number: pages.page(number, "document")
    )


def _rendered(maker: Maker, item: tuple[str, Sample]) -> Example:
    key, sample = item
    annotation = json_field(sample).get("ocr_annotation")
    lines = annotation.get("text") if isinstance(annotation, dict) else None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise DataError("its json has no ocr_annotation.text, a list of lines")
    text = _joined(lines)
    if not text:
        raise DataError("a picture without text")
    image = image_of(field(sample, "png"), role="document")
    return Example((image, Text(text, loss=True)), maker.name, key, maker.category, {})


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="pdfa",
        category="text_rich",
        description="Pages of English PDF documents from the web, with their text layer.",
        licence="see the publisher (pixparse/pdfa-eng-wds)",
        format="webdataset",
        layout="pdfa-eng-train-0000.tar ... of pixparse/pdfa-eng-wds, of pdf and json",
        files={"train": ("**/pdfa-*.tar",)},
        reading=requiring(require_pdfium, webdataset("pdf", "json")),
        example=_pdfa,
    ),
    file_preparation(
        name="idl",
        category="text_rich",
        description="Scanned pages of the Industry Documents Library, with text by Textract.",
        licence="see the publisher (pixparse/idl-wds)",
        format="webdataset",
        layout="idl-train-00000.tar ... of pixparse/idl-wds, of tif and json",
        files={"train": ("**/idl-*.tar",)},
        reading=webdataset("tif", "tiff", "json"),
        example=_idl,
    ),
    file_preparation(
        name="renderedtext",
        category="text_rich",
        description="Handwriting fonts rendered on sheets of paper in three dimensions.",
        licence="none stated (wendlerc/RenderedText)",
        format="webdataset",
        layout="000000.tar ... and remaining/*.tar of wendlerc/RenderedText, of png and json",
        files={"train": TARS},
        reading=webdataset("png", "json"),
        example=_rendered,
    ),
)
