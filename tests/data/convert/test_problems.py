"""Data sets with a file or a folder a problem, code, and captions, from their published layout."""

import io

import numpy as np
import PIL.Image
import pytest

from mm15_jax.data.convert import prompts
from mm15_jax.inputs.example import Image, Text
from tests.data.convert.converted import convert, turns
from tests.data.convert.fixtures import code_and_caption_sets, problem_sets
from tests.data.convert.pictures import picture

FIXTURES = problem_sets.FIXTURES | code_and_caption_sets.FIXTURES
MODULES = {
    **dict.fromkeys(problem_sets.FIXTURES, "problem_folders"),
    "ai2d": "ai2d",
    "websight": "code_pictures",
    "datikz": "code_pictures",
    **dict.fromkeys(("coco_captions", "nocaps", "chart_to_text"), "captions"),
}


def made(name, root, split="train"):
    FIXTURES[name].make(root)
    return convert(MODULES[name], name, split, root)


def pixels(image):
    with PIL.Image.open(io.BytesIO(image.data)) as decoded:
        return np.asarray(decoded.convert("RGB"))


@pytest.mark.parametrize("name", FIXTURES)
def test_counts_of_good_and_bad_records(tmp_path, name):
    fixture = FIXTURES[name]
    fixture.make(tmp_path)
    for split, count in fixture.records.items():
        good, bad = convert(MODULES[name], name, split, tmp_path)
        assert (len(good), len(bad)) == (count, fixture.bad.get(split, 0)), (split, bad)


def test_ai2d_letters_cover_the_texts_of_the_diagram(tmp_path):
    good, bad = made("ai2d", tmp_path)
    plain, lettered = good["0.png-2"].segments[0], good["0.png-0"].segments[0]
    assert plain.data == picture(64, 48, shade=90, kind="PNG")
    before, after = pixels(plain), pixels(lettered)
    assert (after[6, 6] == 255).all() and (after[32, 42] == 255).all()  # covered
    assert after[5:20, 5:30].min() < 80  # and printed upon
    outside = np.ones(before.shape[:2], bool)
    outside[4:21, 4:31] = outside[30:45, 40:61] = False
    assert (before[outside] == after[outside]).all()
    assert turns(good["0.png-0"]) == [
        (
            "What is A in the diagram?\nA. ears\nB. nose\nC. eye" + prompts.OPTION_LETTER,
            "B",
        )
    ]
    assert bad == {"7.png-0": "IndexError: list index out of range"}


def test_ai2d_options_that_are_letters_are_not_lettered_again(tmp_path):
    good, _ = made("ai2d", tmp_path)
    question = f"Which letter is the ear?\nChoices: B, A.{prompts.CHOICE_ITSELF}"
    assert turns(good["0.png-1"]) == [(question, "B")]
    assert good["0.png-1"].metadata["choices"] == ["B", "A"]


def test_ai2d_test_pictures_are_those_of_the_list(tmp_path):
    good, _ = made("ai2d", tmp_path, "test")
    assert list(good) == ["5.png-0"]


def test_iconqa_choices_may_be_pictures(tmp_path):
    good, bad = made("iconqa", tmp_path)
    segments = good["choose_img/1"].segments
    shape = [s.text if isinstance(s, Text) else (s.width, s.height) for s in segments]
    assert shape == [
        (64, 48),
        "Which picture has more?",
        "\nA. ",
        (20, 20),
        "\nB. ",
        (20, 20),
        prompts.OPTION_LETTER,
        "B",
    ]
    assert segments[3].data == picture(20, 20, 40, kind="PNG")
    assert [s.role for s in segments] == ["user"] * 7 + ["assistant"]
    assert turns(good["choose_txt/2"])[0][1] == "C"
    assert turns(good["fill_in_blank/3"])[0][1] == "7"
    assert set(bad) == {"train/choose_txt/9/data.json", "train/fill_in_blank/8/data.json"}


def test_geometry_answers_are_letters(tmp_path):
    good, bad = made("intergps", tmp_path)
    [(question, answer)] = turns(good["1"])
    assert answer == "D" and "\nA. 5.8\nB. 30\nC. 33\nD. 45" in question
    assert list(bad.values()) == ["the answer is 'E' of 4 choices"]


def test_raven_shows_the_matrix_and_the_lettered_choices(tmp_path):
    good, bad = made("raven", tmp_path)
    example = good["center_single/RAVEN_0_train"]
    assert turns(example)[0][1] == "D" and turns(good["distribute_four/RAVEN_7_train"])[0][1] == "A"
    image = example.segments[0]
    assert isinstance(image, Image) and image.width == 4 * 168 + 8
    sheet = pixels(image)[:, :, 0]
    left, step = (image.width - 3 * 168 + 8) // 2, 168
    for panel in range(8):  # the middle of each panel has its own grey
        x, y = left + panel % 3 * step + 80, 8 + panel // 3 * step + 80
        assert sheet[y, x] == panel * 10
    for choice in range(8):
        x, y = 8 + choice % 4 * step + 80, 3 * step + 16 + choice // 4 * (step + 24) + 24 + 80
        assert sheet[y, x] == 80 + choice * 10
    missing = sheet[
        8 + 2 * step + 10 : 8 + 3 * step - 20, left + 2 * step + 10 : left + 3 * step - 20
    ]
    assert missing.min() < 50 and (missing == 255).mean() > 0.8  # a question mark
    assert "pickle" in bad["center_single/RAVEN_1_train.npz"]
    assert "claims 4096128 bytes" in bad["center_single/RAVEN_2_train.npz"]
    assert "target 8" in bad["center_single/RAVEN_3_train.npz"]


def test_code_is_the_answer_to_its_picture(tmp_path):
    good, bad = made("websight", tmp_path)
    example = good["data/train-00001-of-00002.parquet#0"]
    assert turns(example) == [(prompts.WEB_PAGE, "<html>\n<h1>Shop 2</h1>\n</html>")]
    assert "picture is not readable" in bad["data/train-00001-of-00002.parquet#1"]
    good, bad = made("datikz", tmp_path / "other")
    [(question, answer)] = turns(good["data/train-00000-of-00001.parquet#0"])
    assert question == prompts.TIKZ and answer.startswith("\\documentclass")
    assert list(bad.values()) == ["no text in column code"]
    good, _ = made("design2code", tmp_path / "pages")
    assert turns(good["10"])[0][1].endswith("<p>Page 10</p></html>\n")


def test_a_picture_has_one_caption_of_training_and_all_references(tmp_path):
    good, bad = made("coco_captions", tmp_path)
    example = good["000000000009"]
    [(question, answer)] = turns(example)
    assert question == prompts.ONE_SENTENCE_CAPTION
    references = ["A bowl on a table.", "Two boxes on a table.", "Fruit on a table."]
    assert example.metadata == {"answer": references, "metric": "cider"} and answer in references
    assert example.segments[0].data == picture(shade=9)
    assert len(bad) == 1 and "image 7" in next(iter(bad.values()))
    again, _ = convert("captions", "coco_captions", "train", tmp_path)
    assert again["000000000009"] == example


def test_charts_of_many_columns_lie_in_a_folder_of_their_own(tmp_path):
    good, bad = made("chart_to_text", tmp_path)
    assert turns(good["statista_dataset/dataset/1"]) == [
        (prompts.CHART_SUMMARY, "Summary 1 of statista.")
    ]
    assert turns(good["pew_dataset/dataset/multiColumn/2"])[0][1] == "Summary 2 of pew."
    assert len(bad) == 1 and "captions/99.txt" in next(iter(bad.values()))
