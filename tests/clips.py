"""Real clips for tests, encoded by PyAV: each frame is of one grey, which tells its number."""

import io
from fractions import Fraction

import av
import numpy as np
import simplejpeg

STEP = 4  # between the greys of neighbours


def grey(number):
    """The grey of a frame."""
    return 16 + STEP * number % 224


def pixels(number, height=48, width=64):
    """A frame: one grey, with a darker quarter at the top left."""
    frame = np.full((height, width, 3), grey(number), np.uint8)
    frame[: height // 2, : width // 2] = 0
    return frame


def number_of(tile):
    """The number of a frame that was rendered or decoded, from the pixel in its middle."""
    height, width = tile.shape[:2]
    return round((float(tile[height // 2 + 2, width // 2 + 2].mean()) - 16) / STEP)


def clip(
    frames=50,
    *,
    rate=10,
    size=(48, 64),
    kind="mp4",
    codec="libx264",
    every=12,
    rotation=None,
    times=None,
    open_gop=False,
    pixel_ratio=None,
):
    """The bytes of a video file.

    Args:
      frames: how many.
      rate: frames a second.
      size: height, width.
      kind: container.
      codec: encoder.
      every: frames from one keyframe to the next.
      rotation: degrees, counterclockwise, that the display matrix turns by.
      times: of the frames in milliseconds, for a variable rate.
      open_gop: frames may refer across keyframes.
      pixel_ratio: width of a pixel to its height.
    """
    height, width = size
    file = io.BytesIO()
    options = {"g": str(every), "threads": "1"}
    if codec == "libx264":
        options |= {"crf": "8", "sc_threshold": "0", "preset": "veryfast"}
        options |= {"x264-params": "open-gop=1"} if open_gop else {}
    if codec == "libvpx-vp9":
        options |= {"crf": "4", "b": "0"}
    if codec == "mpeg4":
        options |= {"qmin": "1", "qmax": "2"}
    if codec == "libx265":
        options |= {"x265-params": "log-level=none:open-gop=1:crf=8:pools=none"}
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if pixel_ratio:
            stream.codec_context.sample_aspect_ratio = Fraction(pixel_ratio)
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(pixels(number, height, width), "rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def folder(frames=50, size=(48, 64)):
    """The frames of a clip as JPEG files, as frame folders have them."""
    return tuple(
        simplejpeg.encode_jpeg(pixels(number, *size), quality=95) for number in range(frames)
    )
