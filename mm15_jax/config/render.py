"""A config as JSON and as text, and back: for `mm15 show`, run directories and golden tests."""

from __future__ import annotations

import dataclasses
import typing


def to_dict(config) -> dict:
    """Nested dict of JSON types."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def _plain(value):
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def from_dict(kind, values: dict):
    """The dataclass `kind` from what `to_dict` gave; ValueError on a field it does not have."""
    hints = typing.get_type_hints(kind)
    unknown = set(values) - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {sorted(unknown)[0]!r}")
    return kind(**{name: _typed(value, hints[name]) for name, value in values.items()})


def _typed(value, kind):
    if dataclasses.is_dataclass(kind):
        return from_dict(kind, value)
    if typing.get_origin(kind) is tuple:
        element = typing.get_args(kind)[0]
        return tuple(_typed(item, element) for item in value)
    return value


def to_text(config, prefix: str = "") -> str:
    """One `key = value` line a field, in the order of the schema: what golden tests compare."""
    lines = []
    for field in dataclasses.fields(config):
        value, key = getattr(config, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            lines.append(to_text(value, key + "."))
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            lines += [to_text(item, f"{key}[{i}].") for i, item in enumerate(value)]
        else:
            lines.append(f"{key} = {value!r}")
    return "\n".join(lines)
