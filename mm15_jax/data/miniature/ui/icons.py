"""The icons of the miniature's screens: real ones, of sets that training and held-out do not share.

`assets/icons.png` has a row for each style of a set and a column for each name; `assets/icons.json`
says of each row which set it is, its licence and its split. `scripts/make_ui_icons.py` makes both.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

import cv2
import numpy as np

NAMES = ("settings", "search", "home", "mail", "cart", "bell", "user", "camera")
SIDE = 36  # pixels of an icon on the sheet; it is drawn smaller
_ASSETS = Path(__file__).with_name("assets")
SHEET = _ASSETS / "icons.png"
TABLE = _ASSETS / "icons.json"


@functools.cache
def styles(*, held_out: bool) -> tuple[int, ...]:
    """Numbers of the styles, rows of the sheet, that a split may use."""
    split = "held_out" if held_out else "train"
    rows = json.loads(TABLE.read_text())
    return tuple(number for number, row in enumerate(rows) if row["split"] == split)


@functools.cache
def _sheet() -> np.ndarray:
    sheet = cv2.imread(str(SHEET), cv2.IMREAD_GRAYSCALE)
    assert sheet is not None and sheet.shape[1] == SIDE * len(NAMES), "icons.png is damaged"
    return sheet


@functools.lru_cache(maxsize=4096)
def mask(name: str, style: int, side: int) -> np.ndarray:
    """Coverage of an icon, uint8[side, side].

    Args:
      name: one of `NAMES`.
      style: a number of `styles`.
      side: in pixels, at most `SIDE`.
    """
    x, y = NAMES.index(name) * SIDE, style * SIDE
    icon = _sheet()[y : y + SIDE, x : x + SIDE]
    return cv2.resize(icon, (side, side), interpolation=cv2.INTER_AREA)
