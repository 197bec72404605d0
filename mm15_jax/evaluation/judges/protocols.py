"""How judged benchmarks ask a language model for a score, by name.

What a prompt needs beside an answer is in the row: "question", "truth" and the facts of "judge", a
dictionary that the data set's converter fills:

- "question": the question alone, where the model's own prompt has more in it ("Answer briefly.");
- "reference": the true answer, where "truth" is something else;
- and for one protocol each: "context" and "category" (llava_w, ferret_bench), "capabilities"
  (mm_vet), "caption" (llava_hound), "aspects" (vcgbench).

The prompts' wording is in `assets/`, with its sources and licences.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mm15_jax.evaluation.aggregated import Row
from mm15_jax.evaluation.judges import reading
from mm15_jax.evaluation.judges.client import Message

Facts = Mapping[str, str]

VCGBENCH_ASPECTS = ("correctness", "detail", "context", "temporal", "consistency")
FERRET_BENCH_CATEGORIES = ("refer_desc", "refer_reason", "ground_conv")

_BOX = re.compile(r"\s?<\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*>")


@dataclasses.dataclass(frozen=True)
class Prompt:
    """One request to a judge."""

    messages: tuple[Message, ...]
    parameters: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked of a judge, and whose answer it is about.

    Attributes:
      rows: places of the rows that the score is for: one, or the two answers of a pair.
      aspect: what is judged, "" where a row has one score.
      prompts: the first reply that can be read counts; the next prompt is asked when it cannot.
    """

    rows: tuple[int, ...]
    aspect: str
    prompts: tuple[Prompt, ...]


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A judged benchmark's way of scoring.

    Attributes:
      source: where it is published.
      questions: what to ask of all rows.
      read: the values of a reply, None where it cannot be read.
      score: 0 to 1, of the values.
      failed: the values that stand for a reply that cannot be read.
    """

    source: str
    questions: Callable[[Sequence[Row]], list[Question]]
    read: Callable[[str], reading.Values | None]
    score: Callable[[Mapping[str, float]], float]
    failed: Mapping[str, float]


@functools.cache
def template(name: str) -> tuple[tuple[str, string.Template], ...]:
    """(role, text) of the messages in `assets/<name>.txt`."""
    file = importlib.resources.files("mm15_jax.evaluation.judges").joinpath(f"assets/{name}.txt")
    parts = re.split(r"^\[\[(\w+)\]\]\n", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return tuple((role, string.Template(text.removesuffix("\n"))) for role, text in pairs)


def _messages(name: str, facts: Facts) -> tuple[Message, ...]:
    # No server takes half a surrogate pair, and an answer cut at its longest may end in one.
    safe = {key: text.encode("utf-8", "replace").decode() for key, text in facts.items()}
    return tuple({"role": role, "content": text.substitute(safe)} for role, text in template(name))


def _fact(row: Row, name: str, protocol: str) -> Any:
    """A fact of the row's "judge"."""
    facts = row.get("judge") or {}
    if name not in facts:
        raise ValueError(
            f"{protocol}: example {row.get('key')!r} has no {name!r} among its judge's facts"
            f" ({', '.join(sorted(facts)) or 'it has none'})"
        )
    return facts[name]


def _question(row: Row) -> str:
    given = (row.get("judge") or {}).get("question")
    return str(given) if given else " ".join(str(row["question"]).replace("[image]", " ").split())


def _reference(row: Row, protocol: str) -> str:
    given = (row.get("judge") or {}).get("reference")
    references = [given] if given else list(row["truth"])
    if len(references) != 1:
        raise ValueError(
            f"{protocol}: example {row.get('key')!r} has {len(references)} references, expected one"
            " (or 'reference' among its judge's facts)"
        )
    return str(references[0])


def _facts(row: Row, protocol: str) -> dict[str, str]:
    return {
        "question": _question(row),
        "reference": _reference(row, protocol),
        "answer": str(row["answer"]),
    }


def _one_each(
    ask: Callable[[Row], Sequence[Prompt]],
) -> Callable[[Sequence[Row]], list[Question]]:
    """A question a row."""

    def questions(rows: Sequence[Row]) -> list[Question]:
        return [Question((place,), "", tuple(ask(row))) for place, row in enumerate(rows)]

    return questions


def _context(row: Row, protocol: str) -> str:
    context = _fact(row, "context", protocol)
    return context if isinstance(context, str) else "\n".join(context)


# Both of LLaVA's and Ferret's scripts.
_REVIEW = {"temperature": 0.2, "max_tokens": 1024}


def _ask_llava_w(row: Row) -> list[Prompt]:
    facts = {**_facts(row, "llava_w"), "context": _context(row, "llava_w")}
    return [Prompt(_messages("llava_w", facts), _REVIEW)]


def _ask_ferret_bench(row: Row) -> list[Prompt]:
    category = _fact(row, "category", "ferret_bench")
    if category not in FERRET_BENCH_CATEGORIES:
        raise ValueError(
            f"ferret_bench: example {row.get('key')!r} is of category {category!r}, expected one of"
            f" {', '.join(FERRET_BENCH_CATEGORIES)}"
        )
    ground = category == "ground_conv"
    facts = {**_facts(row, "ferret_bench"), "context": _context(row, "ferret_bench")}
    facts["answer"] = _BOX.sub(_as_fractions if ground else "", facts["answer"])
    name = "ferret_bench_ground" if ground else "ferret_bench_refer"
    return [Prompt(_messages(name, facts), _REVIEW)]


def _as_fractions(match: re.Match) -> str:
    """The benchmark's context has boxes as fractions; the model writes thousandths."""
    space = " " if match[0][0].isspace() else ""
    return f"{space}[{', '.join(f'{int(number) / 1000:.3f}' for number in match.groups())}]"


def _ask_mm_vet(row: Row) -> list[Prompt]:
    facts = _facts({**row, "truth": [" <OR> ".join(row["truth"])]}, "mm_vet")
    for mark in ("<AND>", "<OR>"):
        parts = facts["reference"].split(mark)
        facts["reference"] = f" {mark} ".join(part.strip() for part in parts)
    (message,) = _messages("mm_vet", facts)
    # A reply that is no number is asked for again, ever hotter, with a hint: as its evaluator does.
    hint = "\nPredict the correctness of the answer (digit): "
    hinted = {**message, "content": message["content"] + hint}
    asked = [(message, 0.0), *((hinted, temperature) for temperature in (0.0, 0.5, 1.0, 1.5))]
    return [Prompt((m,), {"temperature": t, "max_tokens": 16}) for m, t in asked]


_SHORT = {"temperature": 0.0, "max_tokens": 64}


def _ask_activitynet_qa(row: Row) -> list[Prompt]:
    return [Prompt(_messages("activitynet_qa", _facts(row, "activitynet_qa")), _SHORT)]


def _ask_llava_hound(row: Row) -> list[Prompt]:
    caption = str(_fact(row, "caption", "llava_hound"))
    facts = {**_facts(row, "llava_hound"), "caption": caption}
    facts["answer"] = " ".join(facts["answer"].split()[:256])  # its script's `maybe_truncate`
    return [Prompt(_messages("llava_hound", facts), {"temperature": 0.0, "max_tokens": 256})]


def _vcgbench_questions(rows: Sequence[Row]) -> list[Question]:
    """Three aspects of a general question, one of a temporal one, one of a pair of questions."""
    questions, pairs = [], dict[str, list[int]]()
    for place, row in enumerate(rows):
        for aspect in _fact(row, "aspects", "vcgbench"):
            if aspect not in VCGBENCH_ASPECTS:
                raise ValueError(
                    f"vcgbench: example {row.get('key')!r} has the aspect {aspect!r}, expected some"
                    f" of {', '.join(VCGBENCH_ASPECTS)}"
                )
            if aspect == "consistency":
                pairs.setdefault(str(row.get("group")), []).append(place)
            else:
                messages = _messages(f"vcgbench_{aspect}", _facts(row, "vcgbench"))
                questions.append(Question((place,), aspect, (Prompt(messages, _SHORT),)))
    for group, places in pairs.items():
        if len(places) != 2:
            raise ValueError(
                f"vcgbench: group {group!r} has {len(places)} answers whose consistency is asked"
                " for, expected 2"
            )
        first, second = (_facts(rows[place], "vcgbench") for place in places)
        facts = {
            "question1": first["question"],
            "question2": second["question"],
            "reference": first["reference"],
            "answer1": first["answer"],
            "answer2": second["answer"],
        }
        prompt = Prompt(_messages("vcgbench_consistency", facts), _SHORT)
        questions.append(Question(tuple(places), "consistency", (prompt,)))
    return questions


PROTOCOLS: dict[str, Protocol] = {
    "llava_w": Protocol(
        source="LLaVA-Bench (In-the-Wild): Liu et al. 2023, arXiv:2304.08485",
        questions=_one_each(_ask_llava_w),
        read=reading.two_scores,
        score=lambda values: values["answer"] / 10,
        failed={"answer": 0.0},
    ),
    "mm_vet": Protocol(
        source="MM-Vet: Yu et al. 2023, arXiv:2308.02490",
        questions=_one_each(_ask_mm_vet),
        read=reading.fraction,
        score=lambda values: values["score"],
        failed={"score": 0.0},
    ),
    "ferret_bench": Protocol(
        source="Ferret-Bench: You et al. 2023, arXiv:2310.07704",
        questions=_one_each(_ask_ferret_bench),
        read=reading.two_scores,
        score=lambda values: values["answer"] / 10,
        failed={"answer": 0.0},
    ),
    "vcgbench": Protocol(
        source="Video-ChatGPT: Maaz et al. 2023, arXiv:2306.05424",
        questions=_vcgbench_questions,
        read=reading.score_entry,
        score=lambda values: values["score"] / 5,
        failed={"score": 0.0},
    ),
    "activitynet_qa": Protocol(
        source="Video-ChatGPT's zero-shot protocol: Maaz et al. 2023, arXiv:2306.05424",
        questions=_one_each(_ask_activitynet_qa),
        read=reading.verdict_entry,
        score=lambda values: values["correct"],
        failed={"correct": 0.0, "score": 0.0},
    ),
    "llava_hound": Protocol(
        source="LLaVA-Hound: Zhang et al. 2024, arXiv:2404.01258; MM1.5, table 11",
        questions=_one_each(_ask_llava_hound),
        read=reading.stated_score,
        score=lambda values: float(values["score"] >= 3),
        failed={"score": 0.0},
    ),
}
