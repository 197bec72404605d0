"""JSON read value by value: a file of gigabytes in a little memory."""

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
                    text.skip()
                text.separator("}")
        except ValueError as error:
            raise ValueError(
                f"{file} in {source.url} is no JSON object with arrays {', '.join(keys)}: {error}"
            ) from error


def elements(source: Source, file: str, key: str, opening: str) -> Iterator[tuple[int, int, Any]]:
    """(first byte, byte behind the last, value) of each element of an array or an object.

    The value of a member of an object is (name, value).

    Args:
      source: where the file is.
      file: a JSON file.
      key: of its top object, where the array or object is; "" if the file is that itself.
      opening: "[" for an array, "{" for an object.

    Raises:
      ValueError: if it is not there, or the file is cut.
    """
    closing = {"[": "]", "{": "}"}[opening]
    with source.open(file) as stream:
        text = _Text(stream)
        try:
            if key:
                text.find(key)
            text.expect(opening)
            while text.peek() != closing:
                begin = text.position()
                value = text.value()
                if opening == "{":
                    text.expect(":")
                    value = (value, text.value())
                yield begin, text.position(), value
                text.separator(closing)
        except ValueError as error:
            kind = "an array" if opening == "[" else "an object"
            where = f"under {key!r}" if key else "at its top"
            raise ValueError(
                f"{file} in {source.url} is no JSON file with {kind} {where}: {error}"
            ) from error


class _Text:
    """A stream of JSON text that is decoded value by value."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._scan = json.JSONDecoder().raw_decode
        start = stream.read(len(codecs.BOM_UTF8))
        marked = start == codecs.BOM_UTF8
        self._text, self._place, self._ended = "" if marked else self._decode(start), 0, False
        self._bytes = len(start) if marked else 0  # of the file before self._counted
        self._counted = 0

    def _more(self) -> None:
        self.position()
        block = self._stream.read(_BLOCK)
        self._ended = not block
        self._text = self._text[self._place :] + self._decode(block, final=self._ended)
        self._place = self._counted = 0

    def position(self) -> int:
        """Bytes of the file before the present place."""
        self._bytes += len(self._text[self._counted : self._place].encode("utf-8"))
        self._counted = self._place
        return self._bytes

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

    def skip(self) -> None:
        """Passes a value over; an array of any length in a little memory."""
        if self.peek() != "[":
            self.value()
            return
        self.expect("[")
        while self.peek() != "]":
            self.value()
            self.separator("]")
        self.expect("]")

    def find(self, key: str) -> None:
        """Goes to the value of a member of the object that follows."""
        self.expect("{")
        while self.peek() != "}":
            name = self.value()
            self.expect(":")
            if name == key:
                return
            self.skip()
            self.separator("}")
        raise ValueError(f"it has no member {key!r}")
