"""From encoded clips to tiles: which frames are taken, and how they are decoded (section 5).

MM1.5-Video samples N frames uniformly from a clip of any length and reads them "as multi-image
inputs without special frame assembly": each frame is one tile of T tokens, unsplit, with no
indicator and no text between.

**Which frames.** The clip is cut into N equal intervals of time; of each the frame is taken that is
on screen at its midpoint. Midpoints, because both ends of a clip are often black or a title. Of F
equally spaced frames these are the numbers floor((2 i + 1) F / (2 N)), which is also the rule for a
folder of frames. A clip of at most N frames gives every frame once. Where the rate varies, a frame
that stays for long is taken several times, as a viewer would see it.

**Decoding** is PyAV's (FFmpeg): see `video_file`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mm15_jax.config import schema
from mm15_jax.inputs import image_splitting, video_file
from mm15_jax.inputs.example import Video
from mm15_jax.inputs.tiles import image_size, load_tiles, render_tiles

_ONE_TILE = schema.SplittingConfig(mode="none")


def count_frames(frames: int, wanted: int) -> int:
    """How many frames, and so tiles, are taken of a clip of `frames`: at most `wanted`."""
    if frames < 1 or wanted < 1:
        raise ValueError(f"{wanted} frames of a clip of {frames}; expected at least 1 of each.")
    return min(frames, wanted)


def frame_numbers(frames: int, wanted: int) -> list[int]:
    """Numbers of the frames that are taken of equally spaced ones: midpoints of equal intervals.

    Args:
      frames: F, of the clip.
      wanted: N, at most.

    Returns:
      min(N, F) different numbers from 0, rising.
    """
    count = count_frames(frames, wanted)
    return [(2 * i + 1) * frames // (2 * count) for i in range(count)]


def plan_frames(clip: Video, *, wanted: int, resolution: int) -> list[image_splitting.Tiling]:
    """The tilings of the frames that are taken of a clip: one tile each, never split.

    Args:
      clip: only its size and number of frames are read.
      wanted: N, `inputs.video.frames`.
      resolution: r, side of a tile in pixels.

    Raises:
      ValueError: if a size or number is not positive.
    """
    tiling = image_splitting.plan_tiling(
        clip.height, clip.width, resolution=resolution, splitting=_ONE_TILE, images_in_example=1
    )
    return [tiling] * count_frames(clip.frames, wanted)


def load_frames(clip: Video, tilings: Sequence[image_splitting.Tiling]) -> list[np.ndarray]:
    """Decodes the frames that are taken of a clip, and renders each into its tile.

    Args:
      clip: the clip.
      tilings: of `plan_frames`; as many as frames are wanted.

    Returns:
      uint8[1, r, r, 3] of each frame, in the order of time.

    Raises:
      ValueError: if the clip is damaged, or has not the frames or the size that its record says.
    """
    if isinstance(clip.data, bytes):
        return _of_file(clip, tilings)
    if len(clip.data) != clip.frames:
        raise ValueError(f"The video has {len(clip.data)} frames; its record says {clip.frames}.")
    found = []
    for number, tiling in zip(frame_numbers(clip.frames, len(tilings)), tilings, strict=True):
        try:
            found.append(load_tiles(clip.data[number], tiling))
        except ValueError as error:
            raise ValueError(f"Frame {number} of the video: {error}") from error
    return found


def _of_file(clip: Video, tilings: Sequence[image_splitting.Tiling]) -> list[np.ndarray]:
    assert isinstance(clip.data, bytes)
    rendered: dict[int, np.ndarray] = {}
    with video_file.open_video(clip.data) as file:
        if len(file.times) != clip.frames:
            raise ValueError(
                f"The video has {len(file.times)} frames; its record says {clip.frames}: prepare "
                "the data set again."
            )
        wanted = file.at_midpoints(len(tilings))
        for number, pixels, size in file.decode(sorted(set(wanted))):
            if size != (clip.height, clip.width):
                raise ValueError(
                    f"The video has {size[0]} x {size[1]} pixels (height x width); its record says"
                    f" {clip.height} x {clip.width}."
                )
            rendered[number] = render_tiles(pixels, tilings[0])
    return [rendered[number] for number in wanted]


def video_of_file(data: bytes, role: str = "user") -> Video:
    """A clip of a video file's bytes, with the facts by which it is planned.

    Packets are counted and the first frame is decoded, no more.

    Raises:
      ValueError: if it is no video that can be read, or too large.
    """
    with video_file.open_video(data) as file:
        ((_, _, (height, width)),) = file.decode([0])
        return Video(data, len(file.times), file.seconds, height, width, role)


def video_of_frames(frames: Sequence[bytes], seconds: float = 0.0, role: str = "user") -> Video:
    """A clip of a folder's frames, each an encoded picture; only their headers are read.

    Args:
      frames: in the order of time, equally spaced.
      seconds: how long the clip lasts; 0.0 where that is not known.
      role: of the segment.

    Raises:
      ValueError: if there is no frame, one is no picture, or they differ in size.
    """
    if not frames:
        raise ValueError("The video has no frames.")
    sizes = []
    for number, frame in enumerate(frames):
        try:
            sizes.append(image_size(frame))
        except ValueError as error:
            raise ValueError(f"Frame {number} of the video: {error}") from error
    for number, size in enumerate(sizes):
        if size != sizes[0]:
            raise ValueError(
                f"Frame {number} of the video has {size[0]} x {size[1]} pixels (height x width), "
                f"the first has {sizes[0][0]} x {sizes[0][1]}."
            )
    return Video(tuple(frames), len(frames), float(seconds), *sizes[0], role)
