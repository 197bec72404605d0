"""Makes the pictures of the README from a run of `make train`.

python scripts/make_figures.py runs/quickstart
"""

import pathlib
import sys
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image

from mm15_jax.data.miniature import SETS
from mm15_jax.data.miniature.sampling import Sampler
from mm15_jax.data.miniature.ui.screens import PLATFORMS, draw
from mm15_jax.infer.draw import draw_boxes
from mm15_jax.inputs.coordinates import parse_boxes
from mm15_jax.inputs.example import Image, Text
from mm15_jax.inputs.tiles import decode_image
from mm15_jax.train.metrics import read_rows

FIGURES = pathlib.Path(__file__).parents[1] / "docs" / "figures"
# Benchmarks of each capability.
SHOWN = (
    "mini_scene_qa",
    "mini_word_qa",
    "mini_document_qa",
    "mini_chart_qa",
    "mini_table_qa",
    "mini_diagram_qa",
    "mini_grounding",
    "mini_compare",
)
EACH = 2  # pictures of each benchmark
COLUMNS = 8
LINE = 24  # characters
SCENE = ("mini_grounding", "test")


def scene() -> None:
    """The first held-out grounding picture with a red circle, enlarged without smoothing."""
    generated = SETS[SCENE[0]]
    for index in range(generated.count(SCENE[1])):
        example = generated.example(SCENE[1], index)
        if any(isinstance(s, Text) and "the red circle" in s.text for s in example.segments):
            picture = next(s for s in example.segments if isinstance(s, Image))
            image = PIL.Image.fromarray(decode_image(picture.data))
            image.save(FIGURES / "scene.png")
            return


def screens() -> None:
    """Held-out screens with what is on them, and one to ask about."""
    shown = []
    for index in range(8):
        sampler = Sampler("figure", "test", index, 8)
        drawn = draw(sampler, PLATFORMS[index % 2])
        names = [element.says or element.widget for element in drawn.elements]
        pixels = drawn.screen.pixels
        enlarged = draw_boxes(
            np.repeat(np.repeat(pixels, 2, 0), 2, 1),
            [tuple(2 * v for v in element.box) for element in drawn.elements],
            names if index % 4 == 3 else None,
            minimum_side=1,
        )
        plain = PIL.Image.fromarray(np.repeat(np.repeat(pixels, 2, 0), 2, 1))
        shown.append(enlarged if index % 2 else plain)
    height = max(picture.height for picture in shown)
    sheet = PIL.Image.new("RGB", (len(shown) * 204 - 12, height), "white")
    for place, picture in enumerate(shown):
        sheet.paste(picture, (place * 204, 0))
    sheet.save(FIGURES / "screens.png", optimize=True)
    generated = SETS["mini_ui_grd_ios"]
    for index in range(generated.count("test")):
        example = generated.example("test", index)
        picture = example.segments[0]
        asked = " ".join(s.text for s in example.segments if isinstance(s, Text))
        if isinstance(picture, Image) and "settings icon" in asked:
            (FIGURES / "screen.png").write_bytes(picture.data)
            return


def gallery(run_dir: pathlib.Path) -> None:
    """The first answers of each benchmark, as they came."""
    panels = [
        (name, answer)
        for name in SHOWN
        for answer in read_rows(run_dir / "eval" / f"{name}.jsonl")[:EACH]
    ]
    rows = len(panels) // COLUMNS
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(2.2 * COLUMNS, 3.1 * rows))
    for axis, (name, answer) in zip(axes.flat, panels, strict=True):
        _panel(axis, name, answer)
    figure.subplots_adjust(0.01, 0.13, 0.99, 0.93, wspace=0.12, hspace=0.6)
    figure.savefig(FIGURES / "quickstart.png", dpi=75)


def _panel(axis, name: str, answer: dict) -> None:
    example = SETS[name].example("test", answer["index"])
    pictures = [decode_image(s.data) for s in example.segments if isinstance(s, Image)]
    shown = []
    for pixels in pictures:
        boxes = parse_boxes(answer["answer"], width=pixels.shape[1], height=pixels.shape[0])
        shown.append(draw_boxes(pixels, boxes, minimum_side=288))
    width = sum(p.width for p in shown) + 12 * (len(shown) - 1)
    sheet = PIL.Image.new("RGB", (width, max(p.height for p in shown)), "white")
    left = 0
    for picture in shown:
        sheet.paste(picture, (left, 0))
        left += picture.width + 12
    axis.imshow(sheet)
    axis.set_axis_off()
    right = answer["score"] == 1  # a line that is nearly read scores less
    question = answer["question"].replace("[image]", "").strip()
    axis.set_title("\n".join(textwrap.wrap(question, LINE)), fontsize=9)
    text = answer["answer"] if right else f"{answer['answer']} (truth: {answer['truth'][0]})"
    colour = "#137333" if right else "#b3261e"
    text = "\n".join(textwrap.wrap(text, LINE))
    axis.text(
        0.5, -0.05, text, transform=axis.transAxes, ha="center", va="top", fontsize=9, color=colour
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/make_figures.py RUN_DIR")
    FIGURES.mkdir(parents=True, exist_ok=True)
    scene()
    screens()
    gallery(pathlib.Path(sys.argv[1]))
