"""Data sets with a file or a folder a problem: IconQA, Geometry3K, RAVEN, Design2Code.

Formats: IconQA and Geometry3K as the Cauldron and lupantech/InterGPS read them, RAVEN-10000 as
WellyZhang/RAVEN does (its .npz files without pickles: "image" uint8[16, 160, 160], eight panels of
the problem and eight of the answers, and "target"), Design2Code as SALT-NLP publishes it.
"""

from __future__ import annotations

import io
import json
import posixpath
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import FILE_NAMES, file_preparation
from mm15_jax.data.convert.segments import image_of
from mm15_jax.data.convert.table_picture import label_font
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.inputs.example import Example, Image, Segment, Text

_PUBLISHED = {"train": "train", "validation": "val", "test": "test"}


def _loaded(maker: Maker, name: str) -> tuple[str, dict]:
    """The folder of a data.json, and what is in the file."""
    return posixpath.dirname(name), json.loads(maker.source.read(name))


def _iconqa(maker: Maker, name: str) -> Example:
    folder, problem = _loaded(maker, name)
    kind, identity = folder.split("/")[-2:]
    key, picture = f"{kind}/{identity}", maker.picture(f"{folder}/image.png")
    if kind == "choose_img":
        return _choose_picture(maker, key, picture, folder, problem)
    if kind == "choose_txt":
        return maker.choice(
            key, picture, problem["question"], problem["choices"], problem["answer"]
        )
    return maker.short(key, picture, problem["question"], problem["answer"], "exact_match")


def _choose_picture(
    maker: Maker, key: str, picture: Image, folder: str, problem: dict[str, Any]
) -> Example:
    """A picture and a question, then the choices: a letter and a picture each."""
    names: Sequence[str] = problem["choices"]
    correct = problem["answer"]
    if not 0 <= correct < len(names):
        raise DataError(f"the correct choice is {correct!r} of {len(names)}")
    segments: list[Segment] = [picture, Text(problem["question"].strip(), role="user")]
    for number, name in enumerate(names):
        segments.append(Text(f"\n{prompts.letter_of(number)}. ", role="user"))
        segments.append(maker.picture(f"{folder}/{name}"))
    letter = prompts.letter_of(correct)
    segments.append(Text(prompts.OPTION_LETTER, role="user"))
    segments.append(Text(letter, role="assistant", loss=True))
    metadata = {"answer": letter, "metric": "multiple_choice", "choices": list(names)}
    return Example(tuple(segments), maker.name, key, maker.category, metadata)


def _intergps(maker: Maker, name: str) -> Example:
    folder, problem = _loaded(maker, name)
    choices = problem["choices"]
    if problem["answer"] not in prompts.LETTERS[: len(choices)]:
        raise DataError(f"the answer is {problem['answer']!r} of {len(choices)} choices")
    return maker.choice(
        posixpath.basename(folder),
        maker.picture(f"{folder}/img_diagram.png"),
        problem["problem_text"],
        choices,
        prompts.letter_index(problem["answer"]),
    )


_PANELS, _SIDE = 16, 160
_MOST_BYTES = 2 * _PANELS * _SIDE * _SIDE  # of an array, so that a lying archive is refused
_GAP, _LABEL = 8, 24
_RAVEN_QUESTION = (
    "The picture shows a matrix of three rows of panels with the last panel missing, and below it"
    " eight panels, A to H. Which of them completes the matrix?"
)


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    info = archive.getinfo(f"{name}.npy")
    if info.file_size > _MOST_BYTES:
        raise DataError(f"{info.filename} claims {info.file_size} bytes")
    return np.load(io.BytesIO(archive.read(info)), allow_pickle=False)


def _raven(maker: Maker, name: str) -> Example:
    try:
        with zipfile.ZipFile(io.BytesIO(maker.source.read(name))) as archive:
            panels = _array(archive, "image").reshape(_PANELS, _SIDE, _SIDE)
            target = int(_array(archive, "target"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise DataError(f"not a problem of RAVEN ({error})") from error
    if panels.dtype != np.uint8 or not 0 <= target < 8:
        raise DataError(f"panels of {panels.dtype}, target {target}")
    letter = prompts.letter_of(target)
    return maker.example(
        name.removesuffix(".npz"),
        _matrix(panels),
        [(_RAVEN_QUESTION + prompts.OPTION_LETTER, letter)],
        answer=letter,
        metric="exact_match",
    )


def _matrix(panels: np.ndarray) -> Image:
    """Three rows of three with a question mark at the end, then two rows of four with letters."""
    step = _SIDE + _GAP
    width, height = 4 * step + _GAP, 3 * step + 2 * (step + _LABEL) + 2 * _GAP
    sheet = PIL.Image.new("L", (width, height), 255)
    draw = PIL.ImageDraw.Draw(sheet)

    def put(number: int | None, x: int, y: int) -> None:
        if number is not None:
            sheet.paste(PIL.Image.fromarray(panels[number]), (x, y))
        draw.rectangle((x - 1, y - 1, x + _SIDE, y + _SIDE), outline=0)

    left = (width - 3 * step + _GAP) // 2
    for cell in range(9):
        put(cell if cell < 8 else None, left + cell % 3 * step, _GAP + cell // 3 * step)
    middle = (left + 2 * step + _SIDE // 2, _GAP + 2 * step + _SIDE // 2)
    draw.text(middle, "?", 0, label_font(64), anchor="mm")
    for choice in range(8):
        x = _GAP + choice % 4 * step
        y = 3 * step + 2 * _GAP + choice // 4 * (step + _LABEL)
        draw.text((x + _SIDE // 2, y), prompts.letter_of(choice), 0, label_font(18), anchor="ma")
        put(8 + choice, x, y + _LABEL)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return image_of(buffer.getvalue(), role="user")


def _design2code(maker: Maker, name: str) -> Example:
    html = maker.source.read(name).decode("utf-8")
    stem = name.removesuffix(".html")
    return maker.example(
        posixpath.basename(stem), maker.picture(f"{stem}.png"), [(prompts.WEB_PAGE, html)]
    )


PREPARATIONS: tuple[Preparation, ...] = (
    file_preparation(
        name="iconqa",
        category="knowledge",
        description="Questions on diagrams of icons, with choices of text or pictures, or a blank.",
        licence="CC BY-NC-SA 4.0",
        format="problem_folders",
        layout="of the folder iconqa_data/iconqa: train/, val/, test/, in each choose_img/,"
        " choose_txt/, fill_in_blank/ with a folder a problem: data.json and image.png",
        files={
            split: tuple(
                f"{folder}/{kind}/*/data.json"
                for kind in ("choose_img", "choose_txt", "fill_in_blank")
            )
            for split, folder in _PUBLISHED.items()
        },
        reading=FILE_NAMES,
        example=_iconqa,
    ),
    file_preparation(
        name="intergps",
        category="knowledge",
        description="Problems of school geometry with a diagram and four choices (Geometry3K).",
        licence="see publisher (github.com/lupantech/InterGPS)",
        format="problem_folders",
        layout="of the folder geometry3k: train/, val/, test/ with a folder a problem: data.json"
        " and img_diagram.png",
        files={split: (f"{folder}/*/data.json",) for split, folder in _PUBLISHED.items()},
        reading=FILE_NAMES,
        example=_intergps,
    ),
    file_preparation(
        name="raven",
        category="knowledge",
        description="Progressive matrices: which panel completes the pattern.",
        licence="GPL-3.0",
        format="problem_folders",
        layout="of RAVEN-10000: center_single/ and the six other configurations, in each"
        " RAVEN_0_train.npz and the like",
        files={split: (f"*/RAVEN_*_{part}.npz",) for split, part in _PUBLISHED.items()},
        reading=FILE_NAMES,
        example=_raven,
    ),
    file_preparation(
        name="design2code",
        category="code",
        description="Screenshots of real web pages and their HTML; published as one set for tests,"
        " which the recipe trains on.",
        licence="ODC-BY 1.0",
        format="problem_folders",
        layout="of the folder testset_final: N.html and N.png",
        files={"train": ("*.html|testset_final/*.html",)},
        reading=FILE_NAMES,
        example=_design2code,
    ),
)
