r"""Facts to be found in PDF documents: Kleister Charity and DeepForm.

Formats: Kleister as applicaai/kleister-charity holds it (in.tsv.xz: file name, keys, and the text
by four OCR programs, with "\f" between pages; expected.tsv: key=value with underscores for
spaces); DeepForm as project-deepform/deepform does (a CSV with the facts of each file). DocOwl's
DocDownstream-1.0, which has pictures of both, is read too (module `docowl`).

A document has up to hundreds of pages, and the facts do not say where they stand. So a fact is
asked of the first page whose text has it, in one of its usual spellings; facts that no page has and
documents without any, are left out. The facts of a page are one example of training.
"""

from __future__ import annotations

import csv
import datetime
import functools
import io
import lzma
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mm15_jax.data.convert.docowl import or_docowl
from mm15_jax.data.convert.json_files import table_parts
from mm15_jax.data.convert.page_pictures import pdf_page, require_pdfium
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import Reading, file_preparation, in_memory, requiring
from mm15_jax.data.open_corpus import pdf
from mm15_jax.data.preparation import Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example

_PER_PART = 128  # documents
_MOST_LINE = 2**26  # bytes of a line, which has a document's text four times
_QUESTION = "What is the value for the {}?"


class Form(NamedTuple):
    """A document and its facts."""

    name: str  # of its file
    facts: tuple[tuple[str, str], ...]  # (key, value)
    texts: tuple[str, ...] = ()  # of the whole document, by several programs; pages end with \f


def _spellings(value: str) -> set[str]:
    """How a value may stand on a page, in the form of `_plain`."""
    found = {_plain(value)}
    if match := re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)", value):
        try:
            day = datetime.date(*map(int, match.groups()))
        except ValueError:
            return found
        month, short = day.strftime("%B").lower(), day.strftime("%b").lower()
        for name in (month, short):
            found |= {f"{day.day} {name} {day.year}", f"{name} {day.day} {day.year}"}
        for year in (f"{day.year}", f"{day.year % 100:02d}"):
            found |= {f"{day.day:02d} {day.month:02d} {year}", f"{day.day} {day.month} {year}"}
    return found


def _plain(text: str) -> str:
    """Words and sums in small letters: no marks, thousands' commas, .00, endings of "31st"."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower())
    text = re.sub(r"(?<=\d)\.00\b", "", text)
    text = re.sub(r"(?<=\d)(st|nd|rd|th)\b", "", text)
    return " ".join(re.findall(r"(?<![\d.])\d+\.\d\d(?!\.?\d)|\w+", text))


def _pages(form: Form, path, count: int) -> list[str]:
    """The text of each page: of the first program that saw as many pages, else the PDF's own."""
    for text in form.texts:
        pages = text.split("\f")
        if len(pages) == count + 1 and not pages[-1].strip():
            pages.pop()
        if len(pages) == count:
            return pages
    return [" ".join(w.text for w in pdf.read_page(path, i).words) for i in range(count)]


def facts_by_page(form: Form, pages: Sequence[str]) -> dict[int, list[tuple[str, str]]]:
    """The facts that pages have, by number of the first such page."""
    plain = [f" {_plain(page)} " for page in pages]
    found: dict[int, list[tuple[str, str]]] = {}
    for key, value in form.facts:
        spellings = _spellings(value)
        for number, text in enumerate(plain):
            if any(f" {spelling} " in text for spelling in spellings if spelling):
                found.setdefault(number, []).append((key, value))
                break
    return dict(sorted(found.items()))


def _form(maker: Maker, form: Form) -> Iterator[Example]:
    stem = form.name.removesuffix(".pdf")
    with maker.source.local(form.name) as path:
        pages = _pages(form, path, pdf.page_count(path))
        for number, facts in facts_by_page(form, pages).items():
            picture = pdf_page(path, number)
            key = f"{stem}/{number + 1}"
            turns = [(_QUESTION.format(name), value) for name, value in facts]
            if maker.trains:
                yield maker.dialogue(key, picture, turns, prompt="")
                continue
            for (name, value), (question, _) in zip(facts, turns, strict=True):
                yield maker.short(f"{key}/{name}", picture, question, value, "anls", prompt="")


def _escaped(text: str) -> str:
    marks = {"\\f": "\f", "\\n": "\n", "\\t": "\t", "\\\\": "\\"}
    return re.sub(r"\\[fnt\\]", lambda match: marks[match.group()], text)


def _expected(line: str) -> tuple[tuple[str, str], ...]:
    pairs = [field.partition("=") for field in line.split()]
    return tuple((key, value.replace("_", " ")) for key, _, value in pairs if value)


@functools.lru_cache(maxsize=4)
def _lines(source: Source, file: str) -> tuple[str, ...]:
    return tuple(source.read(file).decode("utf-8").splitlines())


def _kleister_parts(source: Source, files: Sequence[str]) -> list[Part]:
    return table_parts(files[0], len(_lines(source, files[1])), files, _PER_PART)


def _kleister(source: Source, part: Part) -> Iterator[tuple[str, Form]]:
    expected = _lines(source, part.files[1])
    with source.open(part.files[0]) as packed, lzma.open(packed) as stream:
        for number in range(part.stop):
            line = stream.readline(_MOST_LINE)
            if len(line) == _MOST_LINE:
                raise ValueError(f"line {number + 1} of {part.files[0]} has no end")
            if number < part.start:
                continue
            cells = line.decode("utf-8", "replace").rstrip("\n").split("\t")
            texts = tuple(_escaped(text) for text in reversed(cells[2:]))
            yield cells[0], Form(f"documents/{cells[0]}", _expected(expected[number]), texts)


_MANIFEST = "fcc-data-2020-labeled-manifest.csv"
_FACTS = ("advertiser", "contract_num", "flight_from", "flight_to", "gross_amount")


@functools.lru_cache(maxsize=1)
def _deepform(source: Source, files: tuple[str, ...]) -> list[tuple[str, Form]]:
    """(file name, form) of each row."""
    forms = []
    for row in csv.DictReader(io.StringIO(source.read(files[0]).decode("utf-8"))):
        facts = tuple((key, row[key].strip()) for key in _FACTS if (row.get(key) or "").strip())
        name = f"pdfs/{row['file_id']}.pdf"
        forms.append((name, Form(name, facts)))
    return forms


PREPARATIONS: tuple[Preparation, ...] = (
    or_docowl(
        file_preparation(
            name="kleister",
            category="text_rich",
            description="Names, numbers, addresses and sums in reports of British charities.",
            licence="see publisher (github.com/applicaai/kleister-charity)",
            format="pdf_forms",
            layout="of kleister-charity: train/in.tsv.xz, train/expected.tsv, the same of dev-0/,"
            " and documents/ of PDF files",
            files={  # the facts of test-A/ are not published
                split: (f"{folder}/in.tsv.xz", f"{folder}/expected.tsv")
                for split, folder in (("train", "train"), ("validation", "dev-0"))
            },
            reading=requiring(require_pdfium, Reading(_kleister_parts, _kleister)),
            together=True,
            example=_form,
        ),
        "KleisterCharity",
        "anls",
    ),
    or_docowl(
        file_preparation(
            name="deepform",
            category="text_rich",
            description="Sums, dates and names in receipts of political advertisements.",
            licence="see publisher (github.com/project-deepform/deepform)",
            format="pdf_forms",
            layout=f"{_MANIFEST} or data/{_MANIFEST}, and pdfs/ of PDF files by file_id",
            files={"train": (f"{_MANIFEST}|data/{_MANIFEST}",)},
            reading=requiring(require_pdfium, in_memory(_deepform, _PER_PART)),
            example=_form,
        ),
        "DeepForm",
        "anls",
    ),
)
