"""`--set a.b=c`: typed changes of single fields of a config."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import types
import typing
from collections.abc import Iterable

from mm15_jax.config.names import unknown
from mm15_jax.config.schema import ExperimentConfig


def apply_overrides(config, assignments: Iterable[str]):
    """Copy of a frozen dataclass with `key.path=value` assignments applied in order.

    Values are read by the field's declared type. Raises ValueError, in one sentence that names the
    nearest valid key or the expected type, for an unknown key or an ill-typed value.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(
                f"--set {assignment!r} has no '='; write key=value, as in train.steps=10"
            )
        config = _replace(config, key.strip(), text.strip(), key.strip())
    return config


def set_by_hand(config: ExperimentConfig, assignments: Iterable[str]) -> ExperimentConfig:
    """`apply_overrides` of an experiment, which then knows what was given: see `was_given`."""
    assignments = list(assignments)
    names = [assignment.partition("=")[0].strip() for assignment in assignments]
    changed = apply_overrides(config, assignments)
    return dataclasses.replace(changed, given=(*vars(config)["given"], *names))


def _replace(config, path: str, text: str, whole: str):
    head, _, rest = path.partition(".")
    hints = typing.get_type_hints(type(config))
    if head not in {field.name for field in dataclasses.fields(config)}:
        prefix = whole[: len(whole) - len(path)]
        raise unknown("key", whole, [prefix + key for key in keys(config)])
    value = getattr(config, head)
    if rest:
        if not dataclasses.is_dataclass(value):
            parent = whole[: len(whole) - len(rest) - 1]
            raise ValueError(
                f"key {whole!r} goes too deep: {parent!r} is a {_type_name(hints[head])}"
            )
        return dataclasses.replace(config, **{head: _replace(value, rest, text, whole)})
    if dataclasses.is_dataclass(value):
        names = ", ".join(f"{whole}.{field.name}" for field in dataclasses.fields(value))
        raise ValueError(f"key {whole!r} is a group; set one of its fields: {names}")
    return dataclasses.replace(config, **{head: _parse(text, hints[head], whole)})


def keys(config, prefix: str = "") -> list[str]:
    """Every dotted key of a config that can be set."""
    found = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found += keys(value, f"{prefix}{field.name}.")
        else:
            found.append(prefix + field.name)
    return found


def value_of(config, key: str):
    """The value of a dotted key of a config."""
    return functools.reduce(getattr, key.split("."), config)


def _type_name(kind) -> str:
    if typing.get_origin(kind) is tuple:
        return "comma-separated list"
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}.get(
        kind, getattr(kind, "__name__", str(kind))
    )


def _parse(text: str, kind, key: str):
    try:
        return _convert(text, kind)
    except (ValueError, KeyError, TypeError, OverflowError):
        raise ValueError(f"--set {key}={text}: expected a {_type_name(kind)}") from None


def _convert(text: str, kind):
    origin = typing.get_origin(kind)
    if origin is tuple:
        element, *rest = typing.get_args(kind)
        if text[:1] + text[-1:] in ("()", "[]"):  # a folder may end with one of them
            text = text[1:-1]
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if parts == ["none"] and rest == [Ellipsis]:
            return ()
        if dataclasses.is_dataclass(element):  # such as InitFrom, by its first field
            return tuple(typing.cast(type, element)(part) for part in parts)
        if rest and rest[0] is not Ellipsis and len(parts) != 1 + len(rest):
            raise ValueError(text)
        return tuple(_convert(part, element) for part in parts)
    if origin in (typing.Union, types.UnionType):
        return None if text.lower() == "none" else _convert(text, typing.get_args(kind)[0])
    if kind is bool:
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
            text.lower()
        ]
    if kind is int:
        with contextlib.suppress(ValueError):
            return int(text)  # exactly: a float has 53 bits
        value = float(text.replace("_", ""))  # such as 1e3
        if value != int(value):
            raise ValueError(text)
        return int(value)
    if kind is float and not math.isfinite(float(text)):
        raise ValueError(text)
    return kind(text)
