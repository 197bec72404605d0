"""What a page shows of one answer: pictures with the places drawn, question, answer, truth."""

from __future__ import annotations

import base64
import io
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, UnidentifiedImageError

from mm15_jax.infer.draw import draw_boxes
from mm15_jax.inputs.coordinates import parse_boxes, parse_points
from mm15_jax.inputs.tiles import decode_image

ANSWER_COLOUR, TRUTH_COLOUR, ASKED_COLOUR = "#0072B2", "#E69F00", "#D81B7A"
_DRAWN_SIDE = 250  # pixels; about what a card shows, so that lines and labels keep their size
_READABLE = 560  # pixels; a picture at least this wide is shown over the whole width of the page


def card_of(directory: pathlib.Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the template's macro `card`.

    Args:
      directory: of the benchmark's pictures.
      row: of the answers file, with "pictures".
    """
    pictures = [
        _picture(directory / name, row if number == row.get("image", 0) else None)
        for number, name in enumerate(row["pictures"])
    ]
    truth = row["truth"]
    score = row["score"]
    verdict = "unjudged" if score is None else "right" if score >= 1 else "partly"
    verdict = "wrong" if score is not None and score <= 0 else verdict
    return {
        "pictures": pictures,
        "question": _tidy(row["question"].replace("[image]", "")),
        "before": row.get("before", "").replace("[image]", "").strip(),
        "answer": row["answer"],
        "truth": truth if isinstance(truth, str) else " / ".join(dict.fromkeys(truth)),
        "verdict": verdict,
        "reply": row.get("judgement", {}).get("reply", ""),
        "score": score,
        "wide": any(picture["width"] >= _READABLE for picture in pictures) or len(pictures) > 2,
    }


def with_pictures(
    directory: pathlib.Path, rows: Sequence[Mapping[str, Any]], most: int
) -> list[Mapping[str, Any]]:
    """The first rows, at most so many, whose pictures were kept and are there still.

    Args:
      directory: of the benchmark's pictures.
      rows: of the answers file.
      most: rows of the result.
    """
    there = (
        row
        for row in rows
        if "pictures" in row and all((directory / name).exists() for name in row["pictures"])
    )
    return list(itertools.islice(there, most))


def _tidy(text: str) -> str:
    """Its lines, which options stand in, without spaces that say nothing."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _picture(path: pathlib.Path, row: Mapping[str, Any] | None) -> dict[str, Any]:
    """A picture as a data URI, with the places drawn that its row asks for or answers."""
    data = path.read_bytes()
    image = Image.fromarray(decode_image(data))
    width, height = image.size
    boxes, points, labels, colours = _places(row, width, height) if row else ([], [], [], [])
    if colours:
        image = draw_boxes(
            image, boxes, labels, points=points, colours=colours, minimum_side=_DRAWN_SIDE
        )
        data = _encode(image)
    elif not _shown_by_browsers(data):
        data = _encode(image)
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return {
        "uri": f"data:image/{kind};base64,{base64.b64encode(data).decode()}",
        "width": width,
        "height": height,
        "small": max(width, height) <= 160 and not colours,
    }


def _places(row: Mapping[str, Any], width: int, height: int) -> tuple[list, list, list, list]:
    """Boxes, points, labels of boxes and colours of both that belong into a row's picture."""
    size = {"width": width, "height": height}
    if row["metric"] in ("iou", "point_in_box") and row.get("box"):
        # The truth first: where both agree, the answer is what one wants to see.
        answered = parse_boxes(row["answer"], **size)[:1]
        points = [] if answered else parse_points(row["answer"], **size)[:1]
        boxes = [row["box"], *answered]
        labels = ["truth", "answer"][: len(boxes)]
        colours = [TRUTH_COLOUR, *([ANSWER_COLOUR] * (len(answered) + len(points)))]
        return boxes, points, labels, colours
    said = f"{row.get('before', '')} {row['question']}"
    boxes, points = parse_boxes(said, **size), parse_points(said, **size)
    return boxes, points, [""] * len(boxes), [ASKED_COLOUR] * (len(boxes) + len(points))


def _shown_by_browsers(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format in ("PNG", "JPEG") and max(image.size) <= 1600
    except UnidentifiedImageError:
        return False


def _encode(image: Image.Image) -> bytes:
    """PNG, or JPEG where that is far smaller, at most 1,600 pixels on a side."""
    image.thumbnail((1600, 1600), Image.Resampling.LANCZOS)
    png, jpeg = io.BytesIO(), io.BytesIO()
    image.save(png, "PNG", optimize=True)
    image.save(jpeg, "JPEG", quality=88, subsampling=0)
    return min(png.getvalue(), jpeg.getvalue(), key=len)
