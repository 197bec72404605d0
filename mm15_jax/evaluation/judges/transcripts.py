"""What a judge was asked and said: JSON lines on disk, so that nothing is asked twice."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from mm15_jax.data.storage import Growing, to_path
from mm15_jax.evaluation.answers import write_rows
from mm15_jax.evaluation.judges.client import Message, Reply
from mm15_jax.evaluation.judges.reading import said


def request_key(model: str, messages: Sequence[Message], parameters: Mapping[str, Any]) -> str:
    """Hex digits that name a request: what changes any part of it changes them."""
    request = {"model": model, "messages": list(messages), "parameters": dict(parameters)}
    text = json.dumps(request, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Transcripts:
    """Replies by request, in a file that grows by a line a reply. A context manager."""

    def __init__(self, path: pathlib.Path | str):
        """Reads what is there; lines that were cut short are left out, and asked for again."""
        self._path = to_path(path)
        self._rows: dict[str, dict[str, Any]] = {}
        for row in _read_lines(self._path):
            self._rows[row["key"]] = row

    def __len__(self) -> int:
        """Replies there are."""
        return len(self._rows)

    def __enter__(self) -> Transcripts:
        """Opens the file for more lines; torn ones are dropped first."""
        self._growing = Growing(self._path.parent)
        there = self._growing.folder / self._path.name
        write_rows(there, self._rows.values())
        self._file = there.open("a", encoding="utf-8")
        return self

    def __exit__(self, *error: Any) -> None:
        """Closes the file."""
        self._file.close()
        self._growing.__exit__(*error)

    def find(self, key: str) -> Reply | None:
        """The reply to a request, if it was given: one that says nothing is asked for again."""
        row = self._rows.get(key)
        if not row or not (row["refused"] or said(row["reply"]).strip()):
            return None
        return Reply(row["reply"], row["replied"], row["refused"])

    def add(
        self,
        key: str,
        model: str,
        messages: Sequence[Message],
        parameters: Mapping[str, Any],
        reply: Reply,
    ) -> None:
        """Keeps a reply; it is on disk when this returns."""
        row = {
            "key": key,
            "model": model,
            "parameters": dict(parameters),
            "messages": list(messages),
            "reply": reply.text,
            "replied": reply.model,
            "refused": reply.refused,
        }
        self._rows[key] = row
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()


def _read_lines(path: pathlib.Path) -> list[dict[str, Any]]:
    """Whole lines of a file; one is torn where a run was killed, and more may follow it."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    rows = []
    for line in data.split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:  # of JSON or of UTF-8
            continue
        if isinstance(row, dict) and {"key", "reply", "replied", "refused"} <= row.keys():
            rows.append(row)
    return rows
