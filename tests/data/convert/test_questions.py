"""Arrays, lines and objects of JSON with a record a question, from their published layout."""

import pytest

from mm15_jax.data.convert import prompts
from mm15_jax.evaluation.metrics import METRICS, score_answer
from mm15_jax.inputs.example import Image
from tests.data.convert.converted import convert, texts, turns
from tests.data.convert.fixtures.question_sets import FIXTURES

SHORT, LETTER = prompts.SHORT_ANSWER, prompts.OPTION_LETTER
MODULES = {
    name: "json_keyed" if name in ("gqa", "ocrvqa", "scienceqa", "tabmwp") else "json_questions"
    for name in FIXTURES
}


def made(name, root, split="train"):
    FIXTURES[name].make(root)
    return convert(MODULES[name], name, split, root)


@pytest.mark.parametrize("name", FIXTURES)
def test_counts_of_good_and_bad_records(tmp_path, name):
    fixture = FIXTURES[name]
    fixture.make(tmp_path)
    for split, count in fixture.records.items():
        good, bad = convert(MODULES[name], name, split, tmp_path)
        assert (len(good), len(bad)) == (count, fixture.bad.get(split, 0)), (split, bad)


@pytest.mark.parametrize("name", FIXTURES)
def test_right_answers_of_held_out_splits_score_one(tmp_path, name):
    FIXTURES[name].make(tmp_path)
    for split in FIXTURES[name].records:
        if split == "train":
            continue
        for example in convert(MODULES[name], name, split, tmp_path)[0].values():
            answer = texts(example)[-1][1]
            if example.metadata["metric"] in METRICS:
                assert score_answer(answer, example) >= 0.9, example.key


def test_aokvqa_asks_for_a_letter(tmp_path):
    good, bad = made("aokvqa", tmp_path)
    example = good["000000299207/22MexNkBPpdZGX6sxbxVB1"]
    assert turns(example) == [
        (
            "What is the man by the bags awaiting?"
            "\nA. skateboarder\nB. train\nC. delivery\nD. cab" + LETTER,
            "D",
        )
    ]
    assert example.metadata["choices"] == ["skateboarder", "train", "delivery", "cab"]
    assert list(bad.values()) == ["the correct choice is 4 of 4"]


def test_vizwiz_trains_on_the_majority_and_drops_empty_answers(tmp_path):
    good, _ = made("vizwiz", tmp_path)
    [(question, answer)] = turns(good["VizWiz_train_00000000"])
    assert answer == "basil leaves" and question.endswith(prompts.UNANSWERABLE)
    assert good["VizWiz_train_00000001"].metadata["answer"] == ["coca cola"] * 5


def test_chartqa_has_questions_of_people_and_of_machines(tmp_path):
    good, _ = made("chartqa", tmp_path)
    assert sorted(turns(example)[0] for example in good.values()) == [
        ("How many food items are shown?" + SHORT, "14"),
        ("Which has the highest share?" + SHORT, "Lamb"),
    ]
    assert {e.metadata["metric"] for e in good.values()} == {"relaxed_accuracy"}
    assert all(key.startswith("41699051005347/") for key in good)


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        (
            "dvqa",
            "bar_train_00000000",
            ["What is the value of bar 1?", "What is the value of bar 3?"],
        ),
        ("clevr", "CLEVR_train_000000", [f"Are there more than {i} green things?" for i in (0, 1)]),
        ("gqa", "2354786", ["Is the sky dark?", 'Is the { sky } "blue"?']),
        ("ocrvqa", "761183272", ["Who wrote this book?", "Is this a calendar?"]),
    ],
)
def test_questions_on_a_picture_are_one_dialogue_with_one_prompt(tmp_path, name, key, expected):
    good, _ = made(name, tmp_path)
    first, *rest = [question for question, _ in turns(good[key])]
    assert [first.removesuffix(SHORT), *rest] == expected and first.endswith(SHORT)


def test_a_question_without_its_picture_is_named(tmp_path):
    _, bad = made("gqa", tmp_path)
    [(place, reason)] = bad.items()
    assert place.startswith("train_balanced_questions.json@") and reason == "KeyError: 'imageId'"


def test_screenqa_keeps_that_there_is_no_answer(tmp_path):
    good, bad = made("screenqa", tmp_path)
    answers = {key.partition("/")[0]: turns(example)[0][1] for key, example in good.items()}
    assert answers == {"31": "128 bits", "100": "<no answer>"}
    assert list(bad.values()) == ["no answer"]


def test_arxivqa_labels_come_in_many_spellings(tmp_path):
    good, bad = made("arxivqa", tmp_path)
    [(question, answer)] = turns(good["physics-8049"])
    assert question.endswith("\nA. Full\nB. Half\nC. None\nD. All" + LETTER) and answer == "B"
    assert turns(good["cs-1"])[0][1] == "A"
    reasons = sorted(reason.partition(":")[0] for reason in bad.values())
    assert reasons == [
        "a line that is not JSON",
        "the correct choice is 4 of 2",
        "the label 'none of them' names no option",
    ]


def test_geomverse_reasons_before_it_answers(tmp_path):
    good, _ = made("geomverse", tmp_path)
    [(question, answer)] = turns(good["GeomVerse/TRAIN/TRAIN_MIX/TRAIN_MIX_1/images/1"])
    assert question.endswith(prompts.STEP_BY_STEP)
    assert answer.startswith("The area is") and answer.endswith("\nAnswer: 64.0")


def test_ocrvqa_splits_are_numbers_in_one_file(tmp_path):
    good, bad = made("ocrvqa", tmp_path, "test")
    assert set(good) == {"1597132255/0", "1597132255/1"} and not bad
    _, bad = convert("json_keyed", "ocrvqa", "train", tmp_path)
    assert bad == {"dataset.json: 1578051631": "1 questions and 0 answers"}


def test_scienceqa_without_a_picture_is_text(tmp_path):
    good, _ = made("scienceqa", tmp_path)
    assert isinstance(good["1"].segments[0], Image) and turns(good["1"])[0][1] == "A"
    (role, question), (_, answer) = texts(good["2"])
    assert len(good["2"].segments) == 2 and role == "user" and answer == "B"
    assert question.startswith("Context: A passage.\nWhich of these states")


def test_tabmwp_trains_on_solutions_and_is_scored_on_answers(tmp_path):
    good, _ = made("tabmwp", tmp_path)
    [(question, answer)] = turns(good["1"])
    assert "(Unit: kilometers)" in question and question.endswith(prompts.STEP_BY_STEP)
    assert answer == "Read the numbers.\nThe mean is 6.\nAnswer: 6"
    assert "\nChoices: shortage, surplus." in turns(good["2"])[0][0]
    held_out, bad = convert("json_keyed", "tabmwp", "test", tmp_path)
    assert turns(held_out["4"])[0][1] == "6" and held_out["4"].metadata["answer"] == "6"
    assert list(bad.values()) == ["the answer 'neither' is none of the choices"]
