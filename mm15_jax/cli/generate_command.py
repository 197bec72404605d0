"""mm15 generate --run_dir RUN --image PICTURE ... --prompt TEXT ... [--draw OUT.png] [--json]

Answers a question about pictures, and about clips by --video: a video file, or a folder of frames.
Several --prompt are the turns of one conversation. --draw writes a copy of the first picture with
the boxes and points that prompts and answers name, or a contact sheet of the first clip. With
neither --image nor --video the question is about text alone.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib

from absl import flags as absl_flags

from mm15_jax.cli import common
from mm15_jax.config import set_by_hand, validate
from mm15_jax.config.schema import MOST_NEW_TOKENS


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
    absl_flags.DEFINE_multi_string(
        "prompt", [], "the question; repeat it for the turns of a conversation", flag_values=flags
    )
    common.define_string(
        flags, "draw", None, "where to write the picture with its boxes, or the clip's frames"
    )
    absl_flags.DEFINE_integer(
        "max_new_tokens", 64, "most tokens of an answer", 1, MOST_NEW_TOKENS, flag_values=flags
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
    if flags.draw and not (flags.image or flags.video):
        raise ValueError(
            "--draw needs something to draw: name it with --image PICTURE or --video CLIP"
        )
    if flags.draw and pathlib.Path(flags.draw).suffix.lower() not in (
        ".png",
        ".jpg",
        ".jpeg",
        ".webp",
    ):
        raise ValueError(f"--draw {flags.draw} is no picture file; end its name with .png or .jpg")
    folder = pathlib.Path(flags.draw or "").parent
    if not folder.is_dir():
        raise ValueError(f"--draw {flags.draw}: there is no folder {folder}")
    if flags["top_p"].present and not flags.temperature:
        raise ValueError("--top_p is of sampled answers: give --temperature above 0 too")
    images = [_read_image(path) for path in flags.image]
    clips = [_read_video(path) for path in flags.video]
    run_dir, config = common.run_config(flags.run_dir)
    config = set_by_hand(config, flags.set)
    validate(config)

    from mm15_jax.infer.sampling import Sampling

    sampling = Sampling(temperature=flags.temperature, top_p=flags.top_p, seed=flags.seed)
    turns = _converse(
        common.generator(run_dir, config, flags.checkpoint),
        (*images, *clips),
        flags.prompt,
        {"max_new_tokens": flags.max_new_tokens, "batch_size": 1},
        sampling,
    )
    found = []
    for _, answer in turns:
        boxes, points = _places(answer, images)
        found.append({"answer": answer, "boxes": boxes, "points": points})
    if flags.json:
        print(json.dumps(found[-1] if len(found) == 1 else {"turns": found, **found[-1]}))
    else:
        print("\n".join(answer for _, answer in turns))
    if flags.draw and images:
        _draw(images[0], turns, flags.draw)
    elif flags.draw:
        _draw_frames(clips[0], config.inputs.video.frames, flags.draw)
    return 0


def _converse(generator, shown, prompts, options, sampling) -> list[tuple[str, str]]:
    """Each prompt and its answer; every answer is part of what the next is asked after."""
    from mm15_jax.infer.sampling import SEEDS
    from mm15_jax.inputs.example import Example, Text

    segments: list = list(shown)
    turns: list[tuple[str, str]] = []
    for prompt in prompts:
        segments.append(Text(prompt, role="user"))
        # An answer that is wanted has loss; those that were given have none.
        wanted = [Text("", role="assistant", loss=True)] if turns else []
        example = Example((*segments, *wanted), "command line", "0", "", {})
        # Every turn draws anew: with one seed all would draw alike.
        drawn = dataclasses.replace(sampling, seed=(sampling.seed + len(turns)) % SEEDS)
        answer = generator.generate([example], sampling=drawn, **options)[0]
        segments.append(Text(answer, role="assistant"))
        turns.append((prompt, answer))
    return turns


def _read_image(path: str):
    from mm15_jax.inputs.example import Image
    from mm15_jax.inputs.tiles import decode_image

    file = pathlib.Path(path)
    if file.is_dir():
        raise ValueError(f"--image {path} is a folder; expected a picture")
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


def _places(text: str, images) -> tuple[list, list]:
    """Boxes and points that a text names, in pixels of the first picture."""
    if not images:
        return [], []
    from mm15_jax.inputs.coordinates import parse_boxes, parse_points

    size = {"width": images[0].width, "height": images[0].height}
    return parse_boxes(text, **size), parse_points(text, **size)


def _draw(image, turns, path: str) -> None:
    """The picture with the places of prompts and of answers, each in its colour."""
    from mm15_jax.evaluation.cards import ANSWER_COLOUR, ASKED_COLOUR
    from mm15_jax.infer.draw import draw_boxes
    from mm15_jax.inputs.tiles import decode_image

    boxes, labels, box_colours, points, point_colours = [], [], [], [], []
    for number, turn in enumerate(turns, 1):
        said = (("asked", ASKED_COLOUR), ("answer", ANSWER_COLOUR))
        for text, (name, colour) in zip(turn, said, strict=True):
            own_boxes, own_points = _places(text, [image])
            boxes += own_boxes
            labels += [name if len(turns) == 1 else f"{name} {number}"] * len(own_boxes)
            box_colours += [colour] * len(own_boxes)
            points += own_points
            point_colours += [colour] * len(own_points)
    drawn = draw_boxes(
        decode_image(image.data),
        boxes,
        labels,
        points=points,
        colours=[*box_colours, *point_colours],
    )
    drawn.save(path)


def _draw_frames(clip, frames: int, path: str) -> None:
    from mm15_jax.infer.contact_sheet import contact_sheet

    contact_sheet(clip, frames).save(path)
