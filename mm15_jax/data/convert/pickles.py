"""Pickles that data sets publish, read as plain data: never as the programs that they are."""

from __future__ import annotations

import io
import pickle
from typing import Any

from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source

MAX_BYTES = 512 * 2**20
# Containers that are written as a call of their class; all other plain data has opcodes.
_CONTAINERS = {"set": set, "frozenset": frozenset}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name in _CONTAINERS:
            return _CONTAINERS[name]
        raise DataError(
            f"it asks for {module}.{name}; only lists, tuples, dicts, sets, strings and numbers are"
            " read from a pickle, never code"
        )


def restricted_unpickle(source: Source, file: str, encoding: str = "latin1") -> Any:
    """What a pickle holds, where that is lists, tuples, dicts, sets, strings and numbers alone.

    Args:
      source: where the file is.
      file: its name in the source.
      encoding: of the strings of Python 2; "latin1" reads any byte, "bytes" leaves them bytes.

    Raises:
      DataError: if the pickle names any class or function, is damaged, or is over 512 MB.
    """
    if source.size(file) > MAX_BYTES:
        raise DataError(f"the pickle {file} has more than {MAX_BYTES:,} bytes")
    try:
        return _Plain(io.BytesIO(source.read(file)), encoding=encoding).load()
    except DataError as error:
        raise DataError(f"the pickle {file} is refused: {error}") from None
    # What pickle documents that damaged data may raise, and a BUILD of a plain object.
    except (
        pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError,
        ValueError, OverflowError, MemoryError,
    ) as error:  # fmt: skip
        raise DataError(f"the pickle {file} is damaged: {type(error).__name__}: {error}") from error
