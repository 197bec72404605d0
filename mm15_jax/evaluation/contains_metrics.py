"""Answers that count if the truth occurs in them: OCRBench, LVIS-Ref, and whole words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# Full-width letters, digits and signs, and the ideographic space, as in ASCII.
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_WORD = re.compile(r"\d+(?:\.\d+)*|[^\W\d]+|\d")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# LVIS-Ref: what is said not to be there, up to the end of the clause.
_DENIED = (re.compile(r"\s+not[^,.]*[,.]"), re.compile(r"\s+no[^,.]*[,.]"))


def _words(text: str) -> list[str]:
    text = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(_THOUSANDS.sub("", text))


def contains(answer: str, references: Sequence[str]) -> float:
    """1 if the words of a reference occur in the answer, one after the other, else 0.

    Case, punctuation between words and commas of thousands do not matter; "3" does not occur in
    "3.5", nor "car" in "scarf". A reference without a word ("+") must equal the answer.
    """
    given = f" {' '.join(_words(answer))} "
    for reference in references:
        words = _words(reference)
        if words and f" {' '.join(words)} " in given:
            return 1.0
        if not words and reference.strip() == answer.strip():
            return 1.0
    return 0.0


def ocrbench(answer: str, references: Sequence[str]) -> float:
    """1 if a reference occurs in the answer, without regard to case (OCRBench, Liu et al. 2023).

    Line ends are spaces, and full-width letters are as ASCII's.
    """
    given = _plain(answer)
    return float(any(_plain(reference) in given for reference in references))


def _plain(text: str) -> str:
    return text.translate(_FULL_WIDTH).lower().strip().replace("\n", " ")


def ocrbench_formula(answer: str, references: Sequence[str]) -> float:
    """OCRBench's rule for handwritten formulas (HME100k): case counts, spaces do not."""
    given = _dense(answer)
    return float(any(_dense(reference) in given for reference in references))


def _dense(text: str) -> str:
    return text.strip().replace("\n", "").replace(" ", "")


def lvis_names(references: Sequence[str]) -> list[str]:
    """The names and synonyms that LVIS-Ref accepts.

    Underscores are spaces, and "bow_(decorative_ribbons)" stands for two names.
    """
    names = []
    for reference in references:
        outside, _, inside = reference.partition("(")
        names += [outside, inside.replace(")", "")] if inside else [reference]
    return [name for name in (name.replace("_", " ").strip() for name in names) if name]


def lvis_name(answer: str, references: Sequence[str]) -> float:
    """1 if an object's name or a synonym occurs in the answer, else 0 (LVIS-Ref).

    The question offers two names, one of them wrong; a clause from " not" or " no" to its comma or
    stop is left out first, so that "a cat, not a dog." does not name the dog. Ferret's evaluation
    (You et al. 2024, ferret/eval/eval_lvis.py), with its quirk that any word beginning with "no"
    opens such a clause; here case does not matter.
    """
    text = answer.lower()
    for denied in _DENIED:
        text = denied.sub("", text)
    return float(any(name.lower() in text for name in lvis_names(references)))
