"""Screens of six kinds, laid out as iOS and Android lay them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mm15_jax.data.miniature.sampling import Layout, Sampler
from mm15_jax.data.miniature.ui import icons
from mm15_jax.data.miniature.ui.themes import HELD_OUT_THEMES, TRAIN_THEMES, Rgb
from mm15_jax.data.miniature.ui.widgets import CHECKBOX, SWITCH, VIEW, Element, Screen
from mm15_jax.data.miniature.words import COLORS

PLATFORMS = ("ios", "android")
HEIGHT = 96
WIDTHS = (64, 72, 96)  # phones, and a tablet; two by two sub-images of 48 pixels
ROWS = (17, 19, 22)  # heights of a row: compact, regular, roomy

_STATUS, _TITLE = 6, 15  # heights of the status bar and of the title bar
_TABS, _INDICATOR, _NAVIGATION = 17, 5, 7  # what is at the bottom: iOS's two, and Android's
_MARGIN = {"ios": 3, "android": 0}  # of cards, which iOS insets
_PRINT = (10, 12)  # pixels of print
_LETTERS = (3, 4)  # of a word


@dataclass(frozen=True)
class Drawn:
    """A screen, what is on it, and what it is."""

    screen: Screen
    summary: str

    @property
    def elements(self) -> list[Element]:
        """All of the screen's, in reading order."""
        return self.screen.elements


class _Hand:
    """What a kind of screen draws from: words and icons that come once on a screen.

    Attributes:
      top: where the screen's own part begins.
      bottom: where it ends.
    """

    top = _STATUS + _TITLE

    def __init__(self, sampler: Sampler, screen: Screen, row: int, tabs: bool):
        self.sampler, self.screen, self.row = sampler, screen, row
        self.tabs = tabs and screen.platform == "ios"
        at_bottom = _TABS if self.tabs else _INDICATOR
        self.bottom = HEIGHT - (_NAVIGATION if screen.platform == "android" else at_bottom)
        self._icons = sampler.some(icons.NAMES, len(icons.NAMES))
        self._words: list[str] = []

    def icon(self) -> str:
        """One that is not on the screen yet."""
        return self._icons.pop()

    def word(self, room: int = 34) -> str:
        """One whose first letter no other has, at most so many pixels wide."""
        while True:
            word = self.sampler.word(*_LETTERS)
            if all(word[0] != other[0] for other in self._words) and self.screen.fits(word) <= room:
                self._words.append(word)
                return word


def part(sampler: Sampler, drawn: Drawn, side: int) -> Drawn | None:
    """A square of a screen with those elements that are whole in it; None if it has none.

    In every other one, one element alone is left on plain ground.
    """
    screen = drawn.screen
    small = [e for e in drawn.elements if max(e.box[2] - e.box[0], e.box[3] - e.box[1]) <= side]
    if not small:
        return None
    chosen = sampler.pick(small)
    x1, y1, x2, y2 = chosen.box
    left = sampler.integer(max(0, x2 - side), min(x1, screen.width - side))
    top = sampler.integer(max(0, y2 - side), min(y1, HEIGHT - side))
    found = Screen(screen.platform, screen.theme, screen.style, screen.font, (side, side))
    found.pixels[:] = screen.pixels[top : top + side, left : left + side]
    inside = [_shifted(element, left, top) for element in drawn.elements]
    found.elements = [e for e in inside if min(e.box) >= 0 and max(e.box) <= side]
    if sampler.chance(0.5):
        chosen = _shifted(chosen, left, top)
        x1, y1, x2, y2 = chosen.box
        alone = found.pixels[y1:y2, x1:x2].copy()
        found.pixels[:] = alone[0, 0]
        found.pixels[y1:y2, x1:x2] = alone
        found.elements = [chosen]
    return Drawn(found, drawn.summary)


def _shifted(element: Element, left: int, top: int) -> Element:
    x1, y1, x2, y2 = element.box
    return Element(element.widget, (x1 - left, y1 - top, x2 - left, y2 - top), element.says)


def is_title(element: Element) -> bool:
    """Whether an element stands in the title bar."""
    return element.box[3] <= _STATUS + _TITLE


def draw(sampler: Sampler, platform: str) -> Drawn:
    """A screen of any kind, in a theme, font, icon set, size and density of the split."""
    held_out = sampler.held_out
    theme = sampler.pick(HELD_OUT_THEMES if held_out else TRAIN_THEMES)
    style = sampler.pick(icons.styles(held_out=held_out))
    font = sampler.font(*_PRINT)
    kind = sampler.pick(tuple(_KINDS))

    def propose() -> Layout:
        # What follows from these numbers is the layout: size, density, and choices within a kind.
        return (
            sampler.pick(WIDTHS), sampler.pick(ROWS), tuple(_KINDS).index(kind),
            PLATFORMS.index(platform), *(sampler.integer(0, 11) for _ in range(6)),
        )  # fmt: skip

    width, row, _, _, *choices = sampler.layout(propose)
    screen = Screen(platform, theme, style, font, (HEIGHT, width))
    hand = _Hand(sampler, screen, row, tabs=kind not in ("dialog", "home"))
    _bars(hand)
    summary = _KINDS[kind](hand, choices)
    screen.elements.sort(key=lambda e: (e.box[1], e.box[0]))
    return Drawn(screen, summary)


def _bars(hand: _Hand) -> None:
    """The status bar, the title bar with its word, and what the platform has at the bottom."""
    screen, top = hand.screen, hand.top
    theme, width = screen.theme, screen.width
    android = screen.platform == "android"
    coloured = android and theme.coloured_bar
    bar, ink = (theme.accent, theme.on_accent) if coloured else (theme.surface, theme.ink)
    screen.fill((0, 0, width, top), bar)
    # The clock at the left, reception and battery at the right: too small to be read.
    for x1, x2 in ((4, 6), (7, 9), (10, 12)) if not android else ((3, 5), (6, 8)):
        screen.fill((x1, 2, x2, 5), ink)
    for k in range(3):
        screen.fill((width - 18 + 3 * k, 4 - k, width - 16 + 3 * k, 5), ink)
    screen.fill((width - 8, 2, width - 3, 5), ink)
    middle = _STATUS + _TITLE // 2
    word = hand.word()
    x = 18 if android else (width - screen.fits(word)) // 2
    _arrow(screen, 5, middle, ink if android else theme.accent, android)
    screen.add("text", screen.print(x, middle, word, ink), word)
    if not coloured:
        screen.fill((0, top - 1, width, top), theme.line)
    if android:
        screen.fill((0, hand.bottom, width, HEIGHT), theme.surface)
        middle = (hand.bottom + HEIGHT) // 2
        for part, side in ((1, 4), (2, 5), (3, 4)):
            x = width * part // 4
            box = (
                x - side // 2,
                middle - side // 2,
                x - side // 2 + side,
                middle - side // 2 + side,
            )
            screen.fill(box, theme.ink, side / 2 if part == 2 else 0)
        return
    if hand.tabs:
        screen.fill((0, hand.bottom, width, HEIGHT), theme.surface)
        screen.fill((0, hand.bottom, width, hand.bottom + 1), theme.line)
        chosen = hand.sampler.integer(0, 2)
        for k in range(3):
            color = theme.accent if k == chosen else theme.ink
            x = (2 * k + 1) * width // 6 - VIEW // 2
            screen.icon(x, hand.bottom + 9, hand.icon(), color)
    else:
        screen.fill((width // 3, HEIGHT - 3, width - width // 3, HEIGHT - 2), theme.ink)


def _arrow(screen: Screen, x: int, middle: int, color: Rgb, shaft: bool) -> None:
    """The arrow that leads back: a hook on iOS, with a shaft on Android."""
    for step in range(5):
        for sign in (-1, 1):
            y = middle + sign * step
            screen.fill((x + step, y - 1, x + step + 2, y + 1), color)
    if shaft:
        screen.fill((x, middle - 1, x + 9, middle + 1), color)


def _list(hand: _Hand, choices: Sequence[int]) -> str:
    """Rows of an icon, a word and perhaps a control."""
    screen, margin = hand.screen, _MARGIN[hand.screen.platform]
    top = hand.top + margin + 2 * (choices[0] % 2)
    with_icons = choices[1] % 3 > 0
    count = min((hand.bottom - margin - top) // hand.row, 2 + choices[2] % 3)
    card = (margin, top, screen.width - margin, top + count * hand.row)
    screen.fill(card, screen.theme.surface, screen.theme.radius if margin else 0)
    control = ("switch", "checkbox", "none")[choices[3] % 3]
    left, right = margin + 2, screen.width - margin - 2
    room = right - left - 4 - (VIEW if with_icons else 0)
    room -= {"switch": SWITCH[0] + 2, "checkbox": CHECKBOX + 2, "none": 0}[control]
    if room < 26:  # a narrow phone has either
        control, room = "none", room + CHECKBOX
    # One row in particular, or every other, has one.
    chosen = {choices[4] % count}
    if choices[5] % 2:
        chosen = {k for k in range(count) if (k + choices[4]) % 2}
    controls = 0
    for k in range(count):
        middle = top + k * hand.row + hand.row // 2
        if k:
            line = top + k * hand.row
            screen.fill((left + 2, line, card[2], line + 1), screen.theme.line)
        x = left + 2
        if with_icons:
            screen.icon(left, middle, hand.icon(), screen.theme.accent if margin else None)
            x += VIEW
        screen.text(x, middle, hand.word(min(room, 34)))
        if control != "none" and k in chosen:
            controls += 1
            getattr(screen, control)(right, middle, hand.sampler.chance(0.5))
    summary = f"list of {count}"
    return f"{summary}, {controls} with {control}" if controls else summary


def _form(hand: _Hand, choices: Sequence[int]) -> str:
    """Fields to fill in, perhaps a box to tick, and a button."""
    screen, bottom = hand.screen, hand.bottom
    high, gap = hand.row - 2, 2 + choices[0] % 2
    pitch = high + gap
    y = hand.top + gap
    count = min(1 + choices[1] % 3, (bottom - y) // pitch - 1)
    left = 4 + 2 * (choices[2] % 2)
    right = screen.width - left
    for _ in range(count):
        screen.input((left, y, right, y + high), hand.word())
        y += pitch
    if choices[3] % 2 and y + pitch + high <= bottom:
        middle = y + high // 2
        screen.checkbox(left + CHECKBOX, middle, hand.sampler.chance(0.5))
        screen.text(left + CHECKBOX + 4, middle, hand.word())
        y += pitch
    wide = choices[4] % 2
    screen.button((left if wide else right - 42, y, right, y + high), hand.word())
    return f"screen with {count} input and button"


def _player(hand: _Hand, choices: Sequence[int]) -> str:
    """A picture, its title, a slider, and on Android icons."""
    screen = hand.screen
    android = screen.platform == "android"
    high = hand.bottom - hand.top - 3 - 16 - 11 - (17 if android else 0) - choices[0] % 4
    wide = min(screen.width - 12, 40 + 8 * (choices[1] % 4))
    left = (screen.width - wide) // 2
    y = hand.top + 3
    _photograph(hand, (left, y, left + wide, y + high))
    y += high
    word = hand.word()
    x = left if choices[2] % 2 else (screen.width - screen.fits(word)) // 2
    screen.text(x, y + 8, word)
    y += 16
    screen.slider((8, y, screen.width - 8, y + 10), 0.15 + 0.07 * choices[3])
    if android:
        for k in range(3):
            x = (2 * k + 1) * screen.width // 6 - VIEW // 2
            screen.icon(x, y + 19, hand.icon())
    return "music screen"


def _home(hand: _Hand, choices: Sequence[int]) -> str:
    """Icons on tiles, two or three a row."""
    screen = hand.screen
    columns = 2 + choices[0] % 2
    side = VIEW + 2
    across = screen.width // columns
    rows = min(2 + choices[1] % 2, len(icons.NAMES) // columns)
    down = (hand.bottom - hand.top - 2 - choices[2] % 4) // rows
    for row in range(rows):
        for column in range(columns):
            x = column * across + (across - side) // 2
            y = hand.top + 1 + choices[2] % 4 + row * down + (down - side) // 2
            screen.fill((x, y, x + side, y + side), screen.theme.surface, screen.theme.radius)
            screen.icon(x + 1, y + side // 2, hand.icon())
    return f"home screen of {rows * columns}"


def _dialog(hand: _Hand, choices: Sequence[int]) -> str:
    """A question over a page that is dimmed: a word, perhaps one more, and buttons."""
    screen = hand.screen
    screen.elements.clear()  # what is behind it cannot be used
    screen.pixels[:] = (screen.pixels * 0.55).astype(screen.pixels.dtype)
    lines, buttons = 1 + choices[0] % 2, 1 + choices[1] % 2
    high = 5 + 16 * lines + hand.row
    left = 3 + choices[2] % 2
    right = screen.width - left
    y = hand.top + (hand.bottom - hand.top - high) * (1 + choices[3] % 3) // 4
    theme = screen.theme
    screen.fill((left, y, right, y + high), theme.surface, theme.radius)
    for k in range(lines):
        word = hand.word()
        centred = (screen.width - screen.fits(word)) // 2
        x = centred if screen.platform == "ios" else left + 6
        screen.text(x, y + 10 + 16 * k, word)
    line = y + high - hand.row
    half = (right - left) // 2
    if screen.platform == "ios":  # buttons share the width
        screen.fill((left, line, right, line + 1), theme.line)
        edges = [left, left + half, right] if buttons == 2 else [left, right]
        for k in range(buttons):
            box = (edges[k], line + 1, edges[k + 1], y + high)
            screen.button(box, hand.word(half - 2), filled=False)
        if buttons == 2:
            screen.fill((edges[1], line, edges[1] + 1, y + high), theme.line)
    else:  # buttons at the right
        for k in range(buttons):
            x = right - (half - 1) * (buttons - k)
            box = (x, line, x + half - 3, y + high - 3)
            filled = k == buttons - 1 and choices[4] % 2 == 0
            screen.button(box, hand.word(half - 4), filled=filled)
    return f"menu with {buttons} button"


def _feed(hand: _Hand, choices: Sequence[int]) -> str:
    """Pictures with a word and an icon: below each, or beside it."""
    screen = hand.screen
    beside = choices[0] % 2
    high = 30 if beside else 24 + 4 * (choices[1] % 2)
    pitch = high + (3 if beside else 19)
    count = min(1 + choices[2] % 2, (hand.bottom - hand.top - 2) // pitch)
    left = 2 + 2 * (choices[3] % 2)
    middle = left + screen.width // 2 - 8
    for k in range(count):
        y = hand.top + 2 + k * pitch
        right = middle if beside else screen.width - left
        _photograph(hand, (left, y, right, y + high))
        if beside:
            screen.text(right + 4, y + 7, hand.word(screen.width - right - 6))
            screen.icon(right + 3, y + 22, hand.icon())
        else:
            screen.text(left + 2, y + high + 9, hand.word())
            screen.icon(screen.width - left - VIEW, y + high + 9, hand.icon())
    return f"image list of {count}"


def _photograph(hand: _Hand, box) -> None:
    sampler = hand.sampler
    sky, sun, ground = (sampler.shade(sampler.pick(names)) for names in _PALETTES)
    hand.screen.picture(box, (sky, sun, ground), sampler.integer(0, 60), sampler.integer(8, 60))


_PALETTES = (("blue", "purple"), ("yellow", "red"), ("green", "black"))
assert all(color in COLORS for palette in _PALETTES for color in palette)

_KINDS: dict[str, Callable[[_Hand, Sequence[int]], str]] = {
    "list": _list,
    "form": _form,
    "player": _player,
    "home": _home,
    "dialog": _dialog,
    "feed": _feed,
}
