import pytest

from mm15_jax.data.records import write_dataset
from mm15_jax.evaluation.benchmarks import Benchmark, DataSet
from mm15_jax.evaluation.few_shot import as_document, choose_shots, with_shots
from mm15_jax.evaluation.questions import Questions
from mm15_jax.inputs.example import Example, Image, Text
from tests.data.convert.pictures import picture


def example(key, question="What is it?\nAnswer shortly.", answer="a cat", metric="exact_match"):
    metadata = {"answer": answer, "metric": metric} if metric else {}
    segments = (
        Image(picture(shade=3), 12, 16, role="user"),
        Text(question, "user"),
        Text(answer, "assistant", loss=True),
    )
    return Example(segments, "set", key, "general", metadata)


def texts(segments):
    return [s.text if isinstance(s, Text) else "<image>" for s in segments]


def test_a_question_becomes_a_document_that_ends_before_its_answer():
    shown = as_document(example("a"), "question", answered=True)
    assert texts(shown) == ["<image>", " Question: What is it? Short answer:", " a cat\n"]
    assert not any(s.loss for s in shown if isinstance(s, Text))
    asked = with_shots(example("b", answer="a dog"), [example("a")], "caption")
    assert texts(asked.segments) == [
        "<image>", " A photo of", " a cat\n", "<image>", " A photo of", " a dog\n",
    ]  # fmt: skip
    assert [s.loss for s in asked.segments if isinstance(s, Text)] == [False] * 3 + [True]
    assert {s.role for s in asked.segments} == {"document"}
    assert asked.metadata["answer"] == "a dog"


def test_of_a_dialogue_the_first_turn_is_shown():
    long = example("a")
    more = (Text("And this?", "user"), Text("a tree", "assistant", loss=True))
    long = Example((*long.segments, *more), "set", "a", "general", {})
    assert texts(as_document(long, "question", answered=True))[-1] == " a cat\n"


@pytest.mark.parametrize("prompt", ["quesion", "chat"])
def test_an_unknown_prompt_is_refused(prompt):
    with pytest.raises(ValueError, match="prompt"):
        as_document(example("a"), prompt, answered=True)


def test_shots_differ_from_one_another_and_are_the_same_in_every_run():
    chosen = choose_shots("vqav2_8", "key 1", 50, 8)
    assert len(set(chosen)) == 8 and set(chosen) <= set(range(50))
    assert chosen == choose_shots("vqav2_8", "key 1", 50, 8)
    assert chosen != choose_shots("vqav2_8", "key 2", 50, 8)
    with pytest.raises(ValueError, match="8 shots, its training split has 5"):
        choose_shots("vqav2_8", "key 1", 5, 8)


@pytest.fixture
def data_dir(tmp_path):
    for name, count in (("set/train", 6), ("set/test", 5), ("other/testA", 4)):
        examples = [
            example(f"{name} {i}", answer=f"answer {i}", metric=None if i == 2 else "exact_match")
            for i in range(count)
        ]
        write_dataset(tmp_path / name, examples)
    return tmp_path


def test_questions_have_shots_of_the_training_split(data_dir):
    row = Benchmark(
        "b", "general", "few_shot", "x", ("anls",), data="set", shots=2, prompt="question"
    )
    questions = Questions(row, data_dir)
    assert len(questions) == 4  # one names no metric
    first = questions[0]
    assert sum(isinstance(s, Image) for s in first.segments) == 3
    assert first.key == "set/test 0" and questions[2].key == "set/test 3"
    assert questions.index(2) == 3
    assert first == questions[0]


def test_several_data_sets_make_one_benchmark(data_dir):
    parts = (DataSet("set", "test", "first"), DataSet("other", "testA", "second"))
    row = Benchmark("b", "general", "paper", "x", ("anls",), parts=parts)
    questions = Questions(row, data_dir)
    assert [e.metadata["subset"] for e in questions] == ["first"] * 4 + ["second"] * 3
    # A limit is shared, so that no part is missing.
    limited = [e.metadata["subset"] for e in Questions(row, data_dir, limit=3)]
    assert limited == ["first"] * 2 + ["second"]


def test_questions_that_cannot_be_scored_are_refused(tmp_path):
    write_dataset(tmp_path / "set" / "test", [example("a", metric=None)])
    with pytest.raises(ValueError, match="cannot be scored"):
        Questions(Benchmark("b", "general", "paper", "x", ("anls",), data="set"), tmp_path)
