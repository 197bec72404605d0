"""All metrics by the name an example's metadata gives, and the score of one answer.

The functions are in the modules that are imported here; docs/metrics.md lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mm15_jax.config.names import unknown
from mm15_jax.evaluation.aggregated import mean_and_error
from mm15_jax.evaluation.box_metrics import grounding_correct, iou, point_correct, recall_at_one
from mm15_jax.evaluation.contains_metrics import contains, lvis_name, ocrbench, ocrbench_formula
from mm15_jax.evaluation.denotation import denotation
from mm15_jax.evaluation.icl_metrics import icl_contains, icl_exact, icl_number
from mm15_jax.evaluation.mathvista import mathvista
from mm15_jax.evaluation.mmmu import mmmu_choice, mmmu_open
from mm15_jax.evaluation.text_metrics import (
    anls,
    exact_match,
    multiple_choice,
    normalise_answer,
    parse_choice,
    relaxed_accuracy,
)
from mm15_jax.evaluation.vqa_metric import normalise_vqa, vqa_accuracy
from mm15_jax.evaluation.yes_no import yes_no
from mm15_jax.inputs.example import Example, Image

__all__ = [
    "JUDGED",
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


JUDGED = "judge"  # the metric of answers that a language model scores


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


def _recall(answer: str, example: Example) -> float:
    boxes = example.metadata.get("boxes")
    if not boxes or any(len(box) != 4 for box in boxes):
        raise ValueError(
            f"{example.source} {example.key}: metadata 'boxes' is {boxes}, expected boxes of four"
        )
    height, width = image_size_of(example)
    merged = bool(example.metadata.get("merged"))
    return recall_at_one(answer, boxes, width=width, height=height, merged=merged)


def _text(function: Callable[..., float], **options: Any) -> Callable[[str, Example], float]:
    return lambda answer, example: function(answer, references_of(example.metadata), **options)


def _choice(function: Callable[..., float]) -> Callable[[str, Example], float]:
    def score(answer: str, example: Example) -> float:
        metadata = example.metadata
        return function(answer, references_of(metadata), metadata.get("choices") or [])

    return score


def _denotation(answer: str, example: Example) -> float:
    return denotation(answer, references_of(example.metadata), example.metadata.get("canon"))


def _mathvista(answer: str, example: Example) -> float:
    metadata = example.metadata
    choices = metadata.get("choices") or []
    if not choices and "answer_type" not in metadata:
        raise ValueError(
            f"{example.source} {example.key}: no metadata 'answer_type' and no choices"
        )
    return mathvista(
        answer,
        references_of(metadata),
        choices,
        answer_type=metadata.get("answer_type", "text"),
        precision=int(metadata.get("precision") or 0),
    )


def _of_the_corpus(answer: str, example: Example) -> float:
    """No score by itself: the aggregate reads all answers together."""
    del answer
    references_of(example.metadata)
    return 0.0


def _judged(answer: str, example: Example) -> float:
    del answer
    raise ValueError(
        f"{example.source} {example.key}: metric {JUDGED!r} is scored by a judge, not by a rule"
    )


# Name in metadata["metric"] -> score from 0 to 1 of (answer, example).
METRICS: dict[str, Callable[[str, Example], float]] = {
    "exact_match": _text(exact_match),
    "contains": _text(contains),
    "anls": _text(anls),
    "relaxed_accuracy": _text(relaxed_accuracy),
    "relaxed_accuracy_mistral": _text(relaxed_accuracy, convention="mistral"),
    "vqa_accuracy": _text(vqa_accuracy),
    "vqa_v2_accuracy": _text(vqa_accuracy, tokenise=False),
    "multiple_choice": _choice(multiple_choice),
    "yes_no": _text(yes_no),
    "f1_yes_no": _text(yes_no),
    "mmmu_choice": _choice(mmmu_choice),
    "mmmu_open": _text(mmmu_open),
    "mathvista": _mathvista,
    "denotation": _denotation,
    "ocrbench": _text(ocrbench),
    "ocrbench_hme": _text(ocrbench_formula),
    "lvis_name": _text(lvis_name),
    "iou": _place(grounding_correct),
    "point_in_box": _place(point_correct),
    "recall_iou": _recall,
    "icl_exact": _text(icl_exact),
    "icl_number": _text(icl_number),
    "icl_contains": _text(icl_contains),
    "cider": _of_the_corpus,
    JUDGED: _judged,
}


def score_answer(answer: str, example: Example) -> float:
    """Score from 0 to 1 of an answer, by the metric that the example names.

    Raises:
      ValueError: the example names no known metric, one that a judge scores, or lacks what the
        metric needs.
    """
    name = example.metadata.get("metric")
    if name not in METRICS:
        raise unknown("metric", str(name), METRICS)
    return METRICS[name](answer, example)
