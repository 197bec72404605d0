"""The accuracy of VQA and TextVQA, with the official normalisation of answers.

Antol et al. 2015, section 4; the normalisation is that of the VQA evaluation server and of MMF's
EvalAI processor, quirks included, since every published number has them.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence

_NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
} | {"none": "0"}
_ARTICLES = {"a", "an", "the"}
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,+\d")
_STOP = re.compile(r"\.(?!\d)")
_MOST_STOPS = 32  # the official code passes re.UNICODE (32) where `count` is expected

# Contractions with every apostrophe; `_contraction_table` derives the spellings with one left out.
_CONTRACTIONS = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't
mightn't've must've mustn't needn't not've o'clock oughtn't shan't she'd've should've shouldn't
shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll someone's
something'd something'd've something'll that's there'd there'd've there're there's they'd they'd've
they'll they're they've wasn't we'd've we've weren't what'll what're what's what've when's where'd
where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't
wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
""".split()  # noqa: SIM905 (a list of strings would take five times the lines)

# What the official table has against its own rule.
_IRREGULAR = {
    "somebody'd": "somebodyd",
    "twas": "'twas",
    "ow's'at": "'ow's'at",
    "'ows'at": "'ow's'at",
    "'ow'sat": "'ow's'at",
}


def _spellings(contraction: str) -> list[str]:
    """All ways to leave out at least one apostrophe, but at most all of them."""
    first, *rest = contraction.split("'")
    forms = [first]
    for part in rest:
        forms = [form + mark + part for form in forms for mark in ("", "'")]
    return [form for form in forms if form != contraction]


def _contraction_table() -> dict[str, str]:
    table = dict(_IRREGULAR)
    for contraction in _CONTRACTIONS:
        parts = contraction.count("'")
        for form in _spellings(contraction):
            # Two apostrophes: the official table has the forms with exactly one of them, and not
            # the bare one ("couldntve").
            if parts == 1 or form.count("'") == parts - 1:
                table[form] = contraction
    return table


_TABLE = _contraction_table()


def normalise_vqa(text: str, *, tokenise: bool = True) -> str:
    """An answer as the VQA evaluation compares it.

    Lower case; punctuation dropped or made a space; full stops dropped unless a digit follows;
    number words up to ten as digits; articles dropped; apostrophes put back into contractions.

    Args:
      text: an answer, of the model or of a person.
      tokenise: True as TextVQA does it (MMF's processor: commas and question marks dropped first,
        "'s" set apart); False as VQA v2 does.
    """
    if tokenise:
        text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    text = text.replace("\n", " ").replace("\t", " ").strip()
    number_with_comma = _COMMA_IN_NUMBER.search(text) is not None
    original = text
    for mark in _PUNCTUATION:
        at_edge = mark + " " in original or " " + mark in original
        text = text.replace(mark, "" if at_edge or number_with_comma else " ")
    text = _STOP.sub("", text, count=_MOST_STOPS)
    words = (_NUMBERS.get(word, word) for word in text.lower().split())
    return " ".join(_TABLE.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy(answer: str, references: Sequence[str], *, tokenise: bool = True) -> float:
    """Agreement with people: 1 if at least three of ten gave this answer, else a third for each.

    Each person in turn is left out, min(matches among the others / 3, 1) is taken, and the mean of
    these is the score.

    Args:
      answer: the model's.
      references: one answer a person, normally ten; with a single one it is compared exactly,
        since nobody is left when that one is left out.
      tokenise: as in `normalise_vqa`.

    Raises:
      ValueError: no references.
    """
    if not references:
        raise ValueError("vqa_accuracy has no references, expected the answers of ten people")
    given = normalise_vqa(answer, tokenise=tokenise)
    truths = [normalise_vqa(reference, tokenise=tokenise) for reference in references]
    if len(truths) == 1:
        return float(given == truths[0])
    matches = sum(truth == given for truth in truths)
    return statistics.fmean(min(1.0, (matches - (truth == given)) / 3) for truth in truths)
