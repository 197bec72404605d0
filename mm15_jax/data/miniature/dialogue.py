"""How a drawn picture and its truth become the segments and metadata of an example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mm15_jax.data.miniature.drawing import Canvas
from mm15_jax.inputs.example import Segment, Text

# Segments, and the metadata: always "kind" (the sub-type of question, for analysis), with "answer"
# and "metric" where the example can be scored.
Built = tuple[tuple[Segment, ...], dict[str, Any]]


def chat(
    canvases: Sequence[Canvas], question: str, answer: str, *, metric: str, kind: str, **more: Any
) -> Built:
    """A user's turn of pictures and a question, and the assistant's answer, which is trained."""
    segments: list[Segment] = [canvas.image("user") for canvas in canvases]
    segments.append(Text(question, role="user"))
    segments.append(Text(answer, role="assistant", loss=True))
    return tuple(segments), {"answer": answer, "metric": metric, "kind": kind, **more}


def transcript(
    canvas: Canvas, cue: str, answer: str, *, metric: str, kind: str, **more: Any
) -> Built:
    """A document: a picture, an optional cue without loss, and the text that stands in it."""
    cues = (Text(cue),) if cue else ()
    segments = (canvas.image("document"), *cues, Text(answer, loss=True))
    return segments, {"answer": answer, "metric": metric, "kind": kind, **more}
