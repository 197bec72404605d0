"""Dialogues as LLaVA and those after it write them: turns of text with `<image>` in it.

Format: as read by LLaVA's and LLaVA-NeXT's train.py and by Mantis's data.py, which differ in names:
`conversations`, `conversation` or `messages`; `from` or `role`; `value`, `content` or `text`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Image, Segment, Text

PLACEHOLDER = "<image>"
_SPEAKERS = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}

Turn = tuple[str, str]  # (role, text)


def turns_of(
    record: Mapping[str, Any], written: Callable[[list[Turn]], list[Turn]] = list
) -> list[Turn]:
    """The turns of a dialogue: perhaps a system's, then user's and assistant's in alternation.

    As LLaVA does, what the assistant says before any question is left out; so is a question at the
    end that nobody answers.

    Args:
      record: with its turns.
      written: of all its turns, those that are left out too, as they are to be read: what stands
        beside a record goes by their numbers.

    Raises:
      DataError: if there is no answer, a turn is not text, or the speakers do not alternate.
    """
    listed = _first(record, "conversations", "conversation", "messages")
    turns = written([_turn(item) for item in listed])
    system = turns[:1] if turns and turns[0][0] == "system" else []
    turns = turns[len(system) :]
    if turns and turns[0][0] == "assistant":
        turns = turns[1:]
    if turns and turns[-1][0] == "user":
        turns = turns[:-1]
    if not any(role == "assistant" for role, _ in turns):
        raise DataError("a dialogue without a question and its answer")
    for number, (role, text) in enumerate(turns):
        expected = ("user", "assistant")[number % 2]
        if role != expected:
            raise DataError(f"turn {number} is the {role}'s, expected the {expected}'s")
        if not text.strip():
            raise DataError(f"turn {number}, the {role}'s, is empty")
    return [*system, *turns]


def _turn(item: Any) -> Turn:
    if not isinstance(item, Mapping):
        raise DataError(f"a turn is {item!r}, expected an object with `from` and `value`")
    speaker, text = _first(item, "from", "role"), _first(item, "value", "content", "text")
    if speaker not in _SPEAKERS:
        raise DataError(f"a turn of {speaker!r}, expected one of {', '.join(_SPEAKERS)}")
    if not isinstance(text, str):
        raise DataError(f"a turn of {speaker!r} is {type(text).__name__}, expected text")
    return _SPEAKERS[speaker], text


def _first(record: Mapping[str, Any], *names: str) -> Any:
    """The first field that is there and not null."""
    for name in names:
        if record.get(name) is not None:
            return record[name]
    raise DataError(f"a record without {' or '.join(f'`{name}`' for name in names)}")


def text_segments(turns: Iterable[Turn]) -> tuple[Segment, ...]:
    """Turns as they are; only what the assistant says is trained on."""
    return tuple(Text(text, role, loss=role == "assistant") for role, text in turns)


def picture_segments(
    turns: Sequence[Turn], images: Sequence[Image], *, in_place: bool
) -> tuple[Segment, ...]:
    """Turns with each `<image>` replaced by the next picture.

    Pictures that no turn places go before the first question. Without pictures `<image>` is a word
    like any other: text-only dialogues speak of HTML.

    Args:
      turns: from `turns_of`.
      images: the record's pictures, in order.
      in_place: leave a turn's only picture where it stands in the sentence; else put it before the
        sentence, as LLaVA does. Several pictures of a turn always stay where they stand.

    Raises:
      DataError: if `<image>` and the pictures differ in number.
    """
    if not images:
        return text_segments(turns)
    places = sum(text.count(PLACEHOLDER) for _, text in turns)
    if places not in (0, len(images)):
        raise DataError(f"{places} times {PLACEHOLDER} for {len(images)} pictures")
    segments: list[Segment] = []
    waiting = list(reversed(images))
    for role, text in turns:
        pieces = text.split(PLACEHOLDER)
        if places == 0 and role == "user":
            places = len(images)  # placed now
            pieces = [*[""] * len(images), text]
        elif len(pieces) == 2 and not in_place:
            pieces = ["", " ".join(piece.strip() for piece in pieces).strip()]
        for number, piece in enumerate(pieces):
            if number:
                segments.append(dataclasses.replace(waiting.pop(), role=role))
            # The line break beside a picture only kept `<image>` apart.
            words = piece.strip("\n") if len(pieces) > 1 else piece
            if words.strip():
                segments.append(Text(words, role, loss=role == "assistant"))
    return tuple(segments)
