import pytest

from mm15_jax.evaluation.aggregates import AGGREGATES
from mm15_jax.evaluation.judges import PROTOCOLS, judge_rows, reading
from mm15_jax.evaluation.judges.aggregates import JUDGED
from tests.evaluation.judge_server import middling, serving
from tests.evaluation.test_judging import judge_at


def row_of(answer="a dog", truth="a cat", key="k", **judge):
    return {
        "key": key,
        "question": "[image] what?",
        "answer": answer,
        "truth": [truth],
        "judge": judge,
    }


def prompt_of(protocol, *rows):
    """The messages' texts of the first question."""
    questions = PROTOCOLS[protocol].questions(rows)
    return [message["content"] for message in questions[0].prompts[0].messages]


@pytest.mark.parametrize(
    ("reply", "scores"),
    [
        ("8 6\nBoth are good, 3 times better", (8, 6)),
        ("8, 6", (8, 6)),
        ("\n**8.5 7.0**\nbecause", (8.5, 7)),
        ("(10, 1)", (10, 1)),
        ("Assistant 1: 8, Assistant 2: 6", None),
        ("8", None),
        ("8 6 7", None),
        ("11 2", None),
        ("8-6", None),
        ("", None),
        ("I would say\n8 6", None),
    ],
)
def test_two_scores_on_the_first_line(reply, scores):
    found = reading.two_scores(reply)
    assert found == (scores and dict(zip(("reference", "answer"), scores, strict=True)))


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("0.5", 0.5),
        (" 1.0 | done", 1.0),
        ("| 0.3 |", 0.3),
        ("0", 0.0),
        ("1.1", None),
        ("-0.5", None),
        ("half", None),
        ("Correctness: 0.5", None),
        ("", None),
        ("nan", None),
    ],
)
def test_a_fraction_is_the_first_word(reply, score):
    assert reading.fraction(reply) == (None if score is None else {"score": score})


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("{'score': 4}", 4),
        ("{''score': 4.8}", 4),  # cut, as its script does
        ('```python\n{"score": "3"}\n```', 3),
        ("{'score': 0}", 0),
        ("{'score': 6}", None),
        ("{'score': 45}", None),
        ("{'score': -1}", None),
        (f"{{'score': {'9' * 400}}}", None),
        ("{'score': 2} or {'score': 3}", None),
        ("the score is 4", None),
        ("4", None),
    ],
)
def test_a_dictionary_with_a_score(reply, score):
    assert reading.score_entry(reply) == (None if score is None else {"score": score})


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        ("{'pred': 'yes', 'score': 4.8}", {"correct": 1, "score": 4}),
        ('{"pred": "No", "score": 2}', {"correct": 0, "score": 2}),
        ("{'pred': 'yes'}", None),
        ("{'score': 3}", None),
        ("{'pred': 'yesterday', 'score': 3}", None),
        ("yes, 4", None),
    ],
)
def test_a_dictionary_with_a_verdict(reply, found):
    assert reading.verdict_entry(reply) == found


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("Explanation: 2 of 3 things.\nScore: 4", 4),
        ("**Score**: 3/5", 3),
        ("score: 2.5", 2.5),
        ("Score: 0", None),
        ("Score: 7", None),
        ("Score: 10", None),
        ("Score: 4\nScore: 2", None),
        ("4", None),
    ],
)
def test_a_stated_score(reply, score):
    assert reading.stated_score(reply) == (None if score is None else {"score": score})


def test_prompts_have_the_facts_of_their_row():
    facts = {"context": ["one line", "another"], "category": "conv", "question": "Who is it?"}
    system, user = prompt_of("llava_w", row_of("it costs $5 {x}", **facts))
    assert "precise assistant" in system
    assert user.startswith(
        "[Context]\none line\nanother\n\n[Question]\nWho is it?\n\n[Assistant 1]\na cat\n\n"
        "[End of Assistant 1]\n\n[Assistant 2]\nit costs $5 {x}\n\n[End of Assistant 2]\n\n"
        "[System]\n"
    )
    assert user.endswith("does not affect your judgment.\n\n")
    (user,) = prompt_of("mm_vet", row_of("x=3", "-1<AND>-5<OR> 7", capabilities=["math"]))
    assert user.endswith("\nwhat? | -1 <AND> -5 <OR> 7 | x=3 | ")
    several = {**row_of(capabilities=[]), "truth": ["a cat", "a kitten"]}
    assert prompt_of("mm_vet", several)[0].endswith("what? | a cat <OR> a kitten | a dog | ")
    system, user = prompt_of("activitynet_qa", row_of())
    assert "Question: what?\nCorrect Answer: a cat\nPredicted Answer: a dog\n" in user
    assert "{'pred': 'yes', 'score': 4.8}" in user
    (user,) = prompt_of("llava_hound", row_of("word " * 300, caption="a film"))
    assert user.count("word ") == 255 and "a film" in user


def test_ferret_benchs_answers_have_their_boxes_as_its_context_has():
    facts = {"context": "objects", "category": "ground_conv"}
    row = row_of("a dog <100, 20,300,999> runs <5,6>", **facts)
    assert "\na dog [0.100, 0.020, 0.300, 0.999] runs <5,6>\n" in prompt_of("ferret_bench", row)[1]
    row["judge"]["category"] = "refer_desc"
    assert "\na dog runs <5,6>\n" in prompt_of("ferret_bench", row)[1]
    row["judge"]["category"] = "refer"
    with pytest.raises(ValueError, match="category 'refer', expected one of refer_desc"):
        prompt_of("ferret_bench", row)


def test_a_row_must_have_one_reference():
    row = {**row_of(), "truth": ["a cat", "a kitten"]}
    with pytest.raises(ValueError, match="'k' has 2 references, expected one"):
        prompt_of("activitynet_qa", row)
    row["judge"] = {"reference": "a big cat"}
    assert "Correct Answer: a big cat" in prompt_of("activitynet_qa", row)[1]


def test_vcgbench_asks_three_aspects_or_one_and_one_of_a_pair(tmp_path):
    general = {"aspects": ["correctness", "detail", "context"]}
    pair = {"aspects": ["consistency"]}
    rows = [
        row_of(key="g", **general),
        {**row_of("yes", key="p1", question="is it?", **pair), "group": "v"},
        row_of(key="t", aspects=["temporal"]),
        {**row_of("no", key="p2", question="is it so?", **pair), "group": "v"},
    ]

    def behave(number, body):
        system, user = (message["content"] for message in body["messages"])
        if "Question 1: is it?\nQuestion 2: is it so?" in user:
            assert "to Question 1: yes\nPredicted Answer to Question 2: no" in user
            return "{'score': 1}"
        names = {"factual accuracy of": 5, "the detail orientation": 4, "contextual": 3}
        return next((f"{{'score': {s}}}" for name, s in names.items() if name in system), "none")

    with serving(behave) as server:
        found = judge_rows(rows, "vcgbench", judge_at(server), tmp_path / "t.jsonl")
    assert [body["max_tokens"] for body in server.asked] == [64] * 5
    assert [row["score"] for row in found] == pytest.approx([0.8, 0.2, 0.0, 0.2])
    assert found[0]["judgement"]["parts"] == {"correctness": 5, "detail": 4, "context": 3}
    assert found[0]["judgement"]["reply"].splitlines()[1] == "detail: {'score': 4}"
    assert [row["judgement"]["failed"] for row in found] == [False, False, True, False]
    total = AGGREGATES["vcgbench"](found)
    aspects = {"correctness": 5, "detail": 4, "context": 3, "temporal": 0, "consistency": 1}
    assert total.parts == pytest.approx({**aspects, "mean": 2.6}) and total.score == 52
    with pytest.raises(ValueError, match=r"group 'v' has 1 answers .* expected 2"):
        PROTOCOLS["vcgbench"].questions(rows[:2])


def judged(score, failed=False, parts=None, **row):
    judgement = {"score": score, "failed": failed, "model": "m", "reply": "", "parts": parts or {}}
    return {"key": "k", "score": score, "judgement": judgement, **row}


def test_the_relative_score_is_a_ratio_of_sums():
    def row(reference, answer, category):
        parts = {"reference": reference, "answer": answer}
        return judged(answer / 10, parts=parts, judge={"category": category})

    rows = [row(8, 4, "conv"), row(10, 8, "conv"), row(6, 6, "detail")]
    found = AGGREGATES["llava_w"](rows)
    assert found.score == pytest.approx(100 * 18 / 24)
    assert found.parts == pytest.approx(
        {"relative/conv": 100 * 12 / 18, "relative/detail": 100, "reference": 80, "answer": 60}
    )
    rest = [4 - 6, 8 - 7.5, 6 - 4.5]
    deviation = (sum((r - sum(rest) / 3) ** 2 for r in rest) / 2 / 3) ** 0.5
    assert found.error == pytest.approx(100 * deviation / 8)
    ferret = AGGREGATES["ferret_bench"](rows)
    assert ferret.score == pytest.approx((100 * 12 / 18 + 100) / 2)
    assert ferret.parts == pytest.approx({"conv": 100 * 12 / 18, "detail": 100})


def test_a_failure_counts_zero_and_not_as_if_it_had_not_been_asked():
    good = judged(0.8, parts={"reference": 8.0, "answer": 8.0}, judge={"category": "conv"})
    bad = judged(0.0, True, {"answer": 0.0}, judge={"category": "conv"})
    assert AGGREGATES["llava_w"]([good, bad]).score == pytest.approx(50)
    assert AGGREGATES["ferret_bench"]([good, bad]).score == pytest.approx(50)
    assert AGGREGATES["llava_w"]([bad, bad]).score == 0
    hound = [judged(1.0, parts={"score": 4.0}), judged(0.0, True, {"score": 0.0})]
    assert AGGREGATES["llava_hound"](hound).parts == {"accuracy": 50, "score": 2}


def test_mm_vet_has_a_mean_of_each_capability():
    rows = [
        judged(1.0, judge={"capabilities": ["ocr", "math"]}),
        judged(0.5, judge={"capabilities": ["ocr"]}),
        judged(0.0, judge={"capabilities": ["rec"]}),
    ]
    found = AGGREGATES["mm_vet"](rows)
    assert found.score == pytest.approx(50)
    assert found.parts == pytest.approx({"math": 100, "ocr": 75, "rec": 0})


def test_accuracy_and_score_are_given_of_subsets_too(tmp_path):
    rows = [{**row_of(str(i), key=str(i), caption="c"), "subset": "ab"[i % 2]} for i in range(4)]

    def behave(number, body):
        answer = int(body["messages"][0]["content"].split("a model predicted: ")[1][0])
        return f"Explanation: so\nScore: {answer + 1}"

    with serving(behave) as server:
        found = judge_rows(rows, "llava_hound", judge_at(server), tmp_path / "t.jsonl")
    assert [row["score"] for row in found] == [0, 0, 1, 1]  # 3 and more is right
    total = AGGREGATES["llava_hound"](found)
    assert total.score == 50
    assert total.parts == {
        "accuracy": 50,
        "score": 2.5,
        "a/accuracy": 50,
        "a/score": 2,
        "b/accuracy": 50,
        "b/score": 3,
    }


def test_every_protocol_has_an_aggregate_and_says_its_source():
    assert set(JUDGED) == set(PROTOCOLS) and JUDGED.items() <= AGGREGATES.items()
    assert all("arXiv" in protocol.source for protocol in PROTOCOLS.values())
    with pytest.raises(ValueError, match="'k' has no judgement"):
        AGGREGATES["vcgbench"]([{"key": "k"}])


def test_the_stand_in_answers_every_protocol_in_its_form():
    facts = {
        "category": "conv", "context": "c", "capabilities": ["ocr"], "caption": "c",
        "aspects": ["correctness", "detail", "context"],
    }  # fmt: skip
    for name, protocol in PROTOCOLS.items():
        row = row_of(**{**facts, "category": "refer_desc" if name == "ferret_bench" else "conv"})
        for question in protocol.questions([row]):
            for prompt in question.prompts:
                body = {"messages": prompt.messages}
                assert protocol.read(middling(body)) is not None, name
                assert protocol.read(middling(body, nonsense=1.0)) is None, name
