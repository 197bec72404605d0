"""Scores read from a judge's words, strictly: what cannot be read for sure is None.

Public evaluators are laxer. Where a rule differs from a benchmark's own script, its docstring says
how, and never in a way that turns a readable reply of that benchmark's format into another score.
"""

from __future__ import annotations

import re

Values = dict[str, float]

_NUMBER = r"\d+(?:\.\d+)?"


def said(reply: str) -> str:
    """A reply without what its model thought first; "" where it did not come to an end."""
    if "</think>" in reply:
        return reply.rpartition("</think>")[2].strip()
    return "" if reply.lstrip().startswith("<think>") else reply


def two_scores(reply: str) -> Values | None:
    """{"reference", "answer"} of a reply whose first line has two scores from 0 to 10.

    LLaVA's and Ferret's `parse_score` want exactly two numbers with a space or a comma between
    them; brackets, bold face and blank lines before them are accepted here as well. A line with
    other words is not read: in "Assistant 1: 8, Assistant 2: 6" lmms-eval's rule finds 1 and 8.
    """
    line = next((line for line in reply.splitlines() if line.strip()), "")
    match = re.fullmatch(rf"({_NUMBER})[\s,;]+({_NUMBER})", line.strip(" \t*_()[]`."))
    if not match:
        return None
    first, second = float(match[1]), float(match[2])
    if max(first, second) > 10:
        return None
    return {"reference": first, "answer": second}


def fraction(reply: str) -> Values | None:
    """{"score"} from 0 to 1 that is the first word, as MM-Vet's evaluator reads it."""
    words = reply.replace("|", " ").split()
    if not words or not re.fullmatch(rf"{_NUMBER}\.?", words[0]):
        return None
    score = float(words[0])
    return {"score": score} if score <= 1 else None


def _only(pattern: str, reply: str) -> str | None:
    """What a pattern's group matches, where it matches one thing only."""
    found = set(re.findall(pattern, reply, re.IGNORECASE))
    return found.pop() if len(found) == 1 else None


def score_entry(reply: str) -> Values | None:
    """{"score"} from 0 to 5 of a Python dictionary such as {'score': 4}.

    As in Video-ChatGPT's scripts, a fraction is cut: 4.8 is 4. The prompt's own example has a
    broken quotation mark, {''score': 4.8}, which judges repeat: quotation marks do not matter here.
    """
    text = _only(rf"\bscore['\"]*\s*:\s*['\"]?({_NUMBER})(?![\d.])", reply)
    score = float(text) if text else -1.0  # infinite, where a judge counts on and on
    return {"score": float(int(score))} if 0 <= score < 6 else None


def verdict_entry(reply: str) -> Values | None:
    """{"correct": 0 or 1, "score": 0 to 5} of a dictionary such as {'pred': 'yes', 'score': 4}."""
    verdict = _only(r"\bpred['\"]*\s*:\s*['\"]?(yes|no)\b", reply)
    score = score_entry(reply)
    if verdict is None or score is None:
        return None
    return {"correct": float(verdict.lower() == "yes"), **score}


def stated_score(reply: str) -> Values | None:
    """{"score"} from 1 to 5 of a line such as "Score: 4".

    LLaVA-Hound's script falls back on the commonest number anywhere and then on 1: here neither.
    """
    text = _only(rf"\bscore\b[*_\s]*:[*_\s]*({_NUMBER})(?![\d.]*\d)", reply)
    score = float(text) if text else 0.0
    return {"score": score} if 1 <= score <= 5 else None
