"""Scores of short answers: exact match, ANLS, relaxed accuracy, multiple choice.

Every function is pure, takes one answer and its references, and returns a score from 0 to 1.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Sequence

_QUOTES = "\"'`“”‘’"
_AFTER_A_LETTER = "and|as|because|due|or|since|that|which|with"
_MARKS = _QUOTES + "*_"  # around a letter: quotation, and Markdown's emphasis


def normalise_answer(text: str) -> str:
    """The form in which two answers are compared by `exact_match`.

    Unicode NFKC, case folded, runs of white space to one space, quotation marks around the whole
    text and one full stop at its end dropped. Articles, other punctuation and number words stay:
    what asks for a looser comparison names another metric.
    """
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    text = text.removesuffix(".").strip()
    if len(text) >= 2 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 if the answer equals a reference after `normalise_answer`, else 0."""
    normal = normalise_answer(answer)
    return float(any(normal == normalise_answer(reference) for reference in references))


def edit_distance(first: str, second: str) -> int:
    """Levenshtein's distance: fewest single-character insertions, deletions, replacements."""
    if len(first) < len(second):
        first, second = second, first
    row = list(range(len(second) + 1))
    for i, char in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            best = diagonal if char == other else 1 + min(diagonal, row[j], row[j - 1])
            diagonal, row[j] = row[j], best
    return row[-1]


def anls(answer: str, references: Sequence[str], *, threshold: float = 0.5) -> float:
    """Average normalised Levenshtein similarity of one answer (Biten et al. 2019, DocVQA).

    1 - distance / length, the largest over the references; 0 where that is under the threshold.
    The distance is of lower-cased texts with runs of white space as one space, the length is that
    of the longer text as given, upper-cased: so the scorers of DocVQA, Qwen-VL and lmms-eval do it.

    Args:
      answer: the model's.
      references: accepted answers, at least one.
      threshold: similarity below which an answer is plainly wrong.

    Returns:
      0, or a number from `threshold` to 1.
    """
    best = 0.0
    given = " ".join(answer.lower().split())
    for reference in references:
        truth = " ".join(reference.lower().split())
        length = max(len(answer.upper()), len(reference.upper()))
        ratio = edit_distance(given, truth) / length if length else 0.0
        best = max(best, 1.0 - ratio)
    return best if best >= threshold else 0.0


def relaxed_accuracy(
    answer: str,
    references: Sequence[str],
    *,
    convention: str = "pix2struct",
    tolerance: float = 0.05,
) -> float:
    """ChartQA's relaxed accuracy: numbers within 5%, other answers by exact match.

    Two conventions are in use, and they differ on percentages, zeros and punctuation:

    - "pix2struct" (Google's scorer; Qwen-VL, lmms-eval, MM1.5's kind of table): a number is what
      Python's `float` reads, "12%" is 0.12, so "12" is wrong for "12%"; a reference of zero, and
      anything that is not a number, must match as a lower-cased text.
    - "mistral" (mistral-evals, lm-evaluation-harness): "$", thousands commas and punctuation at
      the end of a text with digits are dropped, "12" and "0.12" are both right for "12%"; a
      reference of a single letter takes the answer's first letter.

    Args:
      answer: the model's.
      references: accepted answers; the best counts.
      convention: "pix2struct" or "mistral".
      tolerance: largest error of a number relative to the reference.

    Raises:
      ValueError: an unknown convention.
    """
    compare = {"pix2struct": _relaxed_pix2struct, "mistral": _relaxed_mistral}.get(convention)
    if compare is None:
        raise ValueError(
            f"relaxed accuracy has no convention {convention!r}, expected 'pix2struct' or 'mistral'"
        )
    return float(any(compare(answer, reference, tolerance) for reference in references))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _relaxed_pix2struct(answer: str, reference: str, tolerance: float) -> bool:
    def value(text: str) -> float | None:
        if not text.endswith("%"):
            return _number(text)
        number = _number(text.rstrip("%"))
        return None if number is None else number / 100

    given, truth = value(answer), value(reference)
    if given is None or not truth:  # zero has no relative error
        return answer.lower() == reference.lower()
    return abs(given - truth) / abs(truth) <= tolerance


def _relaxed_mistral(answer: str, reference: str, tolerance: float) -> bool:
    answer, reference = _tidy(answer), _tidy(reference)
    given, truth = (_number(text.strip().rstrip("%")) for text in (answer, reference))
    if given is None or truth is None:
        if len(reference) == 1 and reference.isalpha() and answer:
            return answer[0].lower() == reference.lower()
        return answer.rstrip(string.punctuation).lower() == reference.lower()
    # A percentage may be meant as written or as its hundredth; one side is rescaled at a time.
    answers, truths = {given}, {truth}
    if answer.strip().endswith("%"):
        answers.add(given / 100)
    if reference.strip().endswith("%"):
        truths.add(truth / 100)
    pairs = {(a, truth) for a in answers} | {(given, t) for t in truths}
    return any(abs(a - t) / max(abs(t), 1e-10) <= tolerance for a, t in pairs)


def _tidy(text: str) -> str:
    """Drops quotes around words; of texts with digits "$", commas and final punctuation."""
    if any(char.isdigit() for char in text):
        kept = "".join(char for char in string.punctuation if char != "%") + string.whitespace
        return text.rstrip(kept).replace(",", "").replace("$", "")
    for quote in "\"'":
        if text.startswith(quote) and text.endswith(quote):
            return text[1:-1]
    return text


def parse_choice(answer: str, choices: Sequence[str], *, letters: bool = True) -> int | None:
    """Which option an answer names, by fixed rules; None where it names none or several.

    Never guesses: an answer that cannot be read is wrong. In order:
      1. the whole answer is an option's letter, also as "B.", "(B)", "B:" or "**B**";
      2. the whole answer is an option's text (as in `exact_match`);
      3. it begins with a letter and a mark: "B. because", "B) cat", "B: cat";
      4. it says "answer is B" or "option B", the last time it does so, or ends in ": B";
      5. exactly one letter in brackets, "(B)", occurs in it;
      6. exactly one option's text occurs in it as whole words; a text inside a longer one that
         occurs too ("red" in "dark red") does not count.

    Args:
      answer: the model's.
      choices: texts of the options, at most 26; option 0 is "A".
      letters: whether a letter is meant as an option's name first and as its text second. Set it
        to False when the options' texts are letters themselves, as in diagrams with labels: then
        rule 2 comes before rule 1.

    Returns:
      Index into `choices`, or None.

    Raises:
      ValueError: no choices, or more than 26.
    """
    if not 1 <= len(choices) <= 26:
        raise ValueError(f"{len(choices)} choices, expected 1 to 26")
    last = string.ascii_uppercase[len(choices) - 1]
    letter = f"[A-{last}a-{last.lower()}]"
    answer = answer.strip()
    normal = [normalise_answer(choice) for choice in choices]

    def by_letter() -> int | None:
        match = re.fullmatch(rf"\(?({letter})[.):]?\.?", answer.strip(_MARKS))
        return _letter_index(match.group(1)) if match else None

    def by_text() -> int | None:
        hits = [i for i, text in enumerate(normal) if text and text == normalise_answer(answer)]
        return hits[0] if len(hits) == 1 else None

    for rule in (by_letter, by_text) if letters else (by_text, by_letter):
        if (index := rule()) is not None:
            return index
    if match := re.match(rf"({letter})[.):](?=\s|$)", answer):
        return _letter_index(match.group(1))
    # "A" and "I" are words too: before a word that may be theirs they name no option.
    article = rf"[AI](?=\s+(?!(?:{_AFTER_A_LETTER})\b)\w)"
    stated = re.findall(
        rf"(?i:answer|option|choice)(?i:\s+is)?(?::\s*|\s+)[{_MARKS}(]*"
        rf"([A-{last}])(?<!{article})\)?(?![\w'’])",
        answer,
    )
    stated += re.findall(rf":\s+\(?([A-{last}])\)?\.?[{_MARKS}]*$", answer)
    if stated:
        return _letter_index(stated[-1])
    marked = {_letter_index(found) for found in re.findall(rf"\(({letter})\)", answer)}
    if len(marked) == 1:
        return marked.pop()
    return _only_text_within(normalise_answer(answer), normal)


def _letter_index(letter: str) -> int:
    return string.ascii_uppercase.index(letter.upper())


def _only_text_within(answer: str, choices: Sequence[str]) -> int | None:
    spans = []
    for index, choice in enumerate(choices):
        if choice:
            pattern = rf"(?<!\w){re.escape(choice)}(?!\w)"
            spans += [(match.span(), index) for match in re.finditer(pattern, answer)]
    outer = {
        index
        for (start, end), index in spans
        if not any(
            other != (start, end) and other[0] <= start and end <= other[1] for other, _ in spans
        )
    }
    return outer.pop() if len(outer) == 1 else None


def multiple_choice(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    """1 if `parse_choice` reads the right option from the answer, else 0.

    Args:
      answer: the model's.
      references: the right option, as its text or as its letter.
      choices: texts of the options.

    Raises:
      ValueError: a reference that names no option: the data is wrong, not the model.
    """
    normal = [normalise_answer(choice) for choice in choices]
    for reference in references:
        by_text = normalise_answer(reference) in normal
        truth = parse_choice(reference, choices, letters=not by_text)
        if truth is None:
            raise ValueError(f"the reference {reference!r} is none of the choices {list(choices)}")
        if parse_choice(answer, choices, letters=not by_text) == truth:
            return 1.0
    return 0.0
