"""SeqIO's registries and ours, both ways: all that imports SeqIO, and so TensorFlow.

No other package imports this one: TensorFlow costs ten seconds and 800 MB, and training needs none
of it.

From ours: `register` makes a SeqIO task of every prepared data set and a SeqIO mixture of an
experiment's mixture, with our metrics. To ours: `preparations` makes each task of a SeqIO mixture a
data set for `prepare`, and `mixture` gives them the weights that they have in SeqIO. (Data that
TFDS prepared needs neither: `data/tfds_builder.py` reads it without TensorFlow.)
"""

from mm15_jax.seqio_bridge.from_seqio import mixture, preparations, question_and_answer
from mm15_jax.seqio_bridge.to_seqio import (
    FeatureConverter,
    PreparedSource,
    TokenizerVocabulary,
    metric_scores,
    register,
)

__all__ = [
    "FeatureConverter",
    "PreparedSource",
    "TokenizerVocabulary",
    "metric_scores",
    "mixture",
    "preparations",
    "question_and_answer",
    "register",
]
