"""What questions of published data sets are asked with, in one place.

Formats of answers are LLaVA-1.5's (Liu et al. 2023, section 3.2 and appendix A): a model that is
trained and asked with the same words knows how long an answer is wanted.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence

LETTERS = string.ascii_uppercase
SHORT_ANSWER = "\nAnswer the question using a single word or phrase."
OPTION_LETTER = "\nAnswer with the option's letter from the given choices directly."
# LLaVA-1.5 and lmms-eval: VizWiz has questions that its picture does not answer.
UNANSWERABLE = (
    "\nWhen the provided information is insufficient, respond with 'Unanswerable'." + SHORT_ANSWER
)
CHOICE_ITSELF = "\nAnswer with one of the given choices directly."
STEP_BY_STEP = "\nSolve it step by step and end with the answer after 'Answer:'."
# Of lmms-eval's task mathvista_testmini_format.
INTEGER = "\nAnswer the question using a single integer number."
ONE_DECIMAL = "\nAnswer the question using a single floating-point number with one decimal place."
TWO_DECIMALS = "\nAnswer the question using a single floating-point number with two decimal places."
PYTHON_LIST = "\nAnswer the question using a Python list."
ONE_SENTENCE_CAPTION = "Provide a one-sentence caption for the provided image."
YES_OR_NO = "\nAnswer with yes or no."
WEB_PAGE = "Write the HTML code of this web page."
TIKZ = "Write TikZ code that draws this figure."
CHART_SUMMARY = "Summarize what this chart shows."


def lettered(question: str, choices: Sequence[str]) -> str:
    """A question with its choices as lines `A. first`, and the request for a letter.

    Raises:
      ValueError: if there are more choices than letters, or none.
    """
    if not 0 < len(choices) <= len(LETTERS):
        raise ValueError(f"a question with {len(choices)} choices; expected 1 to 26")
    options = "".join(f"\n{letter_of(i)}. {choice}" for i, choice in enumerate(choices))
    return question + options + OPTION_LETTER


def listed(question: str, choices: Sequence[str]) -> str:
    """A question with its choices as they are, where letters would be mistaken for choices."""
    return f"{question}\nChoices: {', '.join(choices)}.{CHOICE_ITSELF}"


def letter_of(index: int) -> str:
    """The letter of a choice, counted from 0."""
    return LETTERS[index]


def letter_index(letter: str) -> int:
    """The choice of a letter, counted from 0."""
    return LETTERS.index(letter)


def digest(text: str) -> str:
    """Eight letters for a question that its publisher did not number."""
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def pick(key: str, count: int) -> int:
    """A number below `count` that depends on the key alone: a template, an order, a reference."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % count
