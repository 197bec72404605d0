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


def from_dict(kind, values: dict, key: str = ""):
    """The dataclass `kind` from what `to_dict` gave, of which fields may be left out.

    Args:
      kind: a dataclass of the schema.
      values: by field.
      key: where they stand in the whole config, for messages.

    Raises:
      ValueError: on a field it does not have, or a value of another type, naming its key.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{key or 'the config'} is {values!r:.60}; expected a group of fields")
    hints = typing.get_type_hints(kind)
    unknown = set(values) - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {sorted(unknown)[0]!r}")
    prefix = f"{key}." if key else ""
    return kind(
        **{name: _typed(value, hints[name], prefix + name) for name, value in values.items()}
    )


# What JSON has for a field's type. A number may be of either kind: Python's configs may mix them.
_OF_JSON: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool, int), "true or false"),
    int: ((int, float), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "a text"),
}


def _typed(value, kind, key: str):
    if dataclasses.is_dataclass(kind):
        return from_dict(kind, value, key)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{key} is {value!r:.60}; expected a list")
        element = typing.get_args(kind)[0]
        return tuple(_typed(item, element, f"{key}[{i}]") for i, item in enumerate(value))
    types, name = _OF_JSON.get(kind, ((object,), ""))
    if not isinstance(value, types):
        raise ValueError(f"{key} is {value!r:.60}; expected {name}")
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
