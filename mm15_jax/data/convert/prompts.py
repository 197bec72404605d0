"""What questions of published data sets are asked with, in one place.

Formats of answers are LLaVA-1.5's (Liu et al. 2023, section 3.2 and appendix A): a model that is
trained and asked with the same words knows how long an answer is wanted.
"""

from __future__ import annotations

import hashlib
import string
from collections.abc import Sequence

SHORT_ANSWER = "\nAnswer the question using a single word or phrase."
OPTION_LETTER = "\nAnswer with the option's letter from the given choices directly."
# LLaVA-1.5 and lmms-eval: VizWiz has questions that its picture does not answer.
UNANSWERABLE = (
    "\nWhen the provided information is insufficient, respond with 'Unanswerable'." + SHORT_ANSWER
)
ONE_SENTENCE_CAPTION = "Provide a one-sentence caption for the provided image."
TRUE_OR_FALSE = "\nAnswer with yes or no."


def lettered(question: str, choices: Sequence[str]) -> str:
    """A question with its choices as lines `A. first`, and the request for a letter.

    Raises:
      ValueError: if there are more choices than letters, or none.
    """
    if not 0 < len(choices) <= len(string.ascii_uppercase):
        raise ValueError(f"a question with {len(choices)} choices; expected 1 to 26")
    options = "".join(f"\n{letter_of(i)}. {choice}" for i, choice in enumerate(choices))
    return question + options + OPTION_LETTER


def letter_of(index: int) -> str:
    """The letter of a choice, counted from 0."""
    return string.ascii_uppercase[index]


def pick(key: str, count: int) -> int:
    """A number below `count` that depends on the key alone: a template, an order, a reference."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") % count
