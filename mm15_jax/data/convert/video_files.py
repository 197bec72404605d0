"""Clips that annotations name: video files, wherever users unpacked them, and folders of frames.

A record holds its whole clip, so a long one is kept as 72 of its frames. Where 8, 24 or 72 frames
are wanted these are the very frames that would be taken of the whole clip: 72 is an odd multiple of
each, and so the midpoint of each interval is the midpoint of one of the 72.
"""

from __future__ import annotations

import glob
import math
import posixpath
from collections.abc import Sequence

import numpy as np
import simplejpeg

from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source
from mm15_jax.inputs import video_file
from mm15_jax.inputs.example import Video
from mm15_jax.inputs.resizing import resize_into
from mm15_jax.inputs.video import frame_numbers, video_of_file, video_of_frames

KEPT = 72  # frames of a long clip
SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".MP4")  # tried where a name has none of them
_FRAMES = (".jpg", ".jpeg", ".png", ".webp")
# A file is kept as it is up to so many bytes, and while a frame that is taken of it costs a core no
# more than so many seconds: a long clip with few keyframes would be decoded whole every time.
_BYTES = 32 * 2**20
_SECONDS_A_FRAME = 4e-3
_WHOLE = 0.8  # of a clip that is not taken for cut short: sound may last longer than pictures
_WANTED = 24  # of which the costs are reckoned
_LONGER_SIDE, _QUALITY = 768, 92  # of frames that are encoded anew


def read_video(
    source: Source,
    names: Sequence[str],
    role: str = "user",
    *,
    excerpt: tuple[float, float] | None = None,
    seconds_a_frame: float = 0.0,
) -> Video:
    """The first clip that is there.

    Args:
      source: where to look.
      names: to try, in order: of files, of files without their suffix, or of folders of frames.
      role: of the Video.
      excerpt: from and to which second; None: all of it.
      seconds_a_frame: of folders of frames; 0.0 where that is not known.

    Raises:
      DataError: if none is there, it is no video, or the excerpt is not in it.
    """
    found = _find(source, names)
    try:
        if isinstance(found, str):
            return kept(source.read(found), role, excerpt)
        numbers = _excerpt_numbers(len(found), excerpt, seconds_a_frame)
        chosen = [found[numbers[i]] for i in frame_numbers(len(numbers), KEPT)]
        seconds = len(numbers) * seconds_a_frame
        return video_of_frames([source.read(name) for name in chosen], seconds, role)
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{names[0]}: {error}") from error


def _find(source: Source, names: Sequence[str]) -> str | list[str]:
    """The name of a file, or the names of a folder's frames."""
    for name in names:
        suffix = posixpath.splitext(name)[1]
        known = suffix.lower() in (*SUFFIXES, ".gif")
        stem = name.removesuffix(suffix) if known else name
        # Publishers write .mp4 of a clip that was downloaded as .mkv.
        others = [stem + other for other in SUFFIXES if stem + other != name]
        for candidate in (name, *others) if known else others:
            if source.exists(candidate):
                return candidate
        if source.exists(stem):
            inside = source.glob(f"{glob.escape(stem)}/*")
            frames = [n for n in inside if posixpath.splitext(n)[1].lower() in _FRAMES]
            if frames:
                return sorted(frames)
    raise DataError(f"there is no video {' or '.join(map(repr, names))} in {source.url}")


def _excerpt_numbers(
    count: int, excerpt: tuple[float, float] | None, seconds_a_frame: float
) -> Sequence[int]:
    """Which frames of a folder an excerpt has."""
    if excerpt is None:
        return range(count)
    if not seconds_a_frame:
        raise DataError("an excerpt of a folder of frames whose rate is not known")
    start, stop = (math.floor(second / seconds_a_frame) for second in excerpt)
    numbers = range(max(start, 0), min(max(stop, start + 1), count))
    if not numbers:
        raise DataError(f"an excerpt from {excerpt[0]} to {excerpt[1]} s of {count} frames")
    return numbers


def kept(data: bytes, role: str = "user", excerpt: tuple[float, float] | None = None) -> Video:
    """A clip as records keep it: the file as it is, or 72 frames of one that is dear to decode.

    Args:
      data: of a video file.
      role: of the Video.
      excerpt: from and to which second; None: all of it.

    Raises:
      ValueError: if it is no video, much of it is missing, or the excerpt is not in it.
    """
    with video_file.open_video(data) as file:
        if file.stated and file.seconds < min(_WHOLE * file.stated, file.stated - 1):
            raise ValueError(
                f"The video has {file.seconds:.1f} s of the {file.stated:.1f} s that it says: it is"
                " cut short."
            )
        numbers = file.at_midpoints(_WANTED)
        dear = file.decoding_time(numbers) > _SECONDS_A_FRAME * len(numbers)
        if excerpt is None and not dear and len(data) <= _BYTES:
            return video_of_file(data, role)
        chosen = file.at_midpoints(KEPT, excerpt)
        decoded = file.decode(sorted(set(chosen)))
        frames = {number: _encoded(pixels, size) for number, pixels, size in decoded}
        start, stop = excerpt or (0.0, file.seconds)
        seconds = min(stop, file.seconds) - start
    return video_of_frames([frames[number] for number in chosen], seconds, role)


def _encoded(pixels: np.ndarray, size: tuple[int, int]) -> bytes:
    """A frame at the size at which it is shown, or smaller, as JPEG."""
    scale = min(1.0, _LONGER_SIDE / max(size))
    height, width = (max(1, round(side * scale)) for side in size)
    if pixels.shape[:2] != (height, width):
        frame = np.empty((height, width, 3), np.uint8)
        resize_into(pixels, frame)
        pixels = frame
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), _QUALITY, colorsubsampling="420")
