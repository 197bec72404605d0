"""What the miniature is written in: a closed vocabulary, and pseudo-words to be read.

Training, validation and test share no pseudo-word of three letters or more. Which split a word
belongs to follows from the word alone, so that no list has to be kept.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterable

from mm15_jax.data.miniature.places import COORDINATE_SYMBOLS

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (218, 42, 40),
    "green": (38, 162, 62),
    "blue": (38, 76, 220),
    "yellow": (236, 196, 28),
    "purple": (152, 52, 184),
    "black": (34, 34, 38),
}
SHAPES = ("circle", "square", "triangle", "star")
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}

GLYPHS = tuple("abcdefghijklmnopqrstuvwxyz0123456789+-")
BACKGROUND = "."


def label_symbol(name: str) -> str:
    """How the dense label `name` is written: "a" -> "[a]"."""
    return f"[{name}]"


# A dense label is a bracketed name and a user-defined symbol of the tokenizer: however the labels
# are joined, `[r][e][d]` and `[red]` stay three tokens and one.
LABEL_SYMBOLS = tuple(label_symbol(name) for name in (*GLYPHS, *COLORS, *SHAPES, BACKGROUND))

# Words that answers and questions turn on: single pieces of the tokenizer.
SYMBOLS = (
    *COLORS,
    *SHAPES,
    "circles",
    "squares",
    "triangles",
    "stars",
    "shape",
    "shapes",
    "picture",
    "color",
    "line",
    "column",
    "written",
    "first",
    "second",
    "same",
    "different",
    "where",
    "what",
    "which",
    "yes",
)

# Every other word of the templates.
# fmt: off
OTHER_WORDS = (
    *NUMBERS.values(),
    "a", "above", "and", "are", "as", "at", "backwards", "bar", "below", "code", "comes", "copy",
    "corners", "does", "find", "full", "half", "has", "here", "highest", "how", "in", "is",
    "it", "larger", "last", "left", "letters", "lowest", "many", "more", "next", "no", "of", "or",
    "pie", "point", "read", "result", "right", "row", "say", "smaller", "solve", "sort", "spell",
    "the", "there", "to", "value", "word", "words", "write",
)
# fmt: on

# What screens and the questions on them are written in.
# fmt: off
UI_WORDS = (
    "back", "bell", "book", "button", "camera", "cart", "checkbox", "clock", "close", "cloud",
    "flag", "gift", "heart", "home", "icon", "image", "input", "label", "list", "lock", "mail",
    "menu", "moon", "music", "open", "phone", "play", "press", "screen", "search", "settings",
    "share", "slider", "switch", "text", "title", "trash", "type", "user", "widget", "with",
)
# fmt: on

TEMPLATE_WORDS = frozenset((*SYMBOLS, *OTHER_WORDS, *UI_WORDS))

# What to hand to the training of the nano tokenizer as symbols: the dense labels, coordinates, and
# the words too short for the pieces that it makes by itself: `red` as an answer is one token then.
TOKENIZER_SYMBOLS = (
    *LABEL_SYMBOLS,
    *COORDINATE_SYMBOLS,
    *(word for word in SYMBOLS if len(word) < 4),
)

CHOICE_LETTERS = ("A", "B", "C")

_VOWELS = "aeiou"
_CONSONANTS = "bcdfghjklmnpqrstvwxyz"
_CLUSTERS = ("st", "tr", "pl", "gr", "ck", "nd", "sh", "br", "nt", "rk", "ll", "mp")

# What a tokenizer may have as one piece: these anywhere, and any word of the templates of four
# letters or more (three, at the start of a word).
_PIECE_INSIDE = re.compile(
    "|".join(
        [re.escape(word) for word in sorted(TEMPLATE_WORDS) if len(word) > 3 or word in SYMBOLS]
        + [f"^{word}" for word in sorted(TEMPLATE_WORDS) if len(word) == 3]
    )
)


def pseudo_word(rng: random.Random, length: int) -> str:
    """A pronounceable lower-case word of exactly `length` letters that means nothing."""
    letters = ""
    vowel = rng.random() < 0.35
    while len(letters) < length:
        if vowel:
            letters += _VOWELS[int(rng.random() * len(_VOWELS))]
        elif letters and length - len(letters) >= 2 and rng.random() < 0.2:
            letters += _CLUSTERS[int(rng.random() * len(_CLUSTERS))]
        else:
            letters += _CONSONANTS[int(rng.random() * len(_CONSONANTS))]
        vowel = not vowel
    return letters


def word_split(word: str) -> str:
    """The only split in which a pseudo-word of three or more letters may appear."""
    residue = zlib.crc32(word.encode()) % 10
    return {0: "validation", 1: "test"}.get(residue, "train")


def is_allowed(word: str) -> bool:
    """Whether a pseudo-word is none of the template words and hides no piece of a tokenizer."""
    return word not in TEMPLATE_WORDS and _PIECE_INSIDE.search(word) is None


def draw_word(rng: random.Random, length: int, split: str) -> str:
    """A pseudo-word of the split. Words of one or two letters are too few to be told apart."""
    while True:
        word = pseudo_word(rng, length)
        if (length < 3 or word_split(word) == split) and is_allowed(word):
            return word


_WORD = re.compile(r"[a-z]+")


def spaced_out(text: str) -> str:
    """The text with every pseudo-word and number written as separate characters.

    Training a tokenizer on this gives pieces to the templates and none to what must be read
    letter by letter: "line 12 says kapo" -> "line 1 2 says k a p o".
    """
    text = _WORD.sub(lambda m: m[0] if m[0] in TEMPLATE_WORDS else " ".join(m[0]), text)
    return re.sub(r"(?<=\d)(?=\d)", " ", text)


def unknown_words(texts: Iterable[str]) -> set[str]:
    """Lower-case words of the texts that the templates do not hold."""
    return {word for text in texts for word in _WORD.findall(text)} - TEMPLATE_WORDS
