import dataclasses
import email.utils
import json
import logging
import re
import time

import pytest

from mm15_jax.evaluation.aggregated import judged_by
from mm15_jax.evaluation.judges import Judge, JudgeError, judge_from_environment, judge_rows
from tests.evaluation.judge_server import completion, serving

KEY = "sk-secret-0123456789abcdef"


def rows_of(count):
    return [
        {
            "key": f"k{i}",
            "question": f"[image] what is number {i}?",
            "answer": f"it is {i}",
            "truth": [f"number {i}"],
            "score": None,
            "judge": {"capabilities": ["ocr"]},
        }
        for i in range(count)
    ]


def judge_at(server, **options):
    fast = {"model": "judge", "first_pause": 0.01, "try_seconds": 5.0, "total_seconds": 20.0}
    return Judge(url=server.url, key=KEY, **{**fast, **options})


def line_of(body):
    return body["messages"][-1]["content"].splitlines()[-1]


def test_rows_get_the_judges_scores_in_their_order(tmp_path):
    def behave(number, body):
        return "0." + re.search(r"number (\d+)", line_of(body))[1]

    calls = []
    with serving(behave) as server:
        found = judge_rows(
            rows_of(9), "mm_vet", judge_at(server), tmp_path / "t.jsonl", lambda *c: calls.append(c)
        )
    assert [row["score"] for row in found] == [i / 10 for i in range(9)]
    assert found[3]["judgement"] == {
        "score": 0.3,
        "reply": "0.3",
        "failed": False,
        "model": "judge-2024-01-01",
        "parts": {"score": 0.3},
    }
    assert found[3]["answer"] == "it is 3" and found[3]["key"] == "k3"
    assert judged_by(found) == ("judge-2024-01-01", 0)
    assert calls == [(i, 9) for i in range(1, 10)]
    assert {body["path"] for body in server.asked} == {"/v1/chat/completions"}
    assert {body["model"] for body in server.asked} == {"judge"}
    assert all(headers["Authorization"] == f"Bearer {KEY}" for headers in server.headers)
    first = min(server.asked, key=line_of)
    assert first["temperature"] == 0 and first["max_tokens"] == 16
    assert line_of(first) == "what is number 0? | number 0 | it is 0 | "


def test_nonsense_counts_zero_and_is_counted(tmp_path):
    def behave(number, body):
        return "I cannot say." if "number 1?" in body["messages"][0]["content"] else "1.0"

    with serving(behave) as server:
        found = judge_rows(rows_of(3), "mm_vet", judge_at(server), tmp_path / "t.jsonl")
        # MM-Vet asks again, ever hotter and with a hint.
        again = [b for b in server.asked if "number 1?" in b["messages"][0]["content"]]
    assert [row["score"] for row in found] == [1.0, 0.0, 1.0]
    assert [row["judgement"]["failed"] for row in found] == [False, True, False]
    assert found[1]["judgement"]["reply"] == "I cannot say."
    assert judged_by(found)[1] == 1
    assert [b["temperature"] for b in again] == [0.0, 0.0, 0.5, 1.0, 1.5]
    assert ["Predict the correctness" in b["messages"][0]["content"] for b in again] == [
        False,
        *[True] * 4,
    ]


def test_what_a_judge_thinks_first_is_not_its_score(tmp_path):
    replies = ["<think>0.9, or 0.2?</think>\n0.4", "maybe 0.9</think>0.4", "<think>0.9, or", ""]

    def behave(number, body):
        content = body["messages"][0]["content"]
        return replies[int(re.search(r"is number (\d)\?", content)[1])]

    with serving(behave) as server:
        found = judge_rows(rows_of(4), "mm_vet", judge_at(server), tmp_path / "t.jsonl")
        asked = len(server.asked)
        # What said nothing is asked for again: the server may have been told not to think.
        replies[2:] = ["0.5", "0.6"]
        again = judge_rows(rows_of(4), "mm_vet", judge_at(server), tmp_path / "t.jsonl")
    assert [row["score"] for row in found] == [0.4, 0.4, 0.0, 0.0]
    assert [row["judgement"]["failed"] for row in found] == [False, False, True, True]
    assert [row["score"] for row in again] == [0.4, 0.4, 0.5, 0.6]
    assert len(server.asked) == asked + 2


def test_half_a_letter_of_a_reply_is_a_question_mark(tmp_path):
    with serving(lambda number, body: "0.5 \ud83d") as server:
        (found,) = judge_rows(rows_of(1), "mm_vet", judge_at(server), tmp_path / "t.jsonl")
    assert found["score"] == 0.5 and found["judgement"]["reply"] == "0.5 ?"


def test_a_second_run_asks_nothing_again(tmp_path):
    with serving(lambda number, body: "0.5" if number % 2 else "what?") as server:
        first = judge_rows(rows_of(6), "mm_vet", judge_at(server), tmp_path / "t.jsonl")
        asked = len(server.asked)
        assert judge_rows(rows_of(6), "mm_vet", judge_at(server), tmp_path / "t.jsonl") == first
        assert len(server.asked) == asked
        # Another model, another answer: other questions.
        other = judge_at(server, model="another")
        judge_rows(rows_of(6), "mm_vet", other, tmp_path / "t.jsonl")
        assert len(server.asked) > asked
        asked = len(server.asked)
        changed = [{**rows_of(1)[0], "answer": "something else"}]
        judge_rows(changed, "mm_vet", judge_at(server), tmp_path / "t.jsonl")
        assert len(server.asked) > asked


def test_the_same_question_of_two_rows_is_asked_once(tmp_path):
    rows = [{**rows_of(1)[0], "key": f"k{i}"} for i in range(8)]
    with serving(lambda number, body: (200, {}, completion("0.5"), 0.05)) as server:
        found = judge_rows(rows, "mm_vet", judge_at(server), tmp_path / "t.jsonl")
    assert [row["score"] for row in found] == [0.5] * 8 and len(server.asked) == 1


def test_a_judging_that_stopped_goes_on_with_the_rest(tmp_path):
    path = tmp_path / "t.jsonl"

    def fails_after_five(number, body):
        return "0.5" if number < 5 else (401, {}, {"error": {"message": "gone"}}, 0)

    with serving(fails_after_five) as server, pytest.raises(JudgeError, match="HTTP 401"):
        judge_rows(rows_of(12), "mm_vet", judge_at(server, concurrency=1), path)
    assert len(path.read_text().splitlines()) == 5
    # Killed in the middle of a line, and once more after a later run had added to it.
    torn = path.read_bytes()[:-20]
    path.write_bytes(torn + b"\n" + b'{"key": "half\xc3\n{"key": "lacks"}\n[]\n')
    with serving(lambda number, body: "0.5") as server:
        found = judge_rows(rows_of(12), "mm_vet", judge_at(server), path)
    assert len(server.asked) == 12 - 4
    assert [row["score"] for row in found] == [0.5] * 12
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 12


def test_a_server_that_is_busy_is_asked_again_when_it_says_so(tmp_path):
    def behave(number, body):
        if number == 0:
            return 429, {"Retry-After": "1"}, {"error": {"message": "slow down"}}, 0
        if number == 1:
            date = email.utils.formatdate(time.time() - 60, usegmt=True)
            return 503, {"Retry-After": date}, b"<html>busy</html>", 0
        if number == 2:
            return 200, {}, b"not JSON", 0
        return "0.7"

    with serving(behave) as server:
        found = judge_rows(rows_of(1), "mm_vet", judge_at(server), tmp_path / "t.jsonl")
    assert found[0]["score"] == 0.7 and not found[0]["judgement"]["failed"]
    assert len(server.asked) == 4
    pauses = [b - a for a, b in zip(server.times, server.times[1:], strict=False)]
    assert 0.95 < pauses[0] < 5 and pauses[1] < 0.9


def test_pauses_grow_until_it_gives_up(tmp_path):
    began = time.monotonic()
    with serving(lambda number, body: (500, {}, {"error": {"message": "broken"}}, 0)) as server:
        client = judge_at(server, tries=5, first_pause=0.1, concurrency=1)
        with pytest.raises(JudgeError, match=r"5 tries: HTTP 500 \(broken\).*run the same again"):
            judge_rows(rows_of(1), "mm_vet", client, tmp_path / "t.jsonl")
    pauses = [b - a for a, b in zip(server.times, server.times[1:], strict=False)]
    assert len(server.asked) == 5 and pauses[3] > 2 * pauses[0]
    assert pauses[0] > 0.07 and time.monotonic() - began < 10


@pytest.mark.parametrize("drips", [False, True])
def test_a_slow_server_does_not_hold_us_up(tmp_path, drips):
    def behave(number, body):
        return 200, {}, completion("1.0"), 0 if drips else 60

    began = time.monotonic()
    with serving(behave) as server:
        server.chunk = 1 if drips else 0
        client = judge_at(server, try_seconds=0.3, tries=2)
        with pytest.raises(JudgeError, match=r"2 tries: nothing came within 0.3 s"):
            judge_rows(rows_of(4), "mm_vet", client, tmp_path / "t.jsonl")
        assert time.monotonic() - began < 30


def test_the_total_time_limits_tries_and_patience(tmp_path):
    busy = 429, {"Retry-After": "3600"}, {"error": {"message": "tomorrow"}}, 0
    began = time.monotonic()
    with serving(lambda number, body: busy) as server:
        with pytest.raises(JudgeError, match="asks for 3600 s of patience"):
            judge_rows(rows_of(1), "mm_vet", judge_at(server), tmp_path / "t.jsonl")
        assert len(server.asked) == 1
        slow = judge_at(server, total_seconds=0.5, tries=1000, first_pause=0.1)
        server.behave = lambda number, body: (500, {}, {}, 0)
        with pytest.raises(JudgeError, match="tries: HTTP 500;"):
            judge_rows(rows_of(1), "mm_vet", slow, tmp_path / "t.jsonl")
    assert time.monotonic() - began < 5


def test_no_server_at_all_is_told(tmp_path):
    with serving(lambda number, body: "1") as server:
        client = judge_at(server, tries=2)
    with pytest.raises(JudgeError, match=r"no reply in 2 tries: ConnectError"):
        judge_rows(rows_of(1), "mm_vet", client, tmp_path / "t.jsonl")


def test_never_more_questions_at_once_than_said(tmp_path):
    with serving(lambda number, body: (200, {}, completion("1"), 0.05)) as server:
        judge_rows(rows_of(20), "mm_vet", judge_at(server, concurrency=3), tmp_path / "a.jsonl")
        assert server.most_at_once == 3
        judge_rows(rows_of(12), "mm_vet", judge_at(server, concurrency=1), tmp_path / "b.jsonl")
        server.most_at_once = 0
        judge_rows(rows_of(20), "mm_vet", judge_at(server, concurrency=8), tmp_path / "c.jsonl")
        assert 4 <= server.most_at_once <= 8


def test_a_refused_question_is_one_failure_and_a_wrong_request_stops_all(tmp_path):
    def filtered(number, body):
        if "number 1?" in body["messages"][0]["content"]:
            error = {"message": "not nice", "code": "content_filter"}
            return 400, {}, {"error": error}, 0
        return "1.0"

    with serving(filtered) as server:
        found = judge_rows(rows_of(3), "mm_vet", judge_at(server), tmp_path / "a.jsonl")
    assert [row["judgement"]["failed"] for row in found] == [False, True, False]
    assert found[1]["judgement"]["reply"] == "HTTP 400 (not nice)"

    wrong = 400, {}, {"error": {"message": "max_tokens is not supported", "code": 400}}, 0
    with (
        serving(lambda number, body: wrong) as server,
        pytest.raises(JudgeError, match=r"HTTP 400 \(max_tokens is not supported\)"),
    ):
        judge_rows(rows_of(3), "mm_vet", judge_at(server), tmp_path / "b.jsonl")
    paid_out = 429, {}, {"error": {"message": "no money", "code": "insufficient_quota"}}, 0
    with serving(lambda number, body: paid_out) as server:
        with pytest.raises(JudgeError, match="no money"):
            judge_rows(rows_of(1), "mm_vet", judge_at(server), tmp_path / "c.jsonl")
        assert len(server.asked) == 1


_VLLM = (
    "This model's maximum context length is 4096 tokens. However, you requested 5120 tokens "
    "(4096 in the messages, 1024 in the completion)."
)
_LLAMA = "the request exceeds the available context size, try increasing it"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": {"message": "too long", "code": "context_length_exceeded"}}),  # OpenAI
        (400, {"object": "error", "message": _VLLM, "type": "BadRequestError", "code": 400}),
        (400, {"error": {"message": _VLLM, "type": "BadRequestError", "code": 400}}),
        (400, {"error": {"code": 400, "message": _LLAMA, "type": "exceed_context_size_error"}}),
        (500, {"error": {"code": 500, "message": "no", "type": "exceed_context_size_error"}}),
        (400, {"error": _LLAMA}),
    ],
)
def test_an_answer_that_is_too_long_for_a_judge_does_not_end_the_others(tmp_path, status, body):
    def behave(number, asked):
        long = "number 1?" in asked["messages"][0]["content"]
        return (status, {}, body, 0) if long else "1.0"

    with serving(behave) as server:
        found = judge_rows(rows_of(3), "mm_vet", judge_at(server), tmp_path / "a.jsonl")
    assert [row["score"] for row in found] == [1.0, 0.0, 1.0]
    assert [row["judgement"]["failed"] for row in found] == [False, True, False]
    assert found[1]["judgement"]["reply"].startswith(f"HTTP {status} (")


def test_the_key_is_in_no_file_log_or_error(tmp_path, caplog, capfd):
    def echoes(number, body):  # as OpenAI's server does with a wrong key
        if number == 0:
            return 500, {}, {"error": {"message": f"cannot log {KEY}"}}, 0
        if number < 4:
            return f"your key is {KEY}"
        return 401, {}, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, 0

    caplog.set_level(logging.DEBUG)
    with serving(echoes) as server:
        client = judge_at(server, concurrency=1)
        with pytest.raises(JudgeError) as error:
            judge_rows(rows_of(3), "mm_vet", client, tmp_path / "t.jsonl")
    seen = [str(error.value), repr(error.value), repr(client), str(client), caplog.text]
    cause = error.value
    while cause is not None:
        seen.append(repr(cause))
        cause = cause.__cause__ or cause.__context__
    seen += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    seen += list(capfd.readouterr())
    assert "[key]" in seen[0] and any("your key is [key]" in text for text in seen)
    assert not any(KEY in text or KEY[3:] in text for text in seen)


def test_the_environment_names_the_judge():
    found = judge_from_environment(
        {
            "OPENAI_API_KEY": KEY,
            "OPENAI_API_URL": "http://h/v1/chat/completions",
            "MODEL_VERSION": "m",
        }
    )
    assert found == Judge("http://h/v1/chat/completions", "m", KEY)
    assert found.endpoint == "http://h/v1/chat/completions"
    local = judge_from_environment({"OPENAI_BASE_URL": "http://h:8/v1/", "MODEL_VERSION": "m"})
    assert (local.endpoint, local.key) == ("http://h:8/v1/chat/completions", "")
    openai = judge_from_environment({"OPENAI_API_KEY": KEY, "GPT_EVAL_MODEL_NAME": "n"})
    assert (openai.endpoint, openai.model) == ("https://api.openai.com/v1/chat/completions", "n")


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, r"set OPENAI_API_KEY \(or OPENAI_BASE_URL .*\) and MODEL_VERSION"),
        ({"OPENAI_API_KEY": KEY}, r"set MODEL_VERSION"),
        ({"MODEL_VERSION": "m", "OPENAI_API_KEY": " "}, r"set OPENAI_API_KEY"),
        ({"MODEL_VERSION": "m", "OPENAI_API_URL": f"http://u:{KEY}@h/v1"}, "h has a user"),
        ({"MODEL_VERSION": "m", "OPENAI_API_URL": f"http://h/v1?key={KEY}"}, "h has a user"),
        ({"MODEL_VERSION": "m", "OPENAI_API_URL": "localhost:8000/v1"}, "address is 'localhost"),
        ({"MODEL_VERSION": "m", "OPENAI_API_KEY": f"{KEY}\nx"}, "OPENAI_API_KEY has a character"),
    ],
)
def test_an_environment_without_a_judge_is_one_sentence(environment, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        judge_from_environment(environment)
    assert KEY not in str(error.value) and "\n" not in str(error.value)


def test_unknown_protocols_and_limits_are_named(tmp_path):
    judge = Judge("http://localhost:1/v1", "m")
    with pytest.raises(ValueError, match="'mm_vt'; did you mean 'mm_vet'"):
        judge_rows(rows_of(1), "mm_vt", judge, tmp_path / "t.jsonl")
    with pytest.raises(ValueError, match="concurrency is 0"):
        dataclasses.replace(judge, concurrency=0)
    with pytest.raises(ValueError, match="'k0' has no 'context' among its judge's facts"):
        judge_rows(rows_of(1), "llava_w", judge, tmp_path / "t.jsonl")
