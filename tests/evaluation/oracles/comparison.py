"""Our score of each case of cases.py, and why it may differ from the oracle's.

`OURS[name](*case)` has the form of the oracle's answer. `DIFFERENCES[name]` are the differences
that docs/metrics.md lists: a reason, and whether it holds for a case. Where ours differs from the
oracle without a reason, the tests fail.
"""

import math
import re
import string
import unicodedata
from collections.abc import Callable
from typing import Any

from mm15_jax.evaluation import aggregates, metrics, yes_no
from mm15_jax.evaluation.box_metrics import point_correct, recall_at_one
from mm15_jax.evaluation.cider import cider_d
from mm15_jax.evaluation.contains_metrics import lvis_name, ocrbench, ocrbench_formula
from mm15_jax.evaluation.denotation import same_denotation
from mm15_jax.evaluation.icl_metrics import icl_contains, icl_exact, icl_number
from mm15_jax.evaluation.mathvista import mathvista, normalise_mathvista
from mm15_jax.evaluation.mmmu import mmmu_open, parse_mmmu_choice
from mm15_jax.evaluation.ptb_tokens import words_of

PERCEPTION = {"existence", "count", "OCR", "posters"}


def _multiple_choice(answer, choices):
    index = metrics.parse_choice(answer, choices)
    return "" if index is None else string.ascii_uppercase[index]


def _point(place, box):
    # A picture of 1000 pixels: a coordinate is the middle of its pixel.
    answer = "<{},{}>".format(*place)
    return point_correct(answer, [v + 0.5 for v in box], width=1000, height=1000)


def _mmmu_choice(answer, choices):
    index = parse_mmmu_choice(answer, choices)
    return None if index is None else string.ascii_uppercase[index]


def _mathvista_compare(extraction, truth, choices, answer_type, precision):
    if choices:
        return float(normalise_mathvista(extraction, choices, answer_type, precision) == truth)
    given = normalise_mathvista(extraction, choices, answer_type, precision)
    expected = normalise_mathvista(truth, choices, answer_type, precision)
    return float(given is not None and given.strip() == expected)


def _recall(given, truths, merged):
    # A picture of 1000 pixels: a coordinate is the middle of its pixel, on both sides.
    answer = " ".join("<{},{},{},{}>".format(*map(round, box)) for box in given)
    boxes = [[value + 0.5 for value in box] for box in truths]
    return recall_at_one(answer, boxes, width=1000, height=1000, merged=merged)


def _icl(rule, answer, truth):
    function = icl_number if "operator_induction" in rule else icl_exact
    return (icl_contains if rule == "matching_mi" else function)(answer, [truth])


def _cider(captions, references):
    scores = cider_d(captions, references)
    return {"corpus": 100 * sum(scores) / len(scores), "captions": [100 * s for s in scores]}


def _pope_f1(rows):
    parts = yes_no.f1([{"answer": a, "truth": [t]} for a, t in rows]).parts
    found = {name: parts[name] for name in ("accuracy", "precision", "recall")}
    return found | {"f1_score": parts["f1"]}


def _mme(rows):
    made = [
        {
            "group": picture,
            "subset": f"{'perception' if subtask in PERCEPTION else 'cognition'}/{subtask}",
            "score": yes_no.yes_no(answer, [truth]),
        }
        for picture, subtask, answer, truth in rows
    ]
    parts = aggregates.mme(made).parts
    return [parts["perception"], parts["cognition"]]


def _mmmu(rows):
    found = aggregates.mmmu([{"subset": s, "score": float(right)} for s, right in rows])
    answer = {"Overall": found.score}
    for name, value in found.parts.items():
        answer[name.split("/")[1] if "/" in name else f"Overall-{name}"] = value
    return {name: round(value / 100, 5) for name, value in answer.items()}


def _ocrbench_total(rows):
    found = aggregates.ocrbench([{"subset": kind, "score": float(right)} for kind, right in rows])
    return found.parts["right"]


OURS: dict[str, Callable[..., Any]] = {
    "anls": metrics.anls,
    "exact_match": lambda answer, truth: metrics.exact_match(answer, [truth]),
    "multiple_choice": _multiple_choice,
    "point": _point,
    "relaxed_pix2struct": lambda answer, truth: metrics.relaxed_accuracy(answer, [truth]),
    "relaxed_mistral": lambda answer, truth: metrics.relaxed_accuracy(
        answer, [truth], convention="mistral"
    ),
    "normalise_vqa": lambda text: [
        metrics.normalise_vqa(text),
        metrics.normalise_vqa(text, tokenise=False),
    ],
    "vqa": lambda answer, truths: [
        metrics.vqa_accuracy(answer, truths),
        metrics.vqa_accuracy(answer, truths, tokenise=False),
    ],
    "iou": metrics.iou,
    "pope": lambda answer, truth: yes_no.yes_no(answer, [truth]),
    "pope_f1": _pope_f1,
    "mme_answer": lambda answer: yes_no.read_yes_no(answer) or "other",
    "mme": _mme,
    "mmmu_choice": _mmmu_choice,
    "mmmu_open": lambda answer, references: bool(mmmu_open(answer, references)),
    "mmmu": _mmmu,
    "ocrbench": lambda answer, references, formula: (ocrbench_formula if formula else ocrbench)(
        answer, references
    ),
    "ocrbench_total": _ocrbench_total,
    "mathvista_compare": _mathvista_compare,
    "mathvista": lambda answer, truth, choices, answer_type, precision: mathvista(
        answer, [truth], choices, answer_type=answer_type, precision=precision
    ),
    "denotation": lambda items, truths, canons: float(same_denotation(items, truths, canons)),
    "lvis_name": lambda answer, name, synonyms: lvis_name(answer, [name, *synonyms]),
    "recall": _recall,
    "icl": _icl,
    "icl_contains": lambda answer, truth: icl_contains(answer, [truth]),
    "ptb_tokens": words_of,
    "cider_of_words": lambda captions, references: _cider(
        [caption.split() for caption in captions],
        [[reference.split() for reference in group] for group in references],
    ),
    "cider": lambda captions, references: _cider(
        [words_of(caption) for caption in captions],
        [[words_of(reference) for reference in group] for group in references],
    ),
}


def _written_otherwise(answer, truth):
    """Equal but for spaces within, quotes, a stop of the truth, Unicode's forms."""

    def bare(text):
        text = unicodedata.normalize("NFKC", text).casefold()
        return re.sub(r"[\s\"'`“”‘’.]", "", text)

    return bare(answer) == bare(truth)


def _letters_in(answer, choices):
    """Letters of options that stand alone, in either case."""
    last = string.ascii_uppercase[len(choices) - 1]
    found = re.findall(rf"(?<![\w'’])([A-{last}a-{last.lower()}])(?![\w'’])", answer)
    return {letter.upper() for letter in found}


def _option_by_its_text(answer, choices):
    return any(choice.lower() in answer.lower() for choice in choices)


def _small_letter(answer, choices):
    return answer == answer.lower() and bool(_letters_in(answer, choices))


def _several_letters(answer, choices):
    return len(_letters_in(answer, choices)) > 1


def _more_than_a_word(answer, truth):
    return yes_no.read_yes_no(answer) == truth != answer.strip().lower()


def _begins_alike(answer):
    given = answer.strip().lower().replace(".", "")
    return yes_no.read_yes_no(answer) is None and (
        given in ("y", "n") or "yes" in given[:4] or "no" in given[:4]
    )


def _behind_marks(answer):
    given = answer.strip().lower()
    return yes_no.read_yes_no(answer) is not None and not given.startswith(("yes", "no"))


def _other_than_yes_or_no(rows):
    return any(answer.strip().lower() not in ("yes", "no") for answer, _ in rows)


def _spaced_otherwise(extraction, truth, choices, answer_type, precision):
    return answer_type == "list" and "".join(truth.split()) in "".join(extraction.split())


def _with_zeros(extraction, truth, choices, answer_type, precision):
    return answer_type == "float" and str(float(truth)) != truth


def _options_are_letters(answer, truth, choices, answer_type, precision):
    return any(re.fullmatch("[A-Z]", choice) for choice in choices)


def _nothing_said(answer, truth, choices, answer_type, precision):
    return bool(choices) and (not answer.strip() or 'answer is ""' in answer)


def _in_capitals(answer, name, synonyms):
    return answer != answer.lower() or any(n != n.lower() for n in [name, *synonyms])


def _rare_signs(text):
    return re.search(r"\d'\d|:-?[()]|\(\d{3}\) \d", text)


_MATHVISTA = {
    "a list may be spaced otherwise": _spaced_otherwise,
    "a number of the truth may end in zeros": _with_zeros,
}
DIFFERENCES: dict[str, dict[str, Callable[..., Any]]] = {
    "exact_match": {"written otherwise": _written_otherwise},
    "multiple_choice": {
        "an option by its text": _option_by_its_text,
        "a small letter": _small_letter,
        "letters of several options": _several_letters,
    },
    "pope": {"more than the bare word": _more_than_a_word},
    "pope_f1": {"an answer that is not the bare word": _other_than_yes_or_no},
    "mme_answer": {
        "another word that begins alike": _begins_alike,
        "the word behind marks": _behind_marks,
    },
    "mathvista_compare": _MATHVISTA,
    "mathvista": {
        **_MATHVISTA,
        "options that are letters": _options_are_letters,
        "no answer": _nothing_said,
    },
    "lvis_name": {"capital letters": _in_capitals},
    "ptb_tokens": {"feet and inches, smileys, telephone numbers": _rare_signs},
}


def same(ours: Any, theirs: Any) -> bool:
    """Equal, numbers to 1e-9 of their size or 1e-9."""
    if isinstance(theirs, dict):
        return set(ours) == set(theirs) and all(same(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, float | int) and not isinstance(theirs, bool):
        return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return ours == theirs


def differs(name: str, case: list) -> str | None:
    """Why ours may differ from the oracle's on a case; None if it must not."""
    for reason, holds in DIFFERENCES.get(name, {}).items():
        if holds(*case):
            return reason
    return None


def compare(name: str, cases: list, answers: list) -> tuple[int, dict[str, int], list]:
    """Holds ours against the oracle's.

    Returns:
      How many cases agree, how many differ by reason, and those that differ without one. Cases to
      which the oracle has no answer (None of MathVista: a language model's) are not counted.
    """
    agree, reasons, wrong = 0, dict.fromkeys(DIFFERENCES.get(name, {}), 0), []
    for case, theirs in zip(cases, answers, strict=True):
        if theirs is None and name in ("mathvista", "denotation"):
            continue
        ours = OURS[name](*case)
        if same(ours, theirs):
            agree += 1
        elif (reason := differs(name, case)) is not None:
            reasons[reason] += 1
        else:
            wrong.append((case, theirs, ours))
    return agree, reasons, wrong
