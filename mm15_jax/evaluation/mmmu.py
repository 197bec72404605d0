"""MMMU's questions, read as its authors' evaluation does (Yue et al. 2024), and its disciplines.

Source: MMMU-Benchmark/MMMU eval/eval_utils.py, of which lmms-eval's scorer is a copy. Its quirks
stay, since published numbers have them, but for one: where it draws a random option, there is none.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from mm15_jax.config.names import unknown
from mm15_jax.evaluation.aggregated import Aggregated, Row, by_subset, mean_and_error, scores_of

DISCIPLINES = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine",
        "Pharmacy", "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        "Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics",
        "Energy_and_Power", "Materials", "Mechanical_Engineering",
    ),
}  # fmt: skip
_SUBJECTS = {subject: name for name, subjects in DISCIPLINES.items() for subject in subjects}

_LEADS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL = frozenset(":,.!?;'")
_WITH_COMMAS = re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b")
_SCIENTIFIC = re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+")
_SIMPLE = re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])")


def parse_mmmu_choice(answer: str, choices: Sequence[str]) -> int | None:
    """Which option an answer names by MMMU's rules; None where MMMU would draw one at random.

    The first of these that names any option: "(B)"; "B" before a space or at the end; "B."; in an
    answer of more than five words, an option's text. Of several options the last named one.
    Letters are capital, and "A" at the end of a longer word counts too, as with MMMU.

    Args:
      answer: the model's.
      choices: texts of the options, at most 26.

    Raises:
      ValueError: no choices, or more than 26.
    """
    if not 1 <= len(choices) <= 26:
        raise ValueError(f"{len(choices)} choices, expected 1 to 26")
    for mark in ",.!?;:'":
        answer = answer.strip(mark)
    answer = f" {answer} "
    letters = list(enumerate(string.ascii_uppercase[: len(choices)]))
    # What shows that an option is named, and where it is looked for when several are.
    for shown, place in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        named = [i for i, letter in letters if shown.format(letter) in answer]
        if named:
            return max(named, key=lambda i: answer.rfind(place.format(letters[i][1])))
    if len(answer.split()) > 5:
        lower = answer.lower()
        named = [i for i, choice in enumerate(choices) if choice.lower() in lower]
        if named:
            return max(named, key=lambda i: lower.rfind(choices[i].lower()))
    return None


def mmmu_choice(answer: str, references: Sequence[str], choices: Sequence[str]) -> float:
    """1 if `parse_mmmu_choice` reads the right option, else 0.

    Args:
      answer: the model's.
      references: the right option's letter.
      choices: texts of the options.

    Raises:
      ValueError: a reference that is no option's letter.
    """
    letters = string.ascii_uppercase[: len(choices)]
    for reference in references:
        if len(reference) != 1 or reference not in letters:
            raise ValueError(f"the reference {reference!r} is none of the letters {letters}")
    index = parse_mmmu_choice(answer, choices)
    return float(index is not None and letters[index] in references)


def _normal(text: str) -> list[str | float]:
    """A number to two decimals, else the lower-cased text; one letter only beside a space."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
    return [f" {text}", f"{text} "] if len(text) == 1 else [text]


def _key_phrases(answer: str) -> list[str]:
    """The shortest ends of lines after "is", "answer", "=" and the like; else the whole answer."""
    answer = answer.strip().strip(".").lower()
    lines = answer.split("\n")
    phrases = []
    for number, line in enumerate(lines):
        # Only the last line may be an equation.
        leads = (*_LEADS, "=") if number == len(lines) - 1 else _LEADS
        shortest = ""
        for lead in leads:
            if lead in line:
                tail = line.split(lead)[-1].strip()
                shortest = tail if not shortest or len(tail) < len(shortest) else shortest
        if shortest and shortest not in _TRIVIAL:
            phrases.append(shortest)
    return phrases or [answer]


def mmmu_open(answer: str, references: Sequence[str]) -> float:
    """1 if an open question's answer has a reference in it, by MMMU's rules, else 0.

    From the answer are taken the ends of its lines after words such as "is", "answer" or "=", and
    the numbers in them. A reference that is a number must equal one of these to two decimals; any
    other must occur within one of the ends, without regard to case.
    """
    phrases = _key_phrases(answer)
    found = list(phrases)
    for phrase in phrases:
        for pattern in (_WITH_COMMAS, _SCIENTIFIC, _SIMPLE):
            found += pattern.findall(phrase)
    given = [value for text in found for value in _normal(text)]
    truths = [value for reference in references for value in _normal(reference)]
    for value in given:
        if isinstance(value, str):
            if any(isinstance(truth, str) and truth in value for truth in truths):
                return 1.0
        elif value in truths:
            return 1.0
    return 0.0


def mmmu(rows: Sequence[Row]) -> Aggregated:
    """The mean over all questions; parts are the means of disciplines and of their subjects.

    Raises:
      ValueError: a row whose "subset" is no subject of MMMU, or that has none.
    """
    subjects = by_subset(rows)
    disciplines: dict[str, list[Row]] = {}
    for subject, members in subjects.items():
        if subject not in _SUBJECTS:
            raise unknown("subject of MMMU", subject, _SUBJECTS)
        disciplines.setdefault(_SUBJECTS[subject], []).extend(members)
    parts: dict[str, float] = {}
    for discipline in DISCIPLINES:
        if discipline in disciplines:
            parts[discipline] = 100 * mean_and_error(scores_of(disciplines[discipline]))[0]
            for subject in DISCIPLINES[discipline]:
                if subject in subjects:
                    mean = mean_and_error(scores_of(subjects[subject]))[0]
                    parts[f"{discipline}/{subject}"] = 100 * mean
    score, error = mean_and_error(scores_of(rows))
    return Aggregated(100 * score, 100 * error, parts)
