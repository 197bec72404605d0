"""Metrics of single benchmarks, where rules are ours; for the rest test_metric_goldens.py."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

from mm15_jax.evaluation import metrics
from mm15_jax.evaluation.contains_metrics import contains, lvis_names
from mm15_jax.evaluation.denotation import denotation
from mm15_jax.evaluation.mathvista import extract_mathvista, mathvista
from mm15_jax.evaluation.mmmu import mmmu_choice, parse_mmmu_choice
from mm15_jax.evaluation.ptb_tokens import words_of
from mm15_jax.evaluation.yes_no import read_yes_no, yes_no
from mm15_jax.inputs.example import Example, Image, Text


def example(**metadata):
    file = io.BytesIO()
    Picture.new("RGB", (1000, 1000)).save(file, "png")
    picture = Image(file.getvalue(), 1000, 1000, role="user")
    return Example((picture, Text("where?", "user")), "tests", "0", "general", metadata)


@pytest.mark.parametrize(
    ("answer", "read"),
    [("Yes", "yes"), ("no.", "no"), ("**Yes**, it is", "yes"), ("(no)", "no"), ("\n yes!", "yes"),
     ("Nothing", None), ("not sure", None), ("no-one", None), ("yesterday", None), ("", None),
     ("the answer is yes", None), ("y", None)],
)  # fmt: skip
def test_the_first_word_says_yes_or_no(answer, read):
    assert read_yes_no(answer) == read
    assert yes_no(answer, ["Yes"]) == (read == "yes")


@given(st.text(), st.lists(st.sampled_from(["red", "3", "new york", "1,000"]), min_size=1))
def test_an_answer_that_has_a_reference_between_other_words_contains_it(around, references):
    assert (
        contains(f"{around} - {references[0]}!", references) == 1 or around.strip()[-1:].isalnum()
    )


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [("It is New  York, NY.", "new york", 1), ("a scarf", "car", 0), ("3.5 m", "3", 0),
     ("1,000 people", "1000", 1), ("+", "+", 1), ("a + b", "+", 0), ("", "a", 0)],
)  # fmt: skip
def test_words_are_contained_whole(answer, reference, score):
    assert contains(answer, [reference]) == score


def test_mmmu_has_no_random_option():
    assert parse_mmmu_choice("I cannot say", ["cat", "dog"]) is None
    assert mmmu_choice("I cannot say", ["A"], ["cat", "dog"]) == 0
    with pytest.raises(ValueError, match="none of the letters AB"):
        mmmu_choice("A", ["C"], ["cat", "dog"])


@pytest.mark.parametrize(
    ("answer", "kind", "choices", "taken"),
    [("There are 3 cats and 12 dogs, so the answer is 15.", "integer", [], "15"),
     ("3 + 4 = 7", "integer", [], "7"), ("It costs $1,200.50", "float", [], "1200.50"),
     ("Answer: −2, not 3", "integer", [], "-2"), ("none", "integer", [], ""),
     ("between [1, 2] and [2007, 2008]", "list", [], "[2007, 2008]"),
     ("(B) 8/11", "text", ["3/11", "8/11"], "8/11"), ("cat or dog", "text", ["cat", "dog"], ""),
     ("A", "text", ["C", "A"], "A")],
)  # fmt: skip
def test_mathvistas_answers_are_taken_by_rule(answer, kind, choices, taken):
    assert extract_mathvista(answer, choices, kind) == taken


def test_mathvista_compares_by_type():
    assert mathvista("about 3.14159", ["3.14"], answer_type="float", precision=2) == 1
    assert mathvista("about 3.2", ["3.14"], answer_type="float", precision=2) == 0
    assert mathvista("B", ["8/11"], ["3/11", "8/11"]) == 1
    assert mathvista("f(x) = 2", ["f(x) = 2"], ["x", "f(x) = 2"]) == 1
    assert mathvista("cat or dog", ["cat"], ["cat", "dog"]) == 0
    with pytest.raises(ValueError, match="none of the choices"):
        mathvista("B", ["C"], ["3/11", "8/11"])
    with pytest.raises(ValueError, match="no metadata 'answer_type'"):
        metrics.score_answer("3", example(answer="3", metric="mathvista"))


def test_a_denotation_is_a_set_read_from_a_line():
    assert denotation("France, Italy", ["Italy", "France"]) == 1
    assert denotation("Italy|France", ["Italy", "France"]) == 1
    assert denotation("France", ["Italy", "France"]) == 0
    assert denotation("France, Italy, Spain", ["Italy", "France"]) == 0
    assert denotation("January 5, 2010", ["January 5, 2010"]) == 1
    assert denotation("2010-01-05", ["January 5, 2010"], ["2010-01-05"]) == 1
    assert denotation("2010-01-05", ["January 5, 2010"]) == 0
    assert denotation("5.0", ["5"]) == 1
    with pytest.raises(ValueError, match="1 canonical values of 2 items"):
        denotation("a", ["a", "b"], ["a"])
    wanted = example(answer=["five", "six"], canon=["5", "6"], metric="denotation")
    assert metrics.score_answer("6, 5", wanted) == 1


@pytest.mark.timeout(20)  # hours, were a citation read in two ways
def test_a_denotation_of_a_model_that_repeats_itself_is_wrong_at_once():
    assert denotation("[1]" * 60 + "[", ["1"]) == 0
    assert denotation("9" * 400, ["1.5"]) == 0


def test_citations_of_an_item_are_left_out():
    assert denotation("Italy[1][note 2]†", ["Italy"]) == 1
    assert denotation("[Italy]", ["Italy"]) == 0
    assert denotation("[Italy][1]", ["[Italy]"]) == 1
    assert denotation("[12]", [""]) == 1


def test_lvis_synonyms_in_brackets_are_two_names():
    assert lvis_names(["bow_(decorative_ribbons)", "hot_dog"]) == [
        "bow",
        "decorative ribbons",
        "hot dog",
    ]


def test_recall_takes_the_first_box_and_any_true_one():
    two = [[100.5, 100.5, 200.5, 200.5], [300.5, 100.5, 400.5, 200.5]]
    asked = example(answer="x", boxes=two, metric="recall_iou")
    assert metrics.score_answer("<300,100,400,200>", asked) == 1
    assert metrics.score_answer("<600,1,700,200> <300,100,400,200>", asked) == 0
    assert metrics.score_answer("<100,100,400,200>", asked) == 0
    merged = example(answer="x", boxes=two, merged=True, metric="recall_iou")
    assert metrics.score_answer("<100,100,400,200>", merged) == 1
    with pytest.raises(ValueError, match="'boxes' is None"):
        metrics.score_answer("<1,1,2,2>", example(answer="x", metric="recall_iou"))


@given(st.text())
def test_captions_are_split_whatever_they_hold(text):
    words = words_of(text)
    assert all(word and word == word.lower() and not word.isspace() for word in words)


def test_every_metric_scores_from_0_to_1():
    facts = {
        "choices": ["cat", "dog"], "box": [1, 1, 5, 5], "boxes": [[1, 1, 5, 5]],
        "answer_type": "text",
    }  # fmt: skip
    truths = {"mathvista": "cat", "yes_no": "yes", "f1_yes_no": "yes"}
    for name in metrics.METRICS:
        if name != metrics.JUDGED:
            asked = example(answer=truths.get(name, "A"), metric=name, **facts)
            assert 0 <= metrics.score_answer("A", asked) <= 1
