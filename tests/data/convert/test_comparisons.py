"""Comparisons of pictures, from their published files."""

import pytest

from mm15_jax.data.convert import comparisons
from mm15_jax.data.source import Source
from mm15_jax.evaluation.metrics import score_answer
from mm15_jax.inputs.example import Image
from tests.data.convert.converted import convert, texts
from tests.data.convert.fixtures.comparison_sets import FIXTURES, NIGHTS
from tests.data.convert.pictures import picture


def made(name, root, split="train"):
    FIXTURES[name].make(root)
    return convert("comparisons", name, split, root)


def pictures(example):
    return [segment.data for segment in example.segments if isinstance(segment, Image)]


@pytest.mark.parametrize("name", FIXTURES)
def test_counts(tmp_path, name):
    FIXTURES[name].make(tmp_path)
    for split, count in FIXTURES[name].records.items():
        good, bad = convert("comparisons", name, split, tmp_path)
        assert (len(good), len(bad)) == (count, FIXTURES[name].bad.get(split, 0)), (split, bad)


def test_nlvr2_asks_whether_a_statement_is_true(tmp_path):
    good, bad = made("nlvr2", tmp_path)
    example = good["train-10171-0-1"]
    assert pictures(example) == [picture(64, 48, 10, "PNG"), picture(32, 48, 30)]
    assert [segment.role for segment in example.segments] == ["user"] * 3 + ["assistant"]
    assert texts(example) == [
        (
            "user",
            "The left image of train-10171-0-1 shows a curving walkway.\n"
            "Is the statement about the two images true or false?",
        ),
        ("assistant", "False"),
    ]
    missing, torn = bad.values()
    assert "images/train/7/train-1-1-img0.png" in missing and "not JSON" in torn
    held_out, _ = convert("comparisons", "nlvr2", "validation", tmp_path)
    example = held_out["dev-850-0-0"]
    assert example.metadata == {"answer": "False", "metric": "exact_match"}
    assert [score_answer(answer, example) for answer in ("false", "True")] == [1, 0]
    assert list(convert("comparisons", "nlvr2", "test", tmp_path)[1].values()) == [
        "the label 'maybe', expected True or False"
    ]


def test_nights_leaves_out_triplets_that_people_disagree_on(tmp_path):
    good, bad = made("dreamsim", tmp_path)
    assert {key: texts(example)[1][1] for key, example in good.items()} == {"1": "A", "2": "B"}
    question = texts(good["1"])[0][1]
    assert "\nA. The second image\nB. The third image\n" in question
    shades = [picture(shade=shade, kind="PNG") for shade in (10, 30, 50)]
    assert pictures(good["1"]) == shades
    assert list(bad) == ["data.csv#3"]
    example = convert("comparisons", "dreamsim", "test", tmp_path)[0]["6"]
    assert example.metadata["choices"] == ["The second image", "The third image"]
    assert [score_answer(answer, example) for answer in ("B", "A")] == [1, 0]


def test_a_table_without_its_columns_is_told(tmp_path):
    (tmp_path / "data.csv").write_text(NIGHTS[0].replace("right_vote", "vote"))
    nights = next(p for p in comparisons.PREPARATIONS if p.name == "dreamsim")
    with pytest.raises(ValueError, match=r"data.csv .* has no column right_vote"):
        nights.parts("train", Source(tmp_path))


def test_birds_are_described_once_an_example_and_scored_against_all(tmp_path):
    good, bad = made("birds_to_words", tmp_path)
    assert {key: texts(example)[1][1] for key, example in good.items()} == {
        "train-647514-5595152-1": 'Animal 1 is "brown", animal 2\tblue.',
        "train-647514-5595152-3": "Animal 2 is larger.",
    }
    brown, blue = picture(shade=10), picture(shade=30, kind="PNG")
    assert [pictures(example) for example in good.values()] == [[brown, blue]] * 2
    assert "images/1.jpg" in next(iter(bad.values()))
    good, _ = convert("comparisons", "birds_to_words", "validation", tmp_path)
    assert {key: example.metadata["answer"] for key, example in good.items()} == {
        "validation-5595152-647514": ["One.", "Three."],
        "validation-647514-5595152": ["Two."],
    }


def test_spot_the_diff_lists_what_changed(tmp_path):
    good, bad = made("spot_the_diff", tmp_path)
    assert {key: texts(example)[1] for key, example in good.items()} == {
        "train-400-0": ("assistant", "two of the three people have moved\na car is gone"),
        "train-400-3": ("assistant", "no difference"),
    }
    before, after = picture(shade=10, kind="PNG"), picture(shade=30, kind="PNG")
    assert pictures(good["train-400-0"]) == [before, after]
    (reason,) = bad.values()
    assert "401.png" in reason
    ((key, example),) = convert("comparisons", "spot_the_diff", "test", tmp_path)[0].items()
    assert key == "test-402" and example.metadata == {
        "answer": [
            "two of the three people have moved\na car is gone",
            "there is no picture",
            "no difference",
        ],
        "metric": "cider",
    }
