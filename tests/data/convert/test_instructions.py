"""Instructions in text alone, from their published files."""

import pytest

from tests.data.convert.converted import convert, texts
from tests.data.convert.fixtures.text_sets import FIXTURES

NAMES = ("openorca", "mathinstruct", "orcamath", "wizardcoder", "opencodeinterpreter", "dolly")


def made(name, root):
    FIXTURES[name].make(root)
    good, bad = convert("instructions", name, "train", root)
    return list(good.values()), bad


@pytest.mark.parametrize("name", NAMES)
def test_counts_and_what_is_trained_on(tmp_path, name):
    good, bad = made(name, tmp_path)
    assert (len(good), len(bad)) == (
        FIXTURES[name].records["train"],
        FIXTURES[name].bad.get("train", 0),
    )
    for example in good:
        assert [s.loss for s in example.segments] == [
            s.role == "assistant" for s in example.segments
        ]


def test_openorca_has_system_prompts(tmp_path):
    good, bad = made("openorca", tmp_path)
    helper = "You are an AI assistant. Help as much as you can."
    assert [texts(example) for example in good] == [
        [("system", helper), ("user", "Is it so?"), ("assistant", "It is so.")],
        [("user", "What is 2?"), ("assistant", "Two.")],
    ]
    assert bad == {"3_5M-GPT3_5-Augmented.parquet#0": "nothing in the field response"}


def test_mathinstruct_keeps_programs(tmp_path):
    good, bad = made("mathinstruct", tmp_path)
    assert texts(good[1]) == [
        ("user", "Write a program.\nUse [brackets]."),
        ("assistant", "print(4)"),
    ]
    assert list(bad.values()) == ["the field output is int, expected text"]


def test_editions_of_wizardcoder_are_read_alike(tmp_path):
    good, _ = made("wizardcoder", tmp_path)
    assert {texts(example)[0][1]: texts(example)[1][1] for example in good} == {
        "Write g.": "g = 1",
        "Hello": "Hi",
        "Write f.": "def f(): pass",
    }


def test_code_feedback_has_several_turns(tmp_path):
    good, bad = made("opencodeinterpreter", tmp_path)
    assert [text for _, text in texts(good[0])] == ["Sort it.", "sorted(it)", "Why?", "So."]
    assert [text for _, text in texts(good[1])] == ["Reverse it.", "it[::-1]"]
    assert "without a question and its answer" in next(iter(bad.values()))


def test_dolly_shows_the_context_after_the_instruction(tmp_path):
    good, _ = made("dolly", tmp_path)
    assert [texts(example)[0][1] for example in good] == [
        "When was it founded?\n\nIt was founded in 1900.",
        "Name a fish.",
    ]
