"""Video files: frames at given moments, decoded from the keyframe before each.

By PyAV, which is FFmpeg. decord, which the field used before, has had no release since 2021 and no
wheels for ARM; PyAV has them, reads what FFmpeg reads, and gives timestamps and display matrices.

Packets are listed without decoding. For the wanted frames of each group of pictures the decoder is
set to the keyframe in front, fed up to the last of them, and told to skip what neither is wanted
nor serves as a reference.
"""

from __future__ import annotations

import bisect
import contextlib
import io
import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np

from mm15_jax.inputs.tiles import MAX_PIXELS

# What FFmpeg may open. Playlists (HLS, concat, DASH ...) would make it open files and addresses
# that a stranger's bytes name.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,mpeg,mpegts,mpegvideo,asf,ogg,gif,"
    "h264,hevc,ivf,m4v,rm,nut"
)
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_BT709 = 1
_PER_BYTE, _PER_PIXEL = 81e-9, 0.38e-9  # s of a core that decodes; benchmarks/data/video.py
_HD_HEIGHT = 720  # colours that are not named are BT.709's from here on, as players take them


def _av() -> ModuleType:
    """PyAV, imported when the first clip is read: pictures need no FFmpeg."""
    try:
        import av
    except ImportError as error:
        raise ValueError(
            f"video files are read by PyAV, which cannot be imported ({error}): pip install av"
        ) from error
    return av


class VideoFile:
    """The packets of a clip, and the frames that are decoded from them.

    Attributes:
      times: when each frame is shown, rising, in the stream's units; one for each frame.
      end: when the last one is over, in the same units.
      seconds: how long the clip lasts.
      stated: how long the file says that it lasts, sound included; None where it does not.
    """

    def __init__(self, container: Any):
        """Lists the packets; ValueError if there is no frame."""
        streams = [s for s in container.streams.video if not _is_cover(s)]
        if not streams:
            raise ValueError("The file has no video in it; expected a stream of pictures.")
        self._stream = streams[0]
        context = self._stream.codec_context
        if context.width * context.height > MAX_PIXELS:
            raise ValueError(
                f"The video claims {context.height} x {context.width} pixels, more than the limit "
                f"of {MAX_PIXELS}; scale it down first."
            )
        context.thread_count = 1  # the loader decodes several clips at once
        context.options = {"err_detect": "explode"}  # else FFmpeg invents what is damaged
        packets = [packet for packet in container.demux(self._stream) if packet.size]
        if any(packet.pts is None for packet in packets):
            for place, packet in enumerate(packets):  # a stream without a clock: evenly spaced
                packet.pts, packet.duration = place, 1
        self._packets = packets
        shown = [place for place, packet in enumerate(packets) if not packet.is_discard]
        self._places = sorted(shown, key=lambda place: packets[place].pts)
        if not shown:
            raise ValueError("The video has no frames: it is empty, or cut short.")
        self.times = [packets[place].pts for place in self._places]
        span = self.times[-1] - self.times[0]
        spacing = -(-span // max(len(shown) - 1, 1)) or 1
        self.end = self.times[-1] + (packets[self._places[-1]].duration or spacing)
        self._unit = self._stream.time_base or Fraction(1, 25)  # s; MPEG's where none is written
        self.seconds = float((self.end - self.times[0]) * self._unit)
        self.stated = None if container.duration is None else container.duration / 1e6

    def at_midpoints(self, count: int, excerpt: tuple[float, float] | None = None) -> list[int]:
        """Numbers of the frames on screen at the midpoints of `count` equal intervals of the clip.

        All frames, once, if there are not more than `count`. In whole numbers: a tie may not fall
        one way here and another way there.

        Args:
          count: how many.
          excerpt: from and to which second after the first frame; None: the whole clip.

        Raises:
          ValueError: if the excerpt is not in the clip.
        """
        begin, end = self.times[0], self.end
        if excerpt is not None:
            start, stop = excerpt
            if not 0 <= start < stop or start >= self.seconds:
                raise ValueError(
                    f"An excerpt from {start} to {stop} s of a video of {self.seconds:.2f} s."
                )
            begin, end = (
                min(begin + round(Fraction(second) / self._unit), self.end)
                for second in (start, stop)
            )
        first = max(bisect.bisect_right(self.times, begin) - 1, 0)
        last = max(bisect.bisect_left(self.times, end), first + 1)
        if last - first <= count:
            return list(range(first, last))
        moments = (begin + (2 * i + 1) * (end - begin) // (2 * count) for i in range(count))
        return [bisect.bisect_right(self.times, moment) - 1 for moment in moments]

    def decode(self, numbers: Sequence[int]) -> Iterator[tuple[int, np.ndarray, tuple[int, int]]]:
        """Decodes frames.

        Args:
          numbers: which, counted by time from 0; rising.

        Yields:
          number; upright RGB, uint8[height, width, 3], as coded; and the (height, width) at which
          it is shown, which differs where pixels are not square.

        Raises:
          ValueError: if one of them cannot be decoded.
        """
        for start, run in self._runs(numbers):
            yield from self._decode_run(start, run)

    def packets(self, numbers: Sequence[int]) -> list[int]:
        """Sizes in bytes of the packets that the decoder is given for frames, skipped or not."""
        return [
            packet.size
            for start, run in self._runs(numbers)
            for packet in self._packets[start : max(self._places[n] for n in run) + 1]
        ]

    def decoding_time(self, numbers: Sequence[int]) -> float:
        """Seconds of one core that decoding frames takes, about.

        Entropy coding goes by the byte, prediction by the pixel: `_PER_BYTE` and `_PER_PIXEL` fit
        H.264 at 480p with keyframes each 12 to 250 frames within a tenth.
        """
        sizes = self.packets(numbers)
        context = self._stream.codec_context
        pixels = len(sizes) * context.width * context.height
        return sum(sizes) * _PER_BYTE + pixels * _PER_PIXEL

    def _runs(self, numbers: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
        """Frames by the keyframe that decoding has to begin with."""
        keys = [place for place, packet in enumerate(self._packets) if packet.is_keyframe]
        for start, run in itertools.groupby(numbers, lambda n: self._keyframe(keys, n)):
            yield start, list(run)

    def _keyframe(self, keys: list[int], number: int) -> int:
        """Place of the last keyframe that is neither decoded nor shown after a frame.

        Frames that are decoded after a keyframe and shown before it may refer to what was before.
        """
        place, time = self._places[number], self.times[number]
        for key in reversed(keys[: bisect.bisect_right(keys, place)]):
            if self._packets[key].pts <= time:
                return key
        return 0

    def _decode_run(
        self, start: int, numbers: list[int]
    ) -> Iterator[tuple[int, np.ndarray, tuple[int, int]]]:
        """Frames of one group of pictures, from its keyframe on."""
        places = {self._places[number] for number in numbers}
        waiting = list(reversed(numbers))
        previous = None
        for frame in self._feed(start, max(places), places):
            # A frame that does not come (a damaged or empty packet) is the one before it, as on
            # screen; at the beginning the one after it.
            while waiting and self.times[waiting[-1]] < frame.pts:
                yield waiting.pop(), *self._upright(previous or frame)
            if waiting and self.times[waiting[-1]] == frame.pts:
                yield waiting.pop(), *self._upright(frame)
            previous = frame
        if waiting and previous is None:
            raise ValueError(f"The video is damaged: frame {waiting[-1]} cannot be decoded.")
        for number in reversed(waiting):
            yield number, *self._upright(previous)

    def _feed(self, start: int, last: int, wanted: set[int]) -> Iterator[Any]:
        """Decoded frames of packets [start, last], by time; skipped are those of no use."""
        context = self._stream.codec_context
        for place in range(start, last + 1):
            context.skip_frame = "DEFAULT" if place in wanted else "NONREF"
            yield from context.decode(self._packets[place])
        yield from context.decode(None)
        context.flush_buffers()

    def _upright(self, frame: Any) -> tuple[np.ndarray, tuple[int, int]]:
        """Pixels as they are shown, and the size at which."""
        if frame.is_corrupt:
            raise ValueError("The video is damaged: a frame that is taken of it is not whole.")
        unmarked = frame.colorspace == _UNSPECIFIED and frame.height >= _HD_HEIGHT
        colours = {"src_colorspace": _BT709} if unmarked else {}
        pixels = frame.to_ndarray(format="rgb24", threads=1, **colours)
        ratio = self._stream.sample_aspect_ratio or Fraction(1)  # width of a pixel to its height
        size = frame.height, max(1, round(frame.width * ratio))
        return _oriented(frame, pixels, size)


@contextlib.contextmanager
def open_video(data: bytes) -> Iterator[VideoFile]:
    """Opens a video file's bytes.

    Raises:
      ValueError: also in the block: if they are no video, are damaged or cut short.
    """
    av = _av()
    if not data:
        raise ValueError("The video is empty: 0 bytes; expected a video file such as MP4 or WebM.")
    try:
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": ""}
        with av.open(io.BytesIO(data), options=options, metadata_errors="ignore") as container:
            yield VideoFile(container)
    except av.FFmpegError as error:
        raise ValueError(
            f"The video is not readable ({len(data)} bytes starting with {data[:12]!r}): "
            f"{error.strerror}; expected a whole video file such as MP4, WebM or AVI."
        ) from error


def _is_cover(stream: Any) -> bool:
    """Whether a stream is a still picture that stands for the file."""
    return bool(stream.disposition & _av().stream.Disposition.attached_pic)


def _oriented(
    frame: Any, pixels: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, int]]:
    """Turned and mirrored as the display matrix says (ISO 14496-12, 8.5.2: a, b, u, c, d, ...)."""
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return pixels, size
    # A pixel at (x, y) is shown at (a x + c y, b x + d y).
    a, b, _, c, d = np.frombuffer(side_data, np.int32)[:5].tolist()
    if abs(b) > abs(a):
        pixels, size = pixels.swapaxes(0, 1), size[::-1]
        a, d = c, b
    pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(pixels), size
