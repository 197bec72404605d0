"""Frames a second of one core, from clips at 480p: decoded, tiled, as training reads them.

Usage: python benchmarks/data/video.py [--rounds 3] [--no_save]

Clips of 30 s at 30 frames a second, with the camera and an object moving and grain on top, in H.264
with keyframes at several distances (phones and editors: 12 to 60; YouTube and x264: up to 250), a
clip of 5 s, and a folder of JPEG frames. Of each, 24 frames are taken for tiles of 378 pixels. A
wanted frame costs the decoding of those that lead to it, so both are given: tiles, and frames that
went through the decoder. `mm15 prepare` keeps clips that cost too much as frames: tiles a second as
training reads them are given as well. Time is that of the thread; the load of the machine is
written beside it. Rows go to benchmarks/data/results.jsonl.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import pathlib
import statistics
import time
from fractions import Fraction

import av
import cv2
import numpy as np
import simplejpeg

from mm15_jax.data.convert.video_files import kept
from mm15_jax.inputs import video_file
from mm15_jax.inputs.example import Video
from mm15_jax.inputs.video import load_frames, plan_frames, video_of_file, video_of_frames

RESULTS = pathlib.Path(__file__).with_name("results.jsonl")
HEIGHT, WIDTH, RATE, FRAMES = 480, 854, 30, 24


def moving(seconds: float):
    """Frames of a scene: uint8[480, 854, 3]."""
    rng = np.random.default_rng(0)
    ground = cv2.resize(
        rng.integers(0, 255, (60, 107, 3), np.uint8),
        (2 * WIDTH, 2 * HEIGHT),
        interpolation=cv2.INTER_CUBIC,
    )
    grain = rng.integers(-3, 4, (8, HEIGHT, WIDTH, 1), dtype=np.int16)
    for i in range(round(seconds * RATE)):
        x, y = int(400 + 380 * np.sin(i / 40)), int(200 + 190 * np.cos(i / 33))
        frame = ground[y : y + HEIGHT, x : x + WIDTH].copy()
        cv2.circle(frame, (int(427 + 300 * np.sin(i / 15)), 240), 50, (255, 0, 0), -1)
        yield np.clip(frame + grain[i % 8], 0, 255).astype(np.uint8)


def encoded(seconds: float, every: int) -> bytes:
    """An MP4 with a keyframe at least `every` so many frames."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(RATE), options={"g": str(every), "preset": "fast"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in moving(seconds):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def clips() -> dict[str, Video]:
    """What is measured, by name."""
    found = {
        f"30 s, keyframe each {every}": video_of_file(encoded(30, every)) for every in (12, 60, 250)
    }
    found["5 s, keyframe each 250"] = video_of_file(encoded(5, 250))
    # ShareGPTVideo and others have two frames a second.
    pictures = [simplejpeg.encode_jpeg(f, 90) for i, f in enumerate(moving(30)) if i % 15 == 0]
    found["folder of JPEG frames"] = video_of_frames(pictures)
    return found


def measure(name: str, clip: Video, rounds: int) -> dict:
    """Median over rounds."""
    through = FRAMES
    if isinstance(clip.data, bytes):
        with video_file.open_video(clip.data) as file:
            through = len(file.packets(file.at_midpoints(FRAMES)))
    prepared = kept(clip.data) if isinstance(clip.data, bytes) else clip
    seconds, prepared_seconds = _seconds(clip, rounds), _seconds(prepared, rounds)
    return {
        "benchmark": "video",
        "clip": name,
        "kilobytes": _kilobytes(clip),
        "tiles_per_second": round(FRAMES / seconds, 1),
        "prepared_kilobytes": _kilobytes(prepared),
        "prepared_tiles_per_second": round(FRAMES / prepared_seconds, 1),
        "packets_per_second": round(through / seconds, 1),
        "packets_a_tile": round(through / FRAMES, 1),
        "milliseconds_a_clip": round(1000 * seconds),
    }


def _seconds(clip: Video, rounds: int) -> float:
    tilings = plan_frames(clip, wanted=FRAMES, resolution=378)
    spent = []
    for _ in range(rounds):
        began = time.thread_time()
        tiles = load_frames(clip, tilings)
        spent.append(time.thread_time() - began)
        assert len(tiles) == FRAMES
    return statistics.median(spent)


def _kilobytes(clip: Video) -> int:
    size = len(clip.data) if isinstance(clip.data, bytes) else sum(map(len, clip.data))
    return round(size / 1000)


def main() -> None:
    """Measures every clip."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no_save", action="store_true", help="do not append to results.jsonl")
    arguments = parser.parse_args()
    found = clips()
    for name, clip in found.items():
        row = measure(name, clip, arguments.rounds)
        row["load"] = round(os.getloadavg()[0], 1)
        print(
            f"{name:24} {row['kilobytes']:6} kB  {row['tiles_per_second']:6.1f} tiles/s/core, "
            f"{row['packets_per_second']:7.1f} packets/s/core, {row['milliseconds_a_clip']} ms a "
            f"clip; prepared {row['prepared_kilobytes']:6} kB "
            f"{row['prepared_tiles_per_second']:6.1f} tiles/s/core, load {row['load']}",
            flush=True,
        )
        if not arguments.no_save:
            with RESULTS.open("a") as file:
                stamp = time.strftime("%Y-%m-%d")
                versions = {"av": av.__version__}
                file.write(json.dumps({**row, "versions": versions, "date": stamp}) + "\n")


if __name__ == "__main__":
    main()
