"""Denotation accuracy: an answer is a set of items, as in WikiTableQuestions.

Pasupat and Liang 2015; the rules are those of ppasupat/WikiTableQuestions evaluator.py 1.0.2, which
runs under Python 2 only.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

_QUOTES = str.maketrans({**dict.fromkeys("‘’´`", "'"), **dict.fromkeys("“”", '"')})
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
# What stands in brackets, at the start of a text only a number. No text is read in two ways: else a
# model that repeats "[1]" would keep it busy for hours.
_CITATIONS = re.compile(r"(?:(?<!^)\[[^\]]*\]|^\[[0-9]+\]|[•♦†‡*#+])*$")
_DETAILS = re.compile(r"(?<!^)(?: \([^)]*\))*$")
_QUOTED = re.compile(r'^"([^"]*)"$')
_SEPARATORS = ("\t", "|", "\n", ", ")
_TOLERANCE = 1e-6

# A number, a (year, month, day) with -1 for what is open, or None for a plain text.
_Meaning = int | float | tuple[int, int, int] | None
_Value = tuple[str, _Meaning]


def normalise_item(text: str) -> str:
    """An item as texts are compared.

    Without accents, citations ("[2]", "†"), brackets at the end, outer quotes, one final stop;
    quotes and dashes as in ASCII, lower case, single spaces.
    """
    decomposed = unicodedata.normalize("NFKD", text)
    text = "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
    text = text.translate(_QUOTES).translate(_DASHES)
    before = None
    while text != before:
        before = text
        text = _CITATIONS.sub("", text.strip())
        text = _DETAILS.sub("", text.strip())
        text = _QUOTED.sub(r"\1", text.strip())
    return " ".join(text.removesuffix(".").split()).lower()


def _number(text: str) -> int | float | None:
    if "_" in text:  # Python reads 1_000, its version 2 does not
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if abs(number - round(number)) < _TOLERANCE else number


def _date(text: str) -> tuple[int, int, int] | None:
    """Year, month and day of a text such as "1998-xx-05", here (1998, -1, 5)."""
    parts = text.lower().split("-")
    if len(parts) != 3 or "_" in text:
        return None
    try:
        year = -1 if parts[0] in ("xx", "xxxx") else int(parts[0])
        month, day = (-1 if part == "xx" else int(part) for part in parts[1:])
    except ValueError:
        return None
    if year == month == day == -1:
        return None
    if not (month == -1 or 1 <= month <= 12) or not (day == -1 or 1 <= day <= 31):
        return None
    return year, month, day


def _value(text: str, canon: str | None = None) -> _Value:
    meaning: _Meaning = _number(canon or text)
    if meaning is None:
        meaning = _date(canon or text)
        if isinstance(meaning, tuple) and meaning[1] == meaning[2] == -1:
            meaning = meaning[0]
    if not text and meaning is not None:  # an empty item is written as what it means
        parts = meaning if isinstance(meaning, tuple) else (meaning,)
        return "-".join("xx" if part == -1 and len(parts) > 1 else str(part) for part in parts), (
            meaning
        )
    return normalise_item(text), meaning


def _distinct(values: Sequence[_Value]) -> list[_Value]:
    """Equal numbers and dates count once however they are written, and so do equal texts."""
    return list({(meaning if meaning is not None else text): (text, meaning)
                 for text, meaning in reversed(values)}.values())  # fmt: skip


def _matches(truth: _Value, given: _Value) -> bool:
    if truth[0] == given[0]:
        return True
    first, second = truth[1], given[1]
    if isinstance(first, tuple) or isinstance(second, tuple):
        return first == second
    if first is None or second is None:
        return False
    try:
        return abs(first - second) < _TOLERANCE
    except OverflowError:  # no fraction is near a whole number of 309 digits
        return False


def same_denotation(
    items: Sequence[str], truths: Sequence[str], canons: Sequence[str] | None = None
) -> bool:
    """Whether two sets of items are the same.

    They have the same number of different items, and for each true one there is one given with the
    same normalised text, the same number (to 1e-6) or the same date ("1998-01-xx").

    Args:
      items: the answer's.
      truths: the true ones, as written.
      canons: what each true one means, "1998-01-05" of "January 5, 1998", as the data set's
        targetCanon has it; None where it is as written.

    Raises:
      ValueError: other than one meaning to an item.
    """
    if canons is not None and len(canons) != len(truths):
        raise ValueError(f"{len(canons)} canonical values of {len(truths)} items")
    meanings: Sequence[str | None] = canons or [None] * len(truths)
    expected = _distinct([_value(t, m) for t, m in zip(truths, meanings, strict=True)])
    given = _distinct([_value(item) for item in items])
    return len(expected) == len(given) and all(
        any(_matches(truth, value) for value in given) for truth in expected
    )


def denotation(answer: str, items: Sequence[str], canons: Sequence[str] | None = None) -> float:
    """1 if a text is read as the true set of items, else 0 (WTQ's denotation accuracy).

    The text may be one item, or items between tabs, "|", line ends, or commas with a space; an item
    may itself have a comma, so each of these readings is tried.

    Args:
      answer: the model's.
      items: ALL items of the true answer, not alternatives.
      canons: as in `same_denotation`.
    """
    answer = answer.strip()
    readings = [[answer]]
    for separator in _SEPARATORS:
        if separator in answer:
            pieces = (piece.strip() for piece in answer.split(separator))
            readings.append([piece for piece in pieces if piece])
    return float(any(same_denotation(reading, items, canons) for reading in readings))
