import math
import random

import pytest

from mm15_jax.evaluation import aggregates, answers
from mm15_jax.evaluation.metrics import JUDGED, METRICS
from mm15_jax.inputs.example import Example, Text


def rows(scores, subsets=None):
    subsets = subsets or [None] * len(scores)
    return [{"key": str(i), "score": s, "subset": subset}
            for i, (s, subset) in enumerate(zip(scores, subsets, strict=True))]  # fmt: skip


def said(answers_and_truths, subset=None):
    return [{"answer": a, "truth": [t], "subset": subset} for a, t in answers_and_truths]


@pytest.mark.parametrize("name", aggregates.AGGREGATES)
def test_no_answers_are_no_score(name):
    with pytest.raises(ValueError, match="no "):
        aggregates.AGGREGATES[name]([])


@pytest.mark.parametrize("name", ["mean", "subset_mean", "ocrbench", "mme", "mmmu"])
def test_an_answer_that_waits_for_a_judge_is_no_zero(name):
    waiting = [{"key": "7", "score": None, "subset": "perception/OCR", "group": "1"}]
    waiting[0]["subset"] = "Art" if name == "mmmu" else "perception/OCR"
    with pytest.raises(ValueError, match="answer to 7 has no score yet"):
        aggregates.AGGREGATES[name](waiting)


def test_subsets_weigh_alike_in_their_mean_and_by_size_in_the_plain_one():
    made = rows([1, 1, 1, 0], ["box", "box", "box", "point"])
    assert aggregates.mean(made).score == 75
    found = aggregates.subset_mean(made)
    assert found.score == 50 and found.parts == {"box": 100, "point": 0}
    assert aggregates.mean(made).parts == found.parts
    with pytest.raises(ValueError, match="expected metadata 'subset'"):
        aggregates.subset_mean(rows([1, 0], ["box", None]))


def test_mme_adds_both_accuracies_of_each_subtask_over_28():
    made = []
    for subset, scores in {
        "perception/OCR": [1, 1, 1, 0],
        "cognition/code_reasoning": [1, 1],
    }.items():
        for number, score in enumerate(scores):
            made.append({"score": score, "subset": subset, "group": f"{subset} {number // 2}"})
    found = aggregates.mme(made)
    assert found.parts["perception/OCR/acc"] == 75 and found.parts["perception/OCR/acc+"] == 50
    assert found.parts["perception"] == 125 and found.parts["cognition"] == 200
    assert found.score == pytest.approx(325 / 28)
    assert found.parts["missing_subtasks"] == 12
    assert "pictures_without_two_questions" not in found.parts


def test_mme_counts_and_tells_pictures_that_have_not_two_questions():
    made = [
        {"score": s, "subset": "perception/OCR", "group": g}
        for s, g in [(1, "a"), (1, "b"), (0, "b")]
    ]
    found = aggregates.mme(made)
    assert found.parts["pictures_without_two_questions"] == 1
    assert found.parts["perception/OCR/acc+"] == 50
    with pytest.raises(ValueError, match="no subtask 'perception/ocr'"):
        aggregates.mme([made[0] | {"subset": "perception/ocr"}])
    with pytest.raises(ValueError, match="no metadata 'group'"):
        aggregates.mme([made[0] | {"group": None}])


def test_f1_counts_an_unread_answer_as_missed():
    found = aggregates.AGGREGATES["f1"](
        said([("Yes.", "yes"), ("maybe", "yes"), ("yes", "no"), ("No", "no")])
    )
    assert found.parts["precision"] == 50 and found.parts["recall"] == 50 and found.score == 50
    assert found.parts["accuracy"] == 50 and found.parts["unread"] == 25
    assert found.parts["yes_ratio"] == 50
    with pytest.raises(ValueError, match="not one of 'yes' and 'no'"):
        aggregates.AGGREGATES["f1"](said([("yes", "maybe")]))


def test_the_error_of_f1_is_the_spread_of_repeated_draws():
    rng = random.Random(3)

    def draw():
        truths = [rng.choice(["yes", "no"]) for _ in range(300)]
        flip = {"yes": "no", "no": "yes"}
        return said([(t if rng.random() < 0.8 else flip[t], t) for t in truths])

    found = [aggregates.AGGREGATES["f1"](draw()) for _ in range(200)]
    mean = sum(f.score for f in found) / len(found)
    spread = math.sqrt(sum((f.score - mean) ** 2 for f in found) / len(found))
    assert sum(f.error for f in found) / len(found) == pytest.approx(spread, rel=0.2)


def test_pope_is_the_mean_of_its_subsets_f1():
    made = said([("yes", "yes"), ("no", "no")], "random") + said(
        [("no", "yes"), ("no", "no")], "popular"
    )
    found = aggregates.AGGREGATES["pope_f1"](made)
    assert found.score == 50
    assert found.parts["random/f1"] == 100 and found.parts["popular/f1"] == 0
    assert found.parts["all/accuracy"] == 75 and found.parts["popular/yes_ratio"] == 0


def test_mmmu_is_told_by_discipline_and_subject():
    found = aggregates.AGGREGATES["mmmu"](rows([1, 0, 1], ["Art", "Music", "Math"]))
    assert found.parts["Art and Design"] == 50 and found.parts["Science/Math"] == 100
    assert found.score == pytest.approx(200 / 3)
    with pytest.raises(ValueError, match="did you mean 'Math'"):
        aggregates.AGGREGATES["mmmu"](rows([1], ["Maths"]))


def test_ocrbench_counts_right_answers_by_kind():
    kinds = ["Regular Text Recognition", "Handwriting Recognition", "Doc-oriented VQA"]
    found = aggregates.ocrbench(rows([1, 1, 0], kinds))
    assert found.parts["right"] == 2 and found.parts["Text Recognition"] == 2
    assert found.parts["Doc-oriented VQA"] == 0 and found.score == pytest.approx(200 / 3)


def test_cider_rewards_what_few_pictures_share():
    def corpus(*captions):
        truths = (["a red bus stops here"], ["a dog sleeps"], ["a man rides a horse"])
        made = [{"answer": c, "truth": t} for c, t in zip(captions, truths, strict=True)]
        return aggregates.AGGREGATES["cider"](made).score

    perfect = corpus("A red bus stops here.", "A dog sleeps", "a man rides a horse!")
    assert perfect == pytest.approx(1000 * (4 + 3 + 4) / 12)  # three words have no four in a row
    assert corpus("a", "a", "a") == 0  # all pictures have that word
    assert 0 < corpus("a red bus", "a dog", "a horse") < perfect


def example(**metadata):
    return Example(
        (Text("is it?", "user"), Text("yes", "assistant", True)), "tests", "k", "general", metadata
    )


def test_a_row_keeps_what_aggregates_and_judges_need():
    facts = {"group": "g", "subset": "s", "judge": {"context": "c"}}
    row = answers.make_row("b", 0, example(answer="yes", metric="yes_no", **facts), "Yes", "m")
    assert row["score"] == 1 and {k: row[k] for k in facts} == facts
    waiting = answers.make_row("b", 0, example(answer="yes", metric=JUDGED, **facts), "Yes", "m")
    assert waiting["score"] is None and waiting["metric"] == JUDGED
    with pytest.raises(ValueError, match="scored by a judge, not by a rule"):
        METRICS[JUDGED]("Yes", example(answer="yes", metric=JUDGED))
