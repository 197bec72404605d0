"""Arrays inside one JSON object, element by element: a file of gigabytes in a little memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from mm15_jax.data.source import Source

_BLOCK = 4 * 2**20  # bytes read at a time
_SPACE = " \t\n\r"
_BEHIND = frozenset(",:]}" + _SPACE)  # what may follow a value


def array_elements(source: Source, file: str, keys: Collection[str]) -> Iterator[tuple[str, Any]]:
    """(key, element) for each element of the named arrays of the file's top object, in file order.

    Args:
      source: where the file is.
      file: a JSON file with an object at its top.
      keys: members whose elements are wanted; others are passed over.

    Raises:
      ValueError: if the file is no such object, is cut, or a named member is no array.
    """
    with source.open(file) as stream:
        text = _Text(stream)
        try:
            text.expect("{")
            while text.peek() != "}":
                key = text.value()
                text.expect(":")
                if key in keys:
                    text.expect("[")
                    while text.peek() != "]":
                        yield key, text.value()
                        text.separator("]")
                    text.expect("]")
                else:
                    text.value()
                text.separator("}")
        except ValueError as error:
            raise ValueError(
                f"{file} in {source.url} is no JSON object with arrays {', '.join(keys)}: {error}"
            ) from error


class _Text:
    """A stream of JSON text that is decoded value by value."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._scan = json.JSONDecoder().raw_decode
        self._text, self._place, self._ended = "", 0, False

    def _more(self) -> None:
        block = self._stream.read(_BLOCK)
        self._ended = not block
        self._text = self._text[self._place :] + self._decode(block, final=self._ended)
        self._place = 0

    def peek(self) -> str:
        """The next character that is no space."""
        while True:
            while self._place < len(self._text):
                if self._text[self._place] not in _SPACE:
                    return self._text[self._place]
                self._place += 1
            if self._ended:
                raise ValueError("it ends too early")
            self._more()

    def expect(self, character: str) -> None:
        if self.peek() != character:
            raise ValueError(f"expected {character!r}, found {self._text[self._place :][:40]!r}")
        self._place += 1

    def separator(self, end: str) -> None:
        """A comma, unless the end follows."""
        if self.peek() != end:
            self.expect(",")

    def value(self) -> Any:
        self.peek()
        while True:
            try:
                value, end = self._scan(self._text, self._place)
            except ValueError:
                if self._ended:
                    raise
            else:
                # A number near the end of the block may go on in the next: "12" is then read of
                # "12.5", and "." follows it.
                if self._text[end : end + 1] in _BEHIND or self._ended:
                    self._place = end
                    return value
            self._more()
