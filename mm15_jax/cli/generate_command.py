"""mm15 generate --run_dir RUN --image PICTURE ... --prompt TEXT [--draw OUT.png] [--json]

Answers a question about pictures, and about clips by --video: a video file, or a folder of frames.
--draw writes a copy of the first picture with the boxes and points that the answer names. With
neither --image nor --video the question is about text alone.
"""

from __future__ import annotations

import json
import pathlib

from absl import flags as absl_flags

from mm15_jax.cli import common
from mm15_jax.config import apply_overrides, validate


def define_flags(flags) -> None:
    """The run, the question with its pictures, and how an answer is sampled."""
    common.define_json(flags)
    common.define_set(flags)
    common.define_string(flags, "run_dir", None, "the run that answers")
    common.define_checkpoint(flags)
    absl_flags.DEFINE_multi_string(
        "image", [], "a picture; repeat it for several", flag_values=flags
    )
    absl_flags.DEFINE_multi_string(
        "video", [], "a video file or a folder of frames; repeat it for several", flag_values=flags
    )
    common.define_string(flags, "prompt", None, "the question")
    common.define_string(flags, "draw", None, "where to write the picture with the answer's boxes")
    absl_flags.DEFINE_integer(
        "max_new_tokens", 64, "most tokens of an answer", 1, flag_values=flags
    )
    absl_flags.DEFINE_float(
        "temperature", 0.0, "0: always the likeliest token; above: sampled", 0.0, flag_values=flags
    )
    absl_flags.DEFINE_float(
        "top_p", 1.0, "sample from the likeliest tokens of this share", 0.0, 1.0, flag_values=flags
    )
    absl_flags.DEFINE_integer("seed", 0, "of sampling", flag_values=flags)


def main(arguments, flags) -> int:
    """Prints the answer; boxes and points are in pixels of the first picture."""
    if arguments:
        raise ValueError(f"mm15 generate takes flags only, was given {' '.join(arguments)!r}")
    if not flags.prompt:
        raise ValueError("ask something with --prompt TEXT")
    if flags.draw and not flags.image:
        raise ValueError("--draw needs a picture: name one with --image PICTURE")
    if flags.draw and pathlib.Path(flags.draw).suffix.lower() not in (
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
    ):
        raise ValueError(f"--draw {flags.draw} is no picture file; end its name with .png or .jpg")
    images = [_read_image(path) for path in flags.image]
    clips = [_read_video(path) for path in flags.video]
    run_dir, config = common.run_config(flags.run_dir)
    config = apply_overrides(config, flags.set)
    validate(config)

    from mm15_jax.infer.sampling import Sampling
    from mm15_jax.inputs.example import Example, Text

    segments = (*images, *clips, Text(flags.prompt, role="user"))
    example = Example(segments, "command line", "0", "", {})
    sampling = Sampling(temperature=flags.temperature, top_p=flags.top_p, seed=flags.seed)
    answer = common.generator(run_dir, config, flags.checkpoint).generate(
        [example], max_new_tokens=flags.max_new_tokens, batch_size=1, sampling=sampling
    )[0]
    boxes, points = _places(answer, images)
    if flags.draw:
        _draw(images[0], boxes, points, flags.draw)
    if flags.json:
        print(json.dumps({"answer": answer, "boxes": boxes, "points": points}))
    else:
        print(answer)
    return 0


def _read_image(path: str):
    from mm15_jax.inputs.example import Image
    from mm15_jax.inputs.tiles import decode_image

    file = pathlib.Path(path)
    if not file.is_file():
        raise ValueError(f"--image {path}: there is no such file")
    data = file.read_bytes()
    try:
        height, width = decode_image(data).shape[:2]
    except ValueError as error:
        raise ValueError(f"--image {path} cannot be read: {error}") from None
    return Image(data, height, width, role="user")


def _read_video(path: str):
    from mm15_jax.inputs.video import video_of_file, video_of_frames

    place = pathlib.Path(path)
    try:
        if place.is_dir():
            files = sorted(file for file in place.iterdir() if file.is_file())
            return video_of_frames([file.read_bytes() for file in files])
        if not place.is_file():
            raise ValueError("there is no such file or folder")
        return video_of_file(place.read_bytes())
    except ValueError as error:
        raise ValueError(f"--video {path} cannot be read: {error}") from None


def _places(answer: str, images) -> tuple[list, list]:
    """Boxes and points of an answer, in pixels of the first picture."""
    if not images:
        return [], []
    from mm15_jax.inputs.coordinates import parse_boxes, parse_points

    size = {"width": images[0].width, "height": images[0].height}
    return parse_boxes(answer, **size), parse_points(answer, **size)


def _draw(image, boxes, points, path: str) -> None:
    from mm15_jax.infer.draw import draw_boxes
    from mm15_jax.inputs.tiles import decode_image

    draw_boxes(decode_image(image.data), boxes, points=points).save(path)
