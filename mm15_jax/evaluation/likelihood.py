"""How likely a model finds the right answers: the probability of each, end of the answer included.

A score of a question is right or wrong; the probability tells how near it is, so it differs less
from run to run. Its mean is what answers drawn at temperature 1 would score by exact match.
Small models' likelihoods foretell better than their accuracy which data is better (DataDecide,
arXiv 2504.11393, section 3.4).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mm15_jax.evaluation.aggregates import AGGREGATES, Aggregated
from mm15_jax.evaluation.benchmarks import Benchmark
from mm15_jax.evaluation.metrics import references_of
from mm15_jax.infer.generate import Generator
from mm15_jax.infer.score import answer_prompt, score_prompts
from mm15_jax.inputs.example import Example, Text
from mm15_jax.inputs.formatting import answer_position

FIELD = "log_probability"  # of a line of an answers file: natural logarithm
_WINDOW = 1024  # examples in memory at once
# Of these a benchmark's likelihood is made as its score is; others are no means of questions.
_AGGREGATES = ("mean", "subset_mean")
# By these many answers are right: one box of thousands has next to no probability.
_MANY_ARE_RIGHT = ("iou", "point_in_box", "recall_iou")


def has_likelihood(benchmark: Benchmark) -> bool:
    """Whether its questions have one right answer, in a few words."""
    return (
        benchmark.aggregate in _AGGREGATES
        and not benchmark.judge
        and not set(benchmark.metrics) & set(_MANY_ARE_RIGHT)
    )


def log_probabilities(
    generator: Generator, examples: Sequence[Example], *, batch_size: int
) -> Iterator[tuple[int, float]]:
    """Yields (index, logarithm of the probability of the answer) of each example, in order.

    The answer is the data set's own, as training would have it; where it has none, the first of
    the metadata's.

    Args:
      generator: its parameters and how it reads examples.
      examples: questions, with their answers.
      batch_size: speed only.
    """
    for start in range(0, len(examples), _WINDOW):
        stop = min(start + _WINDOW, len(examples))
        prompts = [
            answer_prompt(generator, _answered(examples[number]), index=number - start)
            for number in range(start, stop)
        ]
        scores = score_prompts(generator, prompts, batch_size=batch_size)
        yield from ((start + place, score.log_probability) for place, score in enumerate(scores))


def aggregated(benchmark: Benchmark, rows: Sequence[Mapping[str, Any]]) -> Aggregated | None:
    """A benchmark's likelihood, 0 to 100; None unless that of every row is known."""
    if not has_likelihood(benchmark) or any(FIELD not in row for row in rows):
        return None
    likely = [{**row, "score": math.exp(row[FIELD])} for row in rows]
    return AGGREGATES[benchmark.aggregate](likely)


def _answered(example: Example) -> Example:
    """With an answer, if it has none."""
    place, is_turn = answer_position(example.segments)
    if place < len(example.segments):
        return example
    text = references_of(example.metadata)[0]
    answer = Text(text, role="assistant" if is_turn else "document", loss=True)
    return dataclasses.replace(example, segments=(*example.segments, answer))
