"""All metrics by the name an example's metadata gives, and the score of one answer.

The functions are in `text_metrics`, `vqa_metric` and `box_metrics`; here are their names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mm15_jax.config.names import unknown
from mm15_jax.evaluation.box_metrics import grounding_correct, iou, point_correct
from mm15_jax.evaluation.text_metrics import (
    anls,
    exact_match,
    multiple_choice,
    normalise_answer,
    parse_choice,
    relaxed_accuracy,
)
from mm15_jax.evaluation.vqa_metric import normalise_vqa, vqa_accuracy
from mm15_jax.inputs.example import Example, Image

__all__ = [
    "METRICS",
    "anls",
    "exact_match",
    "grounding_correct",
    "image_size_of",
    "iou",
    "mean_and_error",
    "multiple_choice",
    "normalise_answer",
    "normalise_vqa",
    "parse_choice",
    "point_correct",
    "references_of",
    "relaxed_accuracy",
    "score_answer",
    "vqa_accuracy",
]


def references_of(metadata: Mapping[str, Any]) -> list[str]:
    """The accepted answers of an evaluation example.

    Raises:
      ValueError: there are none.
    """
    answer = metadata.get("answer")
    references = [answer] if isinstance(answer, str) else list(answer or [])
    if not references:
        raise ValueError("an evaluation example has no metadata 'answer', expected text or texts")
    return references


def image_size_of(example: Example) -> tuple[int, int]:
    """(height, width) of the picture that boxes refer to: the first, or metadata's "image"-th.

    Raises:
      ValueError: there is no such picture.
    """
    images = [segment for segment in example.segments if isinstance(segment, Image)]
    index = int(example.metadata.get("image", 0))
    if not 0 <= index < len(images):
        raise ValueError(
            f"{example.source} {example.key}: a box in image {index}, the example has {len(images)}"
        )
    return images[index].height, images[index].width


def _place(function: Callable[..., float]) -> Callable[[str, Example], float]:
    def score(answer: str, example: Example) -> float:
        height, width = image_size_of(example)
        return function(answer, _true_box(example), width=width, height=height)

    return score


def _true_box(example: Example) -> Sequence[float]:
    box = example.metadata.get("box")
    if box is None or len(box) != 4:
        raise ValueError(f"{example.source} {example.key}: metadata 'box' is {box}, expected four")
    return box


def _text(function: Callable[..., float], **options: Any) -> Callable[[str, Example], float]:
    return lambda answer, example: function(answer, references_of(example.metadata), **options)


def _choice(answer: str, example: Example) -> float:
    metadata = example.metadata
    return multiple_choice(answer, references_of(metadata), metadata.get("choices") or [])


# Name in metadata["metric"] -> score from 0 to 1 of (answer, example).
METRICS: dict[str, Callable[[str, Example], float]] = {
    "exact_match": _text(exact_match),
    "anls": _text(anls),
    "relaxed_accuracy": _text(relaxed_accuracy),
    "relaxed_accuracy_mistral": _text(relaxed_accuracy, convention="mistral"),
    "vqa_accuracy": _text(vqa_accuracy),
    "vqa_v2_accuracy": _text(vqa_accuracy, tokenise=False),
    "multiple_choice": _choice,
    "iou": _place(grounding_correct),
    "point_in_box": _place(point_correct),
}


def score_answer(answer: str, example: Example) -> float:
    """Score from 0 to 1 of an answer, by the metric that the example names.

    Raises:
      ValueError: the example names no known metric, or lacks what the metric needs.
    """
    name = example.metadata.get("metric")
    if name not in METRICS:
        raise unknown("metric", str(name), METRICS)
    return METRICS[name](answer, example)
