"""Training of the nano tokenizer: characters, and whole words of the prompts.

The nano model reads made-up words from pictures letter by letter. A BPE or unigram vocabulary of
this size would be full of fragments ("in", "er", "to") that cut such words at places which no
picture shows. So the model is a SentencePiece character model with whole words as additional
pieces: a word of the prompts is one token, everything else is one token a character.
"""

import collections
import io
import os
import pathlib
import re
from collections.abc import Iterable

import sentencepiece

from mm15_jax.inputs import tokenizer

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2

# Position indicators that cost one token: the overviews of eight images, and the sub-images of a
# grid of up to 4 x 4 for the two images that an example may have split.
INDICATORS = tuple(
    [f"({k},0,0)" for k in range(8)]
    + [f"({k},{i},{j})" for k in range(2) for i in range(1, 5) for j in range(1, 5)]
)

ROW_SEPARATOR = "<n>"  # of the indicator "seps"

_SPACE = "\u2581"  # how SentencePiece writes a space
_ALPHABET = "".join(map(chr, range(33, 127)))  # printable ASCII but the space
_WORD = re.compile(r"( ?)(?<![A-Za-z])([A-Za-z]+)")

# A piece matches wherever its letters stand, so a short one would cut words that are to be read.
# After a space three letters are rare enough as the beginning of a made-up word; without a space
# (a word at the start of a text, or after a bracket) the piece may match inside a word.
_MIN_LETTERS_AFTER_SPACE = 3
_MIN_LETTERS = 4


def train_nano_tokenizer(
    lines: Iterable[str],
    output: str | os.PathLike[str],
    *,
    vocab_size: int,
    symbols: Iterable[str] = (),
) -> tokenizer.SentencePieceTokenizer:
    """Trains the tokenizer of the nano models and writes it.

    Ids: 0 padding, 1 end, 2 unknown, then the role and image pieces, the newline, the row
    separator, position indicators, `symbols`, words by falling frequency, characters. All printable
    ASCII is in the alphabet. Equal lines and vocabulary size give an equal file.

    Args:
      lines: texts of prompts and answers as templates produce them; every line counts, and words
        that the model shall spell out must not be in it.
      output: path of the .model file.
      vocab_size: most pieces; the vocabulary is smaller if the lines have fewer different words.
      symbols: further texts that are one token wherever they stand, such as dense labels.

    Returns:
      The tokenizer.

    Raises:
      ValueError: if there are no lines, or the vocabulary has no room for the fixed pieces.
    """
    lines = [line for line in lines if line]
    if not lines:
        raise ValueError("No lines to train the tokenizer on; expected the texts of prompts.")
    characters = set(_ALPHABET) | {_SPACE}
    characters.update(c for line in lines for c in line if c not in " \n")
    control = [*tokenizer.ROLE_PIECES.values(), tokenizer.IMAGE_PIECE]
    fixed = ["\n", ROW_SEPARATOR, *INDICATORS, *symbols]
    room = vocab_size - 3 - len(control) - len(fixed) - len(characters)
    if room < 0:
        raise ValueError(
            f"vocab_size is {vocab_size}; the special pieces, position indicators and characters"
            f" alone need {vocab_size - room}."
        )
    words = _frequent_words(lines)[:room]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="char",
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        pad_id=PAD_ID,
        eos_id=EOS_ID,
        unk_id=UNK_ID,
        bos_id=-1,
        control_symbols=control,
        user_defined_symbols=[*fixed, *words],
        required_chars=_ALPHABET,
        character_coverage=1.0,
        split_digits=True,
        # A text comes back as it went in: no Unicode folding, no spaces added or dropped.
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    path = pathlib.Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.getvalue())
    return tokenizer.SentencePieceTokenizer(model.getvalue())


def _frequent_words(lines: list[str]) -> list[str]:
    """Words as pieces ("▁circle", "What"), most frequent first, then by alphabet."""
    counts: collections.Counter[str] = collections.Counter()
    for line in lines:
        for space, word in _WORD.findall(line):
            if len(word) >= (_MIN_LETTERS_AFTER_SPACE if space else _MIN_LETTERS):
                counts[(_SPACE if space else "") + word] += 1
    return sorted(counts, key=lambda piece: (-counts[piece], piece))
