"""The miniature: generated pictures and texts of every capability, with exact ground truth.

Example i of a split of a data set is a pure function of these three. The held-out splits
("validation", "test") share no seed, no word of three letters or more, no layout and no font file
with training; between themselves they share fonts.
"""

from mm15_jax.data.miniature.baseline import trivial_baseline
from mm15_jax.data.miniature.catalog import PREPARATIONS, SETS, tokenizer_corpus
from mm15_jax.data.miniature.words import LABEL_SYMBOLS, SYMBOLS, TOKENIZER_SYMBOLS

__all__ = [
    "LABEL_SYMBOLS",
    "PREPARATIONS",
    "SETS",
    "SYMBOLS",
    "TOKENIZER_SYMBOLS",
    "tokenizer_corpus",
    "trivial_baseline",
]
