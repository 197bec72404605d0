"""Widgets drawn on a screen, as iOS and Android have them, each with its exact box.

An element's box is that of its view, as a view hierarchy has it: a text's is as high as its line,
an icon's has its padding. Boxes are (x1, y1, x2, y2) in pixels; x2 and y2 are just outside.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from mm15_jax.data.miniature.drawing import Box, Rgb, encode_png, paint
from mm15_jax.data.miniature.fonts import Font
from mm15_jax.data.miniature.ui import icons
from mm15_jax.data.miniature.ui.themes import Theme
from mm15_jax.inputs.example import Image

ICON = 14  # pixels of an icon; its view has PADDING around it
PADDING = 1
VIEW = ICON + 2 * PADDING
LINE = 14  # height of a text's view
SWITCH = (20, 12)  # width, height
CHECKBOX = 14
TAPPABLE = ("button", "switch", "checkbox", "slider", "input", "icon")


@dataclass(frozen=True)
class Element:
    """A widget on a screen.

    Attributes:
      widget: "text", "image", or one of those that `TAPPABLE` names.
      box: of its view.
      says: what stands on it, or which icon it is; "" for others.
    """

    widget: str
    box: Box
    says: str = ""

    @property
    def center(self) -> tuple[float, float]:
        """(x, y) in pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    @property
    def tappable(self) -> bool:
        """Whether a tap does something."""
        return self.widget in TAPPABLE


@functools.lru_cache(maxsize=4096)
def rounded(width: int, height: int, radius: float) -> np.ndarray:
    """Coverage of a rectangle with round corners, uint8[height, width], anti-aliased."""
    radius = max(0.5, min(radius, width / 2, height / 2))
    y, x = np.mgrid[:height, :width] + 0.5
    across = np.maximum(np.abs(x - width / 2) - (width / 2 - radius), 0)
    down = np.maximum(np.abs(y - height / 2) - (height / 2 - radius), 0)
    outside = np.hypot(across, down) - radius
    return (255 * np.clip(0.5 - outside, 0, 1)).astype(np.uint8)


class Screen:
    """A screen in the making: pixels, and the elements drawn so far."""

    def __init__(self, platform: str, theme: Theme, style: int, font: Font, size: tuple[int, int]):
        """An empty page.

        Args:
          platform: "ios" or "android".
          theme: its colours.
          style: of its icons, see `icons.styles`.
          font: of its texts.
          size: (height, width) in pixels.
        """
        self.platform, self.theme, self.style, self.font = platform, theme, style, font
        self.height, self.width = size
        self.pixels = np.empty((*size, 3), np.uint8)
        self.pixels[:] = theme.page
        self.elements: list[Element] = []

    def image(self, role: str) -> Image:
        """The screen as a PNG segment."""
        return encode_png(self.pixels, role)

    def add(self, widget: str, box: Box, says: str = "") -> Element:
        """Notes an element."""
        x1, y1, x2, y2 = box
        assert 0 <= x1 < x2 <= self.width and 0 <= y1 < y2 <= self.height, (widget, box)
        self.elements.append(Element(widget, box, says))
        return self.elements[-1]

    def fill(self, box: Box, color: Rgb, radius: float = 0) -> None:
        """A filled rectangle."""
        x1, y1, x2, y2 = box
        paint(self.pixels, x1, y1, rounded(x2 - x1, y2 - y1, radius), color)

    def outline(self, box: Box, color: Rgb, inside: Rgb, radius: float, width: int = 1) -> None:
        """A rectangle with a border."""
        x1, y1, x2, y2 = box
        self.fill(box, color, radius)
        inner = (x1 + width, y1 + width, x2 - width, y2 - width)
        self.fill(inner, inside, max(0, radius - width))

    def fits(self, word: str) -> int:
        """Width of a word in pixels."""
        return self.font.ink(word).width

    def print(self, x: int, middle: int, word: str, color: Rgb) -> Box:
        """Prints a word whose line has its middle there; returns the text's view."""
        ink = self.font.ink(word)
        paint(self.pixels, x, middle - self.font.line_height // 2 + ink.top, ink.mask(), color)
        return x - 1, middle - LINE // 2, x + ink.width + 1, middle + LINE // 2

    def text(self, x: int, middle: int, word: str) -> Element:
        """A text that stands by itself."""
        return self.add("text", self.print(x, middle, word, self.theme.ink), word)

    def icon(self, x: int, middle: int, name: str, color: Rgb | None = None) -> Element:
        """An icon whose view begins at x."""
        top = middle - ICON // 2
        mask = icons.mask(name, self.style, ICON)
        paint(self.pixels, x + PADDING, top, mask, color or self.theme.ink)
        return self.add("icon", (x, top - PADDING, x + VIEW, top - PADDING + VIEW), name)

    def switch(self, right: int, middle: int, on: bool) -> Element:
        """A switch that ends at `right`: a pill on iOS, a knob on a thin track on Android."""
        width, height = SWITCH
        x, y = right - width, middle - height // 2
        track = self.theme.accent if on else self.theme.line
        if self.platform == "ios":
            knob = height - 2
            self.fill((x, y, right, y + height), track, height / 2)
            left = right - knob - 1 if on else x + 1
            self.fill((left, y + 1, left + knob, y + 1 + knob), (255, 255, 255), knob / 2)
        else:
            self.fill((x + 2, y + 3, right - 2, y + height - 3), self.theme.line, 3)
            left = right - height if on else x
            knob_color = self.theme.accent if on else self.theme.ink
            self.fill((left, y, left + height, y + height), knob_color, height / 2)
        return self.add("switch", (x, y, right, y + height))

    def checkbox(self, right: int, middle: int, on: bool) -> Element:
        """A box to tick: round on iOS, square on Android."""
        x, y = right - CHECKBOX, middle - CHECKBOX // 2
        box = (x + 1, y + 1, right - 1, y + CHECKBOX - 1)
        radius = CHECKBOX / 2 if self.platform == "ios" else 2
        if on:
            self.fill(box, self.theme.accent, radius)
            self._tick(x, y, self.theme.on_accent)
        else:
            self.outline(box, self.theme.ink, self.theme.surface, radius, 2)
        return self.add("checkbox", (x, y, right, y + CHECKBOX))

    def _tick(self, x: int, y: int, color: Rgb) -> None:
        # Pixels of a tick: down to the right, then up.
        for step in range(3):
            self.fill((x + 3 + step, y + 6 + step, x + 5 + step, y + 8 + step), color)
        for step in range(5):
            self.fill((x + 6 + step, y + 7 - step, x + 8 + step, y + 9 - step), color)

    def slider(self, box: Box, share: float) -> Element:
        """A slider, its knob at a share of its length."""
        x1, y1, x2, y2 = box
        middle, knob = (y1 + y2) // 2, y2 - y1
        at = x1 + round((x2 - x1 - knob) * share)
        self.fill((x1, middle - 2, x2, middle + 2), self.theme.line, 2)
        self.fill((x1, middle - 2, at + knob // 2, middle + 2), self.theme.accent, 2)
        if self.platform == "ios":
            self.outline((at, y1, at + knob, y2), self.theme.line, (255, 255, 255), knob / 2)
        else:
            self.fill((at, y1, at + knob, y2), self.theme.accent, knob / 2)
        return self.add("slider", box)

    def input(self, box: Box, word: str) -> Element:
        """A field to write into: filled on iOS, outlined on Android; a word stands in it."""
        if self.platform == "ios":
            self.outline(box, self.theme.line, self.theme.surface, self.theme.radius)
        else:
            self.outline(box, self.theme.ink, self.theme.surface, 2)
        self.print(box[0] + 5, (box[1] + box[3]) // 2, word, self.theme.ink)
        return self.add("input", box, word)

    def button(self, box: Box, word: str, filled: bool = True) -> Element:
        """A button with a word in its middle: filled, or the word alone."""
        color = self.theme.accent
        if filled:
            round_ = self.theme.radius if self.platform == "ios" else max(3, self.theme.radius)
            self.fill(box, color, round_)
            color = self.theme.on_accent
        width = self.fits(word)
        self.print((box[0] + box[2] - width) // 2, (box[1] + box[3]) // 2, word, color)
        return self.add("button", box, word)

    def picture(self, box: Box, colors: tuple[Rgb, Rgb, Rgb], hill: int, sun: int) -> Element:
        """A photograph: sky that fades, a sun, a hill."""
        x1, y1, x2, y2 = box
        height, width = y2 - y1, x2 - x1
        sky, sunlight, ground = (np.array(c, float) for c in colors)
        fade = np.linspace(0, 1, height)[:, None, None]
        part = sky + (255 - sky) * 0.6 * fade + np.zeros((height, width, 1))
        y, x = np.mgrid[:height, :width]
        side = max(5, height // 5)
        disc = np.hypot(x - sun % width, y - height // 4) < side
        part[disc] = sunlight
        slope = height * 0.6 + height * 0.18 * np.sin((x + hill) / width * 5.0)
        part[y > slope] = ground
        self.pixels[y1:y2, x1:x2] = part.astype(np.uint8)
        return self.add("image", box)
