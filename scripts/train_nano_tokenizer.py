"""Makes the tokenizer that ships with the package, from the miniature's own prompts.

python scripts/train_nano_tokenizer.py
"""

import pathlib

import mm15_jax.inputs
from mm15_jax.data import miniature
from mm15_jax.inputs.train_tokenizer import train_nano_tokenizer

NANO_MODEL = pathlib.Path(mm15_jax.inputs.__file__).parent / "assets" / "nano.model"
VOCAB_SIZE = 480  # at most; rows of nano's embedding

if __name__ == "__main__":
    tokenizer = train_nano_tokenizer(
        miniature.tokenizer_corpus(),
        NANO_MODEL,
        vocab_size=VOCAB_SIZE,
        symbols=miniature.TOKENIZER_SYMBOLS,
    )
    print(f"{NANO_MODEL}: {tokenizer.vocab_size} pieces")
