"""The one shape every example has: a sequence of text, image and video segments.

Data sets of any origin become `Example`s; everything after that (formatting, packing, training,
evaluation) knows nothing else about them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Text:
    """A run of text.

    Attributes:
      text: the text, as it is to be tokenised.
      role: who speaks: "document" (plain or interleaved text), "user", "assistant" or "system".
      loss: whether the model is trained to produce this text.
    """

    text: str
    role: str = "document"
    loss: bool = False


@dataclasses.dataclass(frozen=True)
class Image:
    """A still picture, kept encoded until it is rendered into tiles.

    Attributes:
      data: the encoded bytes (PNG, JPEG, WebP, ...).
      height: height in pixels after the EXIF orientation is applied.
      width: width in pixels after the EXIF orientation is applied.
      role: whose turn the picture belongs to; the same names as `Text.role`.
    """

    data: bytes
    height: int
    width: int
    role: str = "document"


@dataclasses.dataclass(frozen=True)
class Video:
    """A clip, kept encoded until the frames that are wanted of it are rendered into tiles.

    How many tiles it takes is known from `frames` without decoding: see `inputs.video`.

    Attributes:
      data: the bytes of a video file (MP4, WebM, AVI, ...); or of each frame, encoded as a picture
        (JPEG, ...), where the clip is a folder of frames.
      frames: frames of the clip, at least 1.
      seconds: how long it lasts; 0.0 where that is not known.
      height: height in pixels as it is shown: after rotation, with square pixels.
      width: width in pixels as it is shown.
      role: whose turn the clip belongs to; the same names as `Text.role`.
    """

    data: bytes | tuple[bytes, ...]
    frames: int
    seconds: float
    height: int
    width: int
    role: str = "document"


Segment = Text | Image | Video


@dataclasses.dataclass(frozen=True)
class Example:
    """One training or evaluation example.

    Attributes:
      segments: text, images and videos in the order in which the model reads them.
      source: the name of the data set.
      key: a name unique within the data set.
      category: the data category of the mixture: "general", "text_rich", "knowledge",
        "refer_ground", "multi_image", "text", ...
      metadata: JSON-able facts that training ignores. An evaluation example has "answer" (a string
        or a list of reference strings) and "metric", and where they apply "choices" (a list) and
        "box" ([x1, y1, x2, y2] in pixels).
    """

    segments: tuple[Segment, ...]
    source: str
    key: str
    category: str
    metadata: Mapping[str, Any]
