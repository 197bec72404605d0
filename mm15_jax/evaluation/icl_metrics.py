"""VL-ICL's three rules, by data set (Zong et al. 2024; ys-zong/VL-ICL evals/eval.py)."""

from __future__ import annotations

import re
from collections.abc import Sequence


def _first_sentence(answer: str) -> str:
    """Up to the first line end, or up to the first full stop of a single line."""
    answer = answer.strip()
    end = answer.find("\n")
    if end <= 0:
        end = answer.find(".")
    return answer[:end] if end > 0 else answer


def icl_exact(answer: str, references: Sequence[str]) -> float:
    """1 if the answer's first sentence is a reference, without regard to case, else 0.

    VL-ICL's rule for CLEVR, TextOCR and Open MiniImageNet.
    """
    given = _first_sentence(answer).lower()
    return float(any(given == reference.lower() for reference in references))


def icl_number(answer: str, references: Sequence[str]) -> float:
    """1 if the first run of digits in the answer's first sentence is a reference, else 0.

    VL-ICL's rule for both operator inductions. A minus sign is no part of a run of digits, so that
    a negative reference is never met.
    """
    digits = re.search(r"\d+", _first_sentence(answer))
    return icl_exact(digits.group() if digits else "", references)


def icl_contains(answer: str, references: Sequence[str]) -> float:
    """1 if the answer's first sentence contains a reference, without regard to case, else 0.

    Where the reference is "no" it counts that there is no "yes": VL-ICL's rule for Matching
    MiniImageNet.
    """
    given = _first_sentence(answer).lower()
    for reference in references:
        wanted = reference.lower()
        if "yes" not in given if wanted == "no" else wanted in given:
            return 1.0
    return 0.0
