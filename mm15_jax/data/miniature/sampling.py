"""The random choices of one example: a pure function of data set, split and index."""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Callable, Sequence
from typing import TypeVar

from mm15_jax.data.miniature import fonts, words

SPLITS = ("train", "validation", "test")

# One layout in four is kept from training and is all that the held-out sets use.
_LAYOUT_CLASSES = 4

_T = TypeVar("_T")
Layout = tuple[int, ...]


def is_held_out_layout(layout: Layout) -> bool:
    """Whether positions and sizes in pixels, together, belong to the held-out sets."""
    return zlib.crc32(repr(layout).encode()) % _LAYOUT_CLASSES == 0


class Sampler:
    """Draws words, fonts, colours and layouts that the example's split may use.

    Attributes:
      split: "train", "validation" or "test".
      index: the example's number in its split.
      progress: index as a share of the split, 0 at the first example; for curricula.
      held_out: whether the split is one of the two that training must not resemble by heart.
      rng: the source of every choice.
      layouts: the layouts that were used, for tests.
    """

    def __init__(self, dataset: str, split: str, index: int, count: int) -> None:
        digest = hashlib.blake2b(f"{dataset}/{split}/{index}".encode(), digest_size=8).digest()
        self.rng = random.Random(int.from_bytes(digest, "big"))
        self.split = split
        self.index = index
        self.progress = index / count
        self.held_out = split != "train"
        self.faces = fonts.HELD_OUT_FONTS if self.held_out else fonts.TRAIN_FONTS
        self.layouts: list[Layout] = []
        self.used_fonts: set[str] = set()

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.rng.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.rng.random() < probability

    def pick(self, options: Sequence[_T]) -> _T:
        """One of the options."""
        return options[int(self.rng.random() * len(options))]

    def some(self, options: Sequence[_T], count: int) -> list[_T]:
        """`count` different ones, in random order."""
        return self.rng.sample(options, count)

    def word(self, low: int, high: int) -> str:
        """A pseudo-word of the split, of low to high letters."""
        return words.draw_word(self.rng, self.integer(low, high), self.split)

    def distinct_words(self, count: int, low: int, high: int) -> list[str]:
        """Different pseudo-words of the split."""
        found: list[str] = []
        while len(found) < count:
            word = self.word(low, high)
            if word not in found:
                found.append(word)
        return found

    def font(self, low: int, high: int) -> fonts.Font:
        """A font of the split's files, low to high pixels in size."""
        face = self.pick(self.faces)
        self.used_fonts.add(face[0])
        return fonts.load_font(face, self.integer(low, high))

    def paper(self) -> tuple[int, int, int]:
        """A light background, white or tinted."""
        base = self.integer(232, 255)
        red, green, blue = (max(224, base - self.integer(0, 14)) for _ in range(3))
        return red, green, blue

    def ink(self) -> tuple[int, int, int]:
        """A dark colour for print: black, or deep blue, green, red ..."""
        base = self.integer(0, 40)
        red, green, blue = (base + self.integer(0, 55) for _ in range(3))
        return red, green, blue

    def shade(self, color: str) -> tuple[int, int, int]:
        """A shade of a named colour."""
        red, green, blue = (
            min(255, max(0, channel + self.integer(-14, 14))) for channel in words.COLORS[color]
        )
        return red, green, blue

    def layout(self, propose: Callable[[], Layout | None]) -> Layout:
        """Proposes until a layout of this split is found; None is a failed proposal."""
        for _ in range(10_000):
            layout = propose()
            if layout is not None and is_held_out_layout(layout) == self.held_out:
                self.layouts.append(layout)
                return layout
        raise AssertionError("a layout was asked for that cannot be placed")

    def tile_size(self) -> tuple[int, int]:
        """(height, width) of a picture of one tile: mostly 48 x 48, else one side shorter."""
        kind = self.rng.random()
        if kind < 0.7:
            return 48, 48
        shorter = self.integer(36, 47)
        return (shorter, 48) if kind < 0.9 else (48, shorter)
