"""CIDEr-D of captions (Vedantam et al. 2015, section 6), as pycocoevalcap prints it, times 100."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from mm15_jax.evaluation.aggregated import Aggregated, Row, mean_and_error
from mm15_jax.evaluation.ptb_tokens import words_of

ORDER = 4  # n-grams up to this length
SIGMA = 6.0  # of the penalty of a length that differs, in words

_Ngram = tuple[str, ...]
_Counts = Counter[_Ngram]


def _ngrams(words: Sequence[str]) -> _Counts:
    return Counter(
        tuple(words[start : start + n])
        for n in range(1, ORDER + 1)
        for start in range(len(words) - n + 1)
    )


class _Vector:
    """A caption's n-grams, weighted by how rare they are, and its length."""

    def __init__(self, counts: _Counts, log_frequency: dict[_Ngram, float], log_pictures: float):
        self.weights: list[dict[_Ngram, float]] = [{} for _ in range(ORDER)]
        for ngram, count in counts.items():
            rarity = log_pictures - log_frequency.get(ngram, 0.0)
            self.weights[len(ngram) - 1][ngram] = count * rarity
        self.norms = [math.sqrt(sum(w * w for w in part.values())) for part in self.weights]
        # The published code takes the number of pairs of words for the length.
        self.length = sum(count for ngram, count in counts.items() if len(ngram) == 2)

    def similarity(self, reference: _Vector) -> float:
        """Mean over n of the clipped cosine, times the penalty of length."""
        total = 0.0
        for mine, theirs, norm, other in zip(
            self.weights, reference.weights, self.norms, reference.norms, strict=True
        ):
            dot = sum(min(w, theirs[g]) * theirs[g] for g, w in mine.items() if g in theirs)
            total += dot / (norm * other) if norm and other else dot
        difference = self.length - reference.length
        return total / ORDER * math.exp(-(difference**2) / (2 * SIGMA**2))


def cider_d(
    captions: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> list[float]:
    """CIDEr-D of each picture's caption, 0 to 10; their mean is the corpus' score.

    How rare an n-gram is, is counted over the references of all pictures: the score of a caption
    depends on which pictures it is scored with, and of a single picture all scores are 0.

    Args:
      captions: words of one caption a picture.
      references: of each picture, the words of its references.

    Raises:
      ValueError: other than one caption a picture, or a picture without references.
    """
    if len(captions) != len(references):
        raise ValueError(f"{len(captions)} captions of {len(references)} pictures")
    if not all(references):
        raise ValueError("a picture has no reference caption, expected at least one")
    counts = [[_ngrams(reference) for reference in group] for group in references]
    frequency = Counter(ngram for group in counts for ngram in set().union(*group))
    log_frequency = {ngram: math.log(count) for ngram, count in frequency.items()}
    log_pictures = math.log(len(captions)) if captions else 0.0
    scores = []
    for caption, group in zip(captions, counts, strict=True):
        vector = _Vector(_ngrams(caption), log_frequency, log_pictures)
        similar = [vector.similarity(_Vector(c, log_frequency, log_pictures)) for c in group]
        scores.append(10 * math.fsum(similar) / len(similar))
    return scores


def cider(rows: Sequence[Row]) -> Aggregated:
    """Corpus CIDEr-D times 100, of rows' "answer" and "truth" (reference captions).

    1000 at most, and above 100 for short and uniform captions. Captions are split into words by
    `ptb_tokens.words_of`. The error is that of the mean over pictures.

    Raises:
      ValueError: no rows.
    """
    scores = cider_d(
        [words_of(row["answer"]) for row in rows],
        [[words_of(truth) for truth in row["truth"]] for row in rows],
    )
    score, error = mean_and_error(scores)
    return Aggregated(100 * score, 100 * error)
