"""Q-Bench2, Mantis-Eval, BLINK, MuirBench and MVBench, from their published files."""

import pytest

from mm15_jax.data.convert.mvbench import evenly
from mm15_jax.evaluation.metrics import score_answer
from mm15_jax.inputs.example import Image
from tests.data.convert.converted import convert
from tests.data.convert.fixtures.multi_image_sets import FIXTURES
from tests.data.convert.pictures import picture


def made(name, root, split="test"):
    FIXTURES[name].make(root)
    module = "mvbench" if name == "mvbench" else "multi_image_benchmarks"
    return convert(module, name, split, root)


def shown(example):
    """Its texts and pictures in order, pictures by their shade."""
    shades = {picture(shade=shade): shade for shade in range(256)}
    return [shades[s.data] if isinstance(s, Image) else s.text for s in example.segments]


def test_qbench2_shows_both_pictures_then_asks_for_a_letter(tmp_path):
    good, bad = made("qbench2", tmp_path, "validation")
    assert shown(good["0"]) == [
        10,
        30,
        "Which image of 0 is clearer?\nA. Yes\nB. No\n"
        "Answer with the option's letter from the given choices directly.",
        "B",
    ]
    assert good["0"].metadata["choices"] == ["Yes", "No"]
    assert [good[key].metadata["subset"] for key in "012"] == ["Yes/No", "What", "How"]
    wrong, broken = bad.values()
    assert wrong == "the answer 'D' of 2 options" and "picture" in broken


def test_mantis_places_pictures_and_letters_options_once(tmp_path):
    good, bad = made("mantis_eval", tmp_path)
    ask = "\nAnswer with the option's letter from the given choices directly."
    assert shown(good["mantis_eval_0"]) == [
        10, 30, " Which is larger?\n (A) the left\n (B) the right" + ask, "B",
    ]  # fmt: skip
    assert shown(good["mantis_eval_1"])[:2] == [10, 30]
    short = good["mantis_eval_2"]
    assert shown(short) == [
        "How many cats are in ", 10, " and ", 30,
        "?\nAnswer the question using a single word or phrase.", "3",
    ]  # fmt: skip
    assert [score_answer(answer, short) for answer in ("3", "4")] == [1, 0]
    assert [score_answer(answer, good["mantis_eval_0"]) for answer in ("(B)", "(A)")] == [1, 0]
    few, kind = bad.values()
    assert few == "2 pictures, and 3 times <image>" and "'essay'" in kind


def test_blink_asks_its_own_prompt_and_letters_are_places(tmp_path):
    good, bad = made("blink", tmp_path, "validation")
    example = good["val_Jigsaw_1"]
    assert shown(example)[:3] == [10, 30, 50]
    assert shown(example)[3] == (
        "Which of these is it?\nSelect from the following choices.\n(A) the second image\n"
        "(B) the third image\nAnswer with the option's letter from the given choices directly."
    )
    depth = good["val_Relative_Depth_1"]
    assert [score_answer(answer, depth) for answer in ("B", "(B)", "A")] == [1, 1, 0]
    counting = good["val_Counting_1"]  # (A) 0, (B) 3, (C) 2, (D) 1
    assert [score_answer(answer, counting) for answer in ("C", "2", "3")] == [1, 1, 0]
    assert {e.metadata["subset"] for e in good.values()} == {
        "Counting", "Relative_Depth", "Jigsaw",
    }  # fmt: skip
    hidden, without = bad.values()
    assert "'HIDDEN'" in hidden and without.startswith("0 pictures")


def test_muirbench_shows_pictures_among_its_options(tmp_path):
    good, bad = made("muirbench", tmp_path)
    assert shown(good["0"]) == [
        "Which is most like ", 10, "?\nA. ", 30, "\nB. None of the choices provided\nC. ", 50,
        "\nAnswer with the option's letter from the given choices directly.", "C",
    ]  # fmt: skip
    assert good["0"].metadata["choices"] == ["image 1", "None of the choices provided", "image 2"]
    assert [score_answer(answer, good["0"]) for answer in ("C.", "A")] == [1, 0]
    assert list(bad.values()) == ["2 pictures, and 1 times <image>", "the answer 'E' of 2 options"]


def test_mvbench_takes_the_middles_of_equal_intervals(tmp_path):
    good, bad = made("mvbench", tmp_path)
    *frames, question, answer = shown(good["action_sequence/0"])
    assert frames == [20, 40, 70, 90, 120, 140, 170, 190] and answer == "B"
    assert question == (
        "Question:What happened after the person came in?\nOption:\n(A) Put down\n(B) Picked up\n"
        "(C) Threw\nOnly give the best option.\n"
    )
    # Seconds 1 to 3 of three frames each: the fourth to the ninth.
    assert shown(good["episodic_reasoning/0"])[:-2] == [40, 50, 60, 70, 80, 90]
    gone, none, late = bad.values()
    assert "frames/action_sequence/gone/" in gone and "'Ran' is not one of" in none
    assert "from second 90.0 to 95.0" in late


@pytest.mark.parametrize(
    ("count", "wanted", "places"), [(2, 4, [0, 1]), (4, 4, [0, 1, 2, 3]), (9, 3, [1, 4, 7])]
)
def test_frames_are_chosen_evenly(count, wanted, places):
    assert evenly(count, wanted) == places
