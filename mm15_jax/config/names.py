"""Nearest valid names, for sentences that answer a mistyped one."""

import difflib
import functools
from collections.abc import Iterable


def nearest(name: str, valid: Iterable[str], count: int = 3) -> list[str]:
    """The valid names most like `name`, best first, whatever its case; one where any exists."""
    by_folded: dict[str, str] = {}
    for one in valid:
        by_folded.setdefault(one.casefold(), one)
    near = functools.partial(difflib.get_close_matches, name.casefold(), list(by_folded))
    return [by_folded[found] for found in near(count, cutoff=0.6) or near(1, cutoff=0.0)]


def unknown(kind: str, name: str, valid: Iterable[str]) -> ValueError:
    """The error for a name that does not exist: what was given, and what is near."""
    valid = list(valid)
    hint = " or ".join(repr(n) for n in nearest(name, valid))
    return ValueError(f"unknown {kind} {name!r}" + (f"; did you mean {hint}?" if hint else ""))
