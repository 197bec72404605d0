"""What the miniature is written in: closed vocabulary, pseudo-words and fonts, each split apart.

Training, validation and test share no word of three letters or more and training shares no font
file with the other two. Which side a word is on follows from the word alone, so that no list has
to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable
import functools
import importlib.util
from pathlib import Path
import random
import re
import zlib

from PIL import ImageFont

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (218, 42, 40),
    "green": (38, 162, 62),
    "blue": (38, 76, 220),
    "yellow": (236, 196, 28),
    "purple": (152, 52, 184),
    "black": (34, 34, 38),
}
SHAPES = ("circle", "square", "triangle", "star")
NUMBERS = ("zero", "one", "two", "three", "four", "five")

GLYPHS = tuple("abcdefghijklmnopqrstuvwxyz0123456789+-")
BACKGROUND = "."


def label_symbol(name: str) -> str:
    """How the dense label `name` is written: "a" -> "[a]"."""
    return f"[{name}]"


# A dense label is a bracketed name and a user-defined symbol of the tokenizer: however the labels
# are joined, `[r][e][d]` and `[red]` stay three tokens and one.
LABEL_SYMBOLS = tuple(label_symbol(name) for name in (*GLYPHS, *COLORS, *SHAPES, BACKGROUND))

# Words that answers and questions turn on. No pseudo-word contains one, so that a tokenizer may
# make them single pieces without cutting a pseudo-word that is to be read letter by letter.
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
OTHER_WORDS = tuple(
    """
    a about above add after all and any are as at backwards bar below by comes contains copy corners
    count does find full half has here highest holds how in is it larger last left letter letters
    lowest many me more next no not number numbers of on or order over pie plus point read result
    right row rows say sort smaller solve spell spelled than the there this to value with word words
    read write minus
    """.split()
) + tuple(NUMBERS)

TEMPLATE_WORDS = frozenset(SYMBOLS) | frozenset(OTHER_WORDS)

CHOICE_LETTERS = ("A", "B", "C")

_VOWELS = "aeiou"
_CONSONANTS = "bcdfghjklmnpqrstvwxyz"
_CLUSTERS = ("st", "tr", "pl", "gr", "ck", "nd", "sh", "br", "nt", "rk", "ll", "mp")
_SYMBOL_INSIDE = re.compile("|".join(sorted(SYMBOLS, key=len, reverse=True)))


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
    """Whether a pseudo-word is none of the template words and hides no symbol."""
    return word not in TEMPLATE_WORDS and _SYMBOL_INSIDE.search(word) is None


def draw_word(rng: random.Random, length: int, split: str) -> str:
    """A pseudo-word of the split. Words of one or two letters are too few to be told apart."""
    while True:
        word = pseudo_word(rng, length)
        if (length < 3 or word_split(word) == split) and is_allowed(word):
            return word


# File and the factor that brings its small letters to the height of DejaVu's.
_Face = tuple[str, float]
TRAIN_FONTS: tuple[_Face, ...] = (
    ("DejaVuSans.ttf", 1.0),
    ("DejaVuSans-Bold.ttf", 1.0),
    ("DejaVuSansMono.ttf", 1.0),
    ("DejaVuSerif.ttf", 1.0),
    ("DejaVuSansMono-Oblique.ttf", 1.0),
    ("STIXGeneralBol.ttf", 1.15),
)
HELD_OUT_FONTS: tuple[_Face, ...] = (
    ("DejaVuSansMono-Bold.ttf", 1.0),
    ("DejaVuSerif-Bold.ttf", 1.0),
    ("DejaVuSans-Oblique.ttf", 1.0),
)


@functools.cache
def font_directory() -> Path:
    """Where matplotlib keeps its TrueType files, found without importing it.

    Raises:
      ValueError: if matplotlib is not installed.
    """
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            "The miniature draws with the fonts that matplotlib ships, but matplotlib is not "
            "installed; install it with `pip install matplotlib`."
        )
    return Path(next(iter(spec.submodule_search_locations))) / "mpl-data" / "fonts" / "ttf"


@functools.cache
def load_font(face: _Face, size: int) -> ImageFont.FreeTypeFont:
    """The face at a nominal size in pixels, scaled to the common height of small letters."""
    name, factor = face
    return ImageFont.truetype(
        str(font_directory() / name), round(size * factor), layout_engine=ImageFont.Layout.BASIC
    )


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
