"""Which frames are taken of a clip, and that they are those: clips are encoded for real."""

import dataclasses
import io
import sys

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mm15_jax.inputs import video_file
from mm15_jax.inputs.tiles import PAD_COLOUR
from mm15_jax.inputs.video import (
    count_frames,
    frame_numbers,
    load_frames,
    plan_frames,
    video_of_file,
    video_of_frames,
)
from tests.clips import clip, folder, number_of, pixels

SIDE = 64


def taken(segment, wanted=8):
    """Numbers of the frames that are taken of a clip, as they are read off the tiles."""
    tiles = load_frames(segment, plan_frames(segment, wanted=wanted, resolution=SIDE))
    assert all(tile.shape == (1, SIDE, SIDE, 3) and tile.dtype == np.uint8 for tile in tiles)
    # What is shown of the frame, without the padding.
    scale = SIDE / max(segment.height, segment.width)
    height, width = round(segment.height * scale), round(segment.width * scale)
    return [number_of(tile[0, :height, :width]) for tile in tiles]


def error_of(data, **changes):
    good = video_of_file(clip())
    with pytest.raises(ValueError) as error:
        taken(dataclasses.replace(good, data=data, **changes))
    return str(error.value)


@given(st.integers(1, 5000), st.integers(1, 100))
def test_frames_are_the_midpoints_of_equal_intervals(frames, wanted):
    numbers = frame_numbers(frames, wanted)
    assert len(numbers) == count_frames(frames, wanted) == min(frames, wanted)
    assert len(set(numbers)) == len(numbers) and numbers == sorted(numbers)
    for i, number in enumerate(numbers):
        midpoint = (i + 0.5) * frames / len(numbers)
        assert number <= midpoint + 1e-6 and midpoint - 1e-6 <= number + 1
    # The same from behind, but for a midpoint between two frames, which takes the later one.
    mirrored = [frames - 1 - number for number in reversed(numbers)]
    assert all(abs(a - b) <= 1 for a, b in zip(numbers, mirrored, strict=True))


def test_known_choices():
    assert frame_numbers(50, 8) == [3, 9, 15, 21, 28, 34, 40, 46]
    assert frame_numbers(5, 24) == [0, 1, 2, 3, 4]
    assert frame_numbers(7, 1) == [3]
    assert frame_numbers(24, 24) == list(range(24))
    with pytest.raises(ValueError, match="24 frames of a clip of 0"):
        frame_numbers(0, 24)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"every": 50},
        {"every": 1},
        {"open_gop": True},
        {"codec": "libx265"},
        {"codec": "mpeg4"},
        {"kind": "webm", "codec": "libvpx-vp9"},
        {"kind": "matroska"},
        {"kind": "avi", "codec": "mpeg4"},
        {"kind": "mpegts"},
    ],
    ids=str,
)
def test_a_file_gives_the_frames_that_a_folder_gives(options):
    segment = video_of_file(clip(50, **options))
    assert (segment.frames, segment.height, segment.width) == (50, 48, 64)
    assert segment.seconds == pytest.approx(5.0, abs=0.11)
    pictures = video_of_frames(folder(50))
    for wanted in (1, 8, 24):
        assert taken(segment, wanted) == frame_numbers(50, wanted) == taken(pictures, wanted)


def test_a_clip_with_fewer_frames_gives_each_once():
    assert taken(video_of_file(clip(5)), 24) == taken(video_of_frames(folder(5)), 24) == [*range(5)]
    assert taken(video_of_file(clip(1)), 24) == taken(video_of_frames(folder(1)), 24) == [0]


def test_only_what_leads_to_a_wanted_frame_is_decoded(monkeypatch):
    data, fed = clip(48, every=12, size=(96, 128)), []
    feed = video_file.VideoFile._feed
    monkeypatch.setattr(
        video_file.VideoFile,
        "_feed",
        lambda self, start, last, wanted: (
            fed.append((start, last)) or feed(self, start, last, wanted)
        ),
    )
    assert taken(video_of_file(data), 2) == [12, 36]
    # The first frame, for its size; then from the keyframes at 12 and 36, each wanted itself.
    assert fed == [(0, 0), (12, 12), (36, 36)]
    fed.clear()
    assert taken(video_of_file(data), 4) == [6, 18, 30, 42]
    assert [start for start, _ in fed[1:]] == [0, 12, 24, 36]
    assert all(last - start < 12 for start, last in fed)


def test_frames_that_nothing_refers_to_are_skipped():
    with video_file.open_video(clip(60, every=60, size=(96, 128))) as file:
        came = [frame.pts for frame in file._feed(0, 59, {59})]
        assert came[-1] == max(came) and 1 < len(came) < 45


def test_with_a_variable_rate_a_frame_counts_as_long_as_it_is_shown():
    times = [0, 100, 200, 5000, 5100, 5200, 5300, 5400, 5500, 5600]
    segment = video_of_file(clip(10, times=times))
    assert segment.seconds == pytest.approx(5.7, abs=0.02)
    assert taken(segment, 8) == [2, 2, 2, 2, 2, 2, 2, 6]
    assert taken(segment, 24) == list(range(10))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_turned_clip_is_shown_upright(degrees):
    segment = video_of_file(clip(12, rotation=degrees))
    turned = np.rot90(pixels(0), degrees // 90)  # both counterclockwise
    assert (segment.height, segment.width) == turned.shape[:2]
    with video_file.open_video(segment.data) as file:
        ((_, frame, size),) = file.decode([0])
    assert size == turned.shape[:2] and frame.shape == turned.shape
    assert np.abs(frame.astype(int) - turned).mean() < 2
    load_frames(segment, plan_frames(segment, wanted=4, resolution=SIDE))


def test_a_mirrored_clip_is_shown_mirrored():
    data = clip(12)
    matrix = b"".join(n.to_bytes(4, "big", signed=True) for n in (1 << 16, 0, 0, 0, 1 << 16))
    mirror = b"".join(n.to_bytes(4, "big", signed=True) for n in (-1 << 16, 0, 0, 0, 1 << 16))
    track = data.index(b"tkhd")
    place = data.index(matrix, track)
    data = data[:place] + mirror + data[place + len(mirror) :]
    with video_file.open_video(data) as file:
        ((_, frame, _),) = file.decode([0])
    assert np.abs(frame.astype(int) - pixels(0)[:, ::-1]).mean() < 2


def test_pixels_that_are_not_square_are_shown_at_their_shape():
    segment = video_of_file(clip(12, pixel_ratio=2))
    assert (segment.height, segment.width) == (48, 128)
    (tile,) = load_frames(segment, plan_frames(segment, wanted=1, resolution=SIDE))
    assert (tile[0, 24:] == PAD_COLOUR).all() and not (tile[0, 23] == PAD_COLOUR).all()


def test_colours_are_those_that_were_filmed():
    red = np.zeros((48, 64, 3), np.uint8)
    red[...] = (200, 30, 40)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(red, "rgb24")))
        container.mux(stream.encode(None))
    with video_file.open_video(file.getvalue()) as opened:
        ((_, frame, _),) = opened.decode([0])
    assert np.abs(frame.astype(int) - red).max() <= 3


def test_what_is_no_video_is_told():
    assert "empty: 0 bytes" in error_of(b"")
    assert "not readable (100 bytes starting with" in error_of(b"\0" * 100)
    good = clip()
    assert "not readable" in error_of(good[:1500])
    assert "not readable" in error_of(good[:-400])  # the end of its index


@pytest.mark.parametrize(
    "playlist",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n%s\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '%s'\n",
    ],
)
def test_a_playlist_does_not_open_other_files(playlist, tmp_path):
    (tmp_path / "secret.mp4").write_bytes(clip())
    name = str(tmp_path / "secret.mp4").encode()
    with pytest.raises(ValueError, match="not readable"):
        video_of_file(playlist % name)


def test_sound_alone_is_no_video():
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match="no video in it"):
        video_of_file(file.getvalue())


def test_a_damaged_frame_is_an_error_and_not_invented():
    data = bytearray(clip(50, size=(96, 128), every=50))
    start = data.index(b"mdat") + 1000
    data[start : start + 600] = b"\x55" * 600
    with pytest.raises(ValueError, match=r"damaged|not readable"):
        taken(video_of_file(bytes(data)), 24)


def test_a_clip_that_is_not_what_its_record_says_is_an_error():
    data = clip(50)
    assert "has 50 frames; its record says 49" in error_of(data, frames=49)
    assert "48 x 64 pixels (height x width); its record says 64 x 48" in error_of(
        data, height=64, width=48
    )
    assert "has 3 frames; its record says 50" in error_of(folder(3))


def test_frames_of_a_folder_are_checked():
    frames = folder(5)
    with pytest.raises(ValueError, match="no frames"):
        video_of_frames([])
    with pytest.raises(ValueError, match="Frame 3 of the video: The picture is not readable"):
        video_of_frames((*frames[:3], b"not a picture", *frames[4:]))
    with pytest.raises(ValueError, match="Frame 2 of the video has 20 x 30 pixels"):
        video_of_frames((*frames[:2], folder(1, (20, 30))[0]))
    torn = dataclasses.replace(video_of_frames(frames), data=(*frames[:2], frames[2][:300]) * 2)
    torn = dataclasses.replace(torn, data=torn.data[:5])
    with pytest.raises(ValueError, match="Frame 2 of the video"):
        taken(torn)


def test_without_pyav_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError, match="pip install av"):
        video_of_file(b"x")
