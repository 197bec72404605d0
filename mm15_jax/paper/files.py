"""Readers of the files in assets/."""

from __future__ import annotations

import csv
import importlib.resources
import tomllib
from typing import Any

_ASSETS = importlib.resources.files("mm15_jax.paper") / "assets"


def read_csv(name: str) -> list[dict[str, str]]:
    """Rows of a CSV file with a line of heads."""
    return list(csv.DictReader((_ASSETS / name).read_text(encoding="utf-8").splitlines()))


def read_toml(name: str) -> dict[str, Any]:
    """The content of a TOML file."""
    return tomllib.loads((_ASSETS / name).read_text(encoding="utf-8"))
