"""How screens look: colours and corners. Training and held-out share no theme."""

from __future__ import annotations

from dataclasses import dataclass

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Theme:
    """Colours of a screen.

    Attributes:
      name: of the theme.
      page: behind everything.
      surface: of bars, cards and fields.
      ink: of text and icons.
      line: of separators, outlines and what is switched off.
      accent: of buttons and what is switched on.
      radius: of corners of cards and buttons, in pixels.
      coloured_bar: whether Android's title bar has the accent.
    """

    name: str
    page: Rgb
    surface: Rgb
    ink: Rgb
    line: Rgb
    accent: Rgb
    radius: int
    coloured_bar: bool = False

    @property
    def on_accent(self) -> Rgb:
        """Of text on the accent: white, or black where the accent is light."""
        red, green, blue = self.accent
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 165
        return (20, 20, 24) if light else (255, 255, 255)


TRAIN_THEMES = (
    Theme(
        "snow", (242, 242, 247), (255, 255, 255), (16, 16, 20),
        (206, 206, 212), (0, 122, 255), 5,
    ),
    Theme(
        "paper", (255, 255, 255), (255, 255, 255), (32, 32, 36),
        (214, 214, 214), (98, 0, 238), 2,
    ),
    Theme(
        "mint", (236, 247, 240), (255, 255, 255), (18, 40, 30),
        (200, 220, 208), (0, 150, 90), 8,
    ),
    Theme(
        "sand", (247, 241, 230), (255, 252, 245), (52, 38, 22),
        (222, 208, 186), (200, 96, 20), 4,
    ),
    Theme(
        "rose", (252, 238, 242), (255, 255, 255), (58, 16, 34),
        (236, 206, 216), (216, 27, 96), 7,
    ),
    Theme(
        "slate", (228, 232, 238), (246, 248, 250), (30, 41, 59),
        (190, 200, 212), (51, 65, 85), 3,
    ),
    Theme(
        "sky", (232, 244, 252), (255, 255, 255), (12, 36, 60),
        (196, 218, 236), (2, 132, 199), 6, True,
    ),
    Theme(
        "brick", (245, 240, 238), (255, 255, 255), (50, 20, 16),
        (220, 206, 202), (183, 40, 28), 2, True,
    ),
    Theme(
        "lime", (244, 248, 232), (255, 255, 255), (34, 44, 14),
        (212, 222, 188), (124, 179, 66), 9, True,
    ),
    Theme(
        "iris", (240, 240, 252), (255, 255, 255), (30, 24, 70),
        (208, 206, 236), (92, 72, 220), 5, True,
    ),
    Theme(
        "night", (0, 0, 0), (28, 28, 30), (245, 245, 247),
        (72, 72, 76), (10, 132, 255), 5,
    ),
    Theme(
        "coal", (18, 18, 18), (36, 36, 38), (232, 232, 232),
        (80, 80, 84), (187, 134, 252), 3,
    ),
    Theme(
        "deep", (12, 20, 36), (24, 36, 58), (226, 236, 250),
        (66, 84, 112), (56, 189, 148), 7,
    ),
)  # fmt: skip
HELD_OUT_THEMES = (
    Theme(
        "cream", (250, 246, 238), (255, 254, 250), (40, 32, 24),
        (216, 208, 194), (14, 116, 144), 6,
    ),
    Theme(
        "lilac", (246, 240, 250), (255, 255, 255), (44, 22, 58),
        (220, 206, 230), (147, 51, 180), 4, True,
    ),
    Theme(
        "fog", (234, 236, 236), (250, 252, 252), (24, 34, 34),
        (196, 204, 204), (20, 110, 80), 8,
    ),
    Theme(
        "amber", (252, 247, 232), (255, 255, 255), (56, 42, 8),
        (228, 216, 182), (217, 119, 6), 3, True,
    ),
    Theme(
        "dusk", (16, 14, 24), (34, 30, 46), (238, 234, 246),
        (82, 76, 98), (244, 114, 96), 6,
    ),
)  # fmt: skip
