import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

from mm15_jax.evaluation import metrics
from mm15_jax.evaluation.text_metrics import edit_distance
from mm15_jax.inputs.coordinates import format_box
from mm15_jax.inputs.example import Example, Image, Text


def picture(height=40, width=60):
    file = io.BytesIO()
    Picture.new("RGB", (width, height)).save(file, "png")
    return Image(file.getvalue(), height, width, role="user")


def example(**metadata):
    return Example((picture(), Text("where?", "user")), "tests", "0", "general", metadata)


@pytest.mark.parametrize(
    ("answer", "reference", "score"),
    [
        ("Paris", "paris", 1),
        (" the  cat.\n", "The cat", 1),
        ('"blue"', "blue", 1),
        ("ﬁve", "five", 1),
        ("Straße", "STRASSE", 1),
        ("the cat", "cat", 0),  # articles stay
        ("2", "two", 0),
        ("3.5", "3.5.", 1),
        ("", "a", 0),
        ("a.b", "ab", 0),
    ],
)
def test_exact_match_normalises_case_space_quotes_and_a_final_stop(answer, reference, score):
    assert metrics.exact_match(answer, [reference]) == score
    assert metrics.exact_match(answer, ["no such", reference]) == score


def slow_distance(first, second):
    """The definition, without memory."""
    if not first or not second:
        return len(first) + len(second)
    return min(
        slow_distance(first[1:], second) + 1,
        slow_distance(first, second[1:]) + 1,
        slow_distance(first[1:], second[1:]) + (first[0] != second[0]),
    )


@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_edit_distance_is_the_recursive_definition(first, second):
    assert edit_distance(first, second) == slow_distance(first, second)


def test_anls_takes_the_best_reference_and_cuts_at_the_threshold():
    assert metrics.anls("abcd", ["wxyz", "abcx"]) == 0.75
    assert metrics.anls("abcd", ["abxy"]) == 0.5
    assert metrics.anls("abcde", ["abxyz"]) == 0.0
    assert metrics.anls("abcde", ["abxyz"], threshold=0.4) == pytest.approx(0.4)


def test_the_two_conventions_of_relaxed_accuracy_differ_where_documented():
    def both(answer, reference):
        return tuple(
            metrics.relaxed_accuracy(answer, [reference], convention=name)
            for name in ("pix2struct", "mistral")
        )

    assert both("105", "100") == (1, 1) and both("106", "100") == (0, 0)
    assert both("12", "12%") == (0, 1)
    assert both("0.12", "12%") == (1, 1)
    assert both("1,200", "1200") == (0, 1)
    assert both("0.0", "0") == (0, 1)
    with pytest.raises(ValueError, match="'chartqa', expected 'pix2struct' or 'mistral'"):
        metrics.relaxed_accuracy("1", ["1"], convention="chartqa")


CHOICES = ["cat", "dark red", "red", "dog"]


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("B", 1), ("b", 1), ("(c)", 2), ("D.", 3), (" A: ", 0), ("dog", 3), ("Dark Red.", 1),
        ("B. because it is", 1), ("(A) cat", 0), ("The answer is C", 2), ("Answer: (D)", 3),
        ("I first thought option A, but the answer is B.", 1), ("it must be (D), I think", 3),
        ("Answer: A dog.", 3), ("The best option I can see is a cat", 0), ("Answer:B", 1),
        ("The answer is A because it purrs", 0), ("The answer is **B**.", 1),
        ("a dog", 3), ("the dark red one", 1), ("it is red", 2),
        ("", None), ("E", None), ("cat or dog", None), ("(A) or (B)", None),
        ("none of them", None), ("category", None), ("red and dark red", None),
    ],
)  # fmt: skip
def test_choices_are_parsed_by_rule_and_never_guessed(answer, index):
    assert metrics.parse_choice(answer, CHOICES) == index


def test_options_that_are_letters_themselves_are_read_as_the_reference_is_given():
    labels = ["C", "A", "B"]
    assert metrics.multiple_choice("A", ["A"], labels) == 1
    assert metrics.parse_choice("A", labels, letters=False) == 1
    assert metrics.parse_choice("A", labels) == 0
    assert metrics.multiple_choice("B", ["dark red"], CHOICES) == 1
    assert metrics.multiple_choice("dark red", ["B"], CHOICES) == 1
    with pytest.raises(ValueError, match="'pink' is none of the choices"):
        metrics.multiple_choice("A", ["pink"], CHOICES)


boxes = st.tuples(*[st.integers(0, 12)] * 4)


@given(boxes, boxes)
def test_iou_counts_unit_cells(first, second):
    def cells(box):
        return set(itertools.product(range(box[0], box[2]), range(box[1], box[3])))

    a, b = cells(first), cells(second)
    expected = len(a & b) / len(a | b) if a and b else 0.0
    assert metrics.iou(first, second) == pytest.approx(expected)
    assert metrics.iou(second, first) == pytest.approx(expected)


def test_grounding_asks_for_more_than_half():
    size = {"width": 1000, "height": 1000}
    box = (100.5, 100.5, 300.5, 300.5)
    text = format_box(box, **size)
    assert metrics.grounding_correct(text, box, **size) == 1
    exactly_half = (100.5, 100.5, 200.5, 300.5)
    assert metrics.iou(exactly_half, box) == 0.5
    assert metrics.grounding_correct(format_box(exactly_half, **size), box, **size) == 0
    assert metrics.grounding_correct(f"<1,1,2,2> {text}", box, **size) == 0  # the first counts
    for useless in ("", "there", "<1,2>", "<300,300,100,100>", "<100,100,100,300>"):
        assert metrics.grounding_correct(useless, box, **size) == 0
    assert metrics.grounding_correct(text, (5, 5, 5, 5), **size) == 0


def test_points_count_inside_the_box():
    size = {"width": 1000, "height": 500}
    assert metrics.point_correct("<200,200>", (150, 50, 250, 150), **size) == 1
    assert metrics.point_correct("<200,400>", (150, 50, 250, 150), **size) == 0
    assert metrics.point_correct("<200,200,300,300>", (0, 0, 999, 499), **size) == 0


def test_examples_are_scored_by_the_metric_they_name():
    assert (
        metrics.score_answer("Blue.", example(answer=["blue", "navy"], metric="exact_match")) == 1
    )
    assert metrics.score_answer("95", example(answer="100", metric="relaxed_accuracy")) == 1
    assert metrics.score_answer("B", example(answer="B", metric="multiple_choice", choices=CHOICES))
    box = [6, 4, 30, 20]
    where = example(answer="<100,100,500,500>", metric="iou", box=box)
    assert metrics.score_answer("<100,100,500,500>", where) == 1
    assert metrics.score_answer("<600,600,900,900>", where) == 0


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"answer": "a", "metric": "exact_mach"}, "did you mean 'exact_match'"),
        ({"metric": "exact_match"}, "no metadata 'answer'"),
        ({"answer": "a", "metric": "iou"}, "'box' is None"),
        ({"answer": "a", "metric": "iou", "box": [1, 2, 3, 4], "image": 1}, "the example has 1"),
    ],
)
def test_examples_that_cannot_be_scored_say_why(metadata, message):
    with pytest.raises(ValueError, match=message):
        metrics.score_answer("a", example(**metadata))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_standard_error_is_that_of_numpy(scores):
    mean, error = metrics.mean_and_error(scores)
    assert mean == pytest.approx(np.mean(scores))
    assert error == pytest.approx(np.std(scores, ddof=1) / len(scores) ** 0.5, abs=1e-9)
