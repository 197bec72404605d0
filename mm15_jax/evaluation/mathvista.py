"""MathVista's answers, taken from a text by rule and compared as its evaluation does.

Lu et al. 2024; lupantech/MathVista evaluation/{extract_answer,calculate_score}.py. There a language
model takes the answer from the text; here rules do, which is exact for models that answer shortly.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Sequence

from mm15_jax.evaluation.text_metrics import edit_distance, parse_choice

ANSWER_TYPES = ("text", "integer", "float", "list")
_QUOTED = re.compile(r'The answer is "(.*)"\.')
_STATED = re.compile(r"(?i)\banswer\b(?:\s+is)?\s*:?")
_NUMBER = re.compile(r"[-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?|[-−]?\.\d+")
_LIST = re.compile(r"\[[^\[\]]*\]")


def extract_mathvista(answer: str, choices: Sequence[str], answer_type: str) -> str:
    """What a model's text answers; "" where no rule finds anything.

    'The answer is "..."' gives what is quoted. Else, of choices, the text of the one that
    `parse_choice` reads; of numbers the first after the last "answer is", or without that the last
    in the text; of lists the last in square brackets; of other answers the whole text.

    Raises:
      ValueError: an unknown type of answer.
    """
    if answer_type not in ANSWER_TYPES:
        raise ValueError(f"an answer of type {answer_type!r}, expected one of {ANSWER_TYPES}")
    answer = answer.strip()
    if answer in choices:
        return answer
    if quoted := _QUOTED.search(answer):
        return quoted.group(1)
    if choices:
        # Options such as "A" or "B" name themselves.
        labels = all(len(choice) == 1 and choice.isalpha() for choice in choices)
        index = parse_choice(answer, choices, letters=not labels)
        return "" if index is None else choices[index]
    if answer_type in ("integer", "float"):
        stated = list(_STATED.finditer(answer))
        after = _NUMBER.findall(answer[stated[-1].end() :]) if stated else []
        found = after[:1] or _NUMBER.findall(answer)[-1:]
        return found[0].replace(",", "").replace("−", "-") if found else ""
    if answer_type == "list":
        return (_LIST.findall(answer) or [""])[-1]
    return answer


def normalise_mathvista(
    extraction: str, choices: Sequence[str], answer_type: str, precision: int
) -> str | None:
    """An extracted answer in the form in which it is compared; None if it is not of its type.

    As in MathVista: a letter, bare or in brackets, gives the choice's text, and any other text the
    choice nearest by edit distance; a whole number is cut, another rounded to `precision`.
    """
    if choices:
        extraction = extraction.strip()
        if bracketed := re.search(r"\(([a-zA-Z])\)", extraction):
            extraction = bracketed.group(1).upper()
        letters = string.ascii_uppercase[: len(choices)]
        if len(extraction) == 1 and extraction in letters:
            return choices[letters.index(extraction)]
        return min(choices, key=lambda choice: edit_distance(extraction, choice))
    if answer_type in ("integer", "float"):
        try:
            number = float(extraction)
            return str(int(number) if answer_type == "integer" else round(number, precision))
        except (ValueError, OverflowError):
            return None
    if answer_type == "list":
        try:
            return str(json.loads(extraction))  # one spacing
        except ValueError:
            return extraction
    return extraction


def mathvista(
    answer: str,
    references: Sequence[str],
    choices: Sequence[str] = (),
    *,
    answer_type: str = "text",
    precision: int = 0,
) -> float:
    """1 if the answer taken from a text by rule is a reference, else 0.

    An answer from which nothing can be taken is wrong: there MathVista would choose the option
    nearest to the empty text.

    Args:
      answer: the model's.
      references: the truth; of a choice its text.
      choices: texts of the options, none of a question without options.
      answer_type: one of `ANSWER_TYPES`.
      precision: decimals of a "float".

    Raises:
      ValueError: an unknown type of answer, or a reference that is none of the choices.
    """
    for reference in references:
        if choices and reference not in choices:
            raise ValueError(f"the reference {reference!r} is none of the choices {list(choices)}")
    extraction = extract_mathvista(answer, choices, answer_type)
    if not extraction:
        return 0.0
    given: str | None = extraction
    if extraction not in choices:  # else it could be taken for a letter, or have one in brackets
        given = normalise_mathvista(extraction, choices, answer_type, precision)
    if given is None:
        return 0.0
    truths = (
        reference if choices else normalise_mathvista(reference, choices, answer_type, precision)
        for reference in references
    )
    return float(any(given.strip() == truth.strip() for truth in truths if truth is not None))
