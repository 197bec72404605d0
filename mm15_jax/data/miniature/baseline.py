"""What a model scores that never looks: the best fixed answer to each kind of question."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from mm15_jax.data.miniature.catalog import SETS

_TRAIN_EXAMPLES = 1000  # enough to find the most frequent answers
_CANDIDATES = 12  # most frequent answers tried


def _edit_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def _anls(answer: str, truth: str) -> float:
    distance = _edit_distance(answer, truth) / max(len(answer), len(truth), 1)
    return 1 - distance if distance < 0.5 else 0.0


def _relaxed(answer: str, truth: str) -> float:
    if answer.isdigit() and truth.isdigit():
        return float(abs(int(answer) - int(truth)) <= 0.05 * int(truth))
    return float(answer == truth)


def _exact(answer: str, truth: str) -> float:
    return float(answer == truth)


_SCORES = {
    "exact_match": _exact,
    "multiple_choice": _exact,
    "anls": _anls,
    "relaxed_accuracy": _relaxed,
}

_Facts = dict[str, Any]


def _mean_score(metric: str, answer: str, truths: Sequence[_Facts]) -> float:
    score = _SCORES[metric]
    return sum(score(answer, truth["answer"]) for truth in truths) / len(truths)


def _best_answer(train: Sequence[_Facts]) -> str:
    """The fixed answer that scores best on the training questions."""
    counts = Counter(facts["answer"] for facts in train)
    candidates = [answer for answer, _ in counts.most_common(_CANDIDATES)]
    return max(candidates, key=lambda answer: _mean_score(train[0]["metric"], answer, train))


def _relative_boxes(facts: Sequence[_Facts]) -> np.ndarray:
    """float[n, 4]: boxes as shares of the picture."""
    return np.array([np.array(f["box"]) / (f["size"][::-1] * 2) for f in facts])


def _hits(box: np.ndarray, boxes: np.ndarray) -> float:
    """Share of the boxes [n, 4] with which one box [4] has an IoU above one half."""
    left_top = np.maximum(box[:2], boxes[:, :2])
    right_bottom = np.minimum(box[2:], boxes[:, 2:])
    inside = np.prod(np.clip(right_bottom - left_top, 0, None), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = areas + np.prod(box[2:] - box[:2]) - inside
    return float(np.mean(inside > 0.5 * union))


def _by_kind(facts: Sequence[_Facts]) -> dict[str, list[_Facts]]:
    groups: dict[str, list[_Facts]] = {}
    for item in facts:
        groups.setdefault(item["kind"], []).append(item)
    return groups


@functools.cache
def trivial_baseline(dataset: str, split: str) -> float:
    """Score, 0 to 100, of answering each kind of question always the same, by its metric.

    The answers are the best ones on training examples; the score is that on `split`. Questions for
    places, of whatever kind, have the one box, as shares of the picture, that most training boxes
    overlap.

    Raises:
      ValueError: if the data set is none of the miniature's, or is not scored.
    """
    if dataset not in SETS:
        raise ValueError(f"{dataset!r} is no data set of the miniature: {', '.join(SETS)}.")
    generated = SETS[dataset]
    examples = min(_TRAIN_EXAMPLES, generated.train_count)
    # A curriculum's last examples are those that resemble the held-out ones.
    first = generated.train_count - examples
    indices = range(first, generated.train_count)
    train = [dict(e.metadata) for e in generated.examples("train", indices)]
    held_out = [dict(e.metadata) for e in generated.examples(split, range(generated.count(split)))]
    if not all("answer" in facts for facts in (*train, *held_out)):
        raise ValueError(f"{dataset} is not scored: its examples have no one true answer.")
    total = 0.0
    boxes = [facts for facts in train if facts["metric"] == "iou"]
    if boxes:
        found = _relative_boxes(boxes)
        best = max(found, key=lambda box: _hits(box, found))
        places = [facts for facts in held_out if facts["metric"] == "iou"]
        total += len(places) * _hits(best, _relative_boxes(places))
    groups = _by_kind(train)
    for kind, truths in _by_kind(held_out).items():
        if truths[0]["metric"] != "iou":
            answer = _best_answer(groups.get(kind, train))
            total += len(truths) * _mean_score(truths[0]["metric"], answer, truths)
    return 100 * total / len(held_out)
