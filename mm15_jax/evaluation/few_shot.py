"""Prompts for models that have not learned to converse: plain documents, with or without shots.

As MM1 judges pre-training (arXiv 2403.09611, section 4): examples with answers, then the question,
as one interleaved document in Flamingo's words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mm15_jax.config.names import unknown
from mm15_jax.data.permutation import derive_seed, permute
from mm15_jax.inputs.example import Example, Image, Segment, Text

ANSWER_ENDS = "\n"


def _question(question: str) -> str:
    # The first line: what follows it tells a model that converses how to answer.
    return f"Question: {question.strip().splitlines()[0].strip()} Short answer:"


def _caption(question: str) -> str:
    return "A photo of"


# How a question is written in a document; "chat" leaves the conversation as it is.
PROMPTS: dict[str, Callable[[str], str]] = {"question": _question, "caption": _caption}


def as_document(example: Example, prompt: str, *, answered: bool) -> list[Segment]:
    """One example as a piece of a document: its pictures and question, then its answer.

    Args:
      example: a conversation, of which the first turn is taken.
      prompt: a name of `PROMPTS`.
      answered: whether the model is shown the answer; else the answer has loss, so that the prompt
        ends before it.

    Raises:
      ValueError: an unknown prompt, or an example without a question or an answer.
    """
    if prompt not in PROMPTS:
        raise unknown("prompt", prompt, PROMPTS)
    roles = [segment.role for segment in example.segments]
    first = roles.index("assistant") if "assistant" in roles else 0
    asked = [s.text for s in example.segments[:first] if isinstance(s, Text)]
    answer = example.segments[first] if first else None
    if not asked or not isinstance(answer, Text):
        raise ValueError(f"{example.source} {example.key} has no question or no answer")
    pieces: list[Segment] = [
        Image(s.data, s.height, s.width) for s in example.segments[:first] if isinstance(s, Image)
    ]
    pieces.append(Text(f" {PROMPTS[prompt](' '.join(asked))}"))
    pieces.append(Text(f" {answer.text.strip()}{ANSWER_ENDS}", loss=not answered))
    return pieces


def with_shots(example: Example, shots: Sequence[Example], prompt: str) -> Example:
    """An example as a document, after others with their answers.

    Raises:
      ValueError: as of `as_document`.
    """
    segments = [piece for shot in shots for piece in as_document(shot, prompt, answered=True)]
    segments += as_document(example, prompt, answered=False)
    return Example(tuple(segments), example.source, example.key, example.category, example.metadata)


def answer_in(text: str) -> str:
    """What answers in a document that a model has written on: the first line, as in every shot."""
    return text.partition(ANSWER_ENDS)[0]


def choose_shots(benchmark: str, key: str, count: int, shots: int) -> list[int]:
    """Which of `count` training examples come before a question; the same in every run.

    Args:
      benchmark: its name; with the key it is the seed.
      key: of the question.
      count: examples to choose from.
      shots: how many, all different.

    Raises:
      ValueError: there are fewer than `shots`.
    """
    if shots > count:
        raise ValueError(f"{benchmark} takes {shots} shots, its training split has {count}")
    seed = derive_seed("shots", benchmark, key)
    return permute(np.arange(shots), count, seed).tolist()
