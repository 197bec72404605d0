"""MM1's few-shot sets: what is asked, and what the shots are taken from."""

import dataclasses

import pytest

from mm15_jax.data.convert import few_shot
from mm15_jax.data.preparation import Part
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Image, Text
from tests.data.convert.converted import convert
from tests.data.convert.fixtures.few_shot_sets import FIXTURES, NOCAPS
from tests.data.convert.pictures import picture


def document(example):
    """(prompt, answer) of an example of one picture, checked to be a document."""
    image, prompt, answer = example.segments
    assert isinstance(image, Image) and {s.role for s in example.segments} == {"document"}
    assert (prompt.loss, answer.loss) == (False, True)
    return prompt.text, answer.text


def made(name, root, split="validation"):
    FIXTURES[name].make(root)
    return convert("few_shot", name, split, root)


def test_coco_is_divided_as_karpathy_did(tmp_path):
    good, bad = made("mm1_coco", tmp_path, "test")
    name = "COCO_val2014_000000000001"
    assert set(good) == {name, "COCO_val2014_000000000007"}
    prompt, answer = document(good[name])
    assert prompt == "A photo of" and answer.strip() in good[name].metadata["answer"]
    assert good[name].metadata == {
        "answer": ["A wooden cup on a table.", "A cup."],
        "metric": "cider",
    }
    absent, empty = bad.values()
    assert "000000000005.jpg" in absent and empty == "a picture without captions"
    train, _ = convert("few_shot", "mm1_coco", "train", tmp_path)
    assert {key: document(example) for key, example in train.items()} == {
        "COCO_val2014_000000000003": ("A photo of", " Two dogs play."),
        "COCO_train2014_000000000004": ("A photo of", " A man rides a horse."),
    }


def test_what_nocaps_keeps_for_shots_is_not_scored(tmp_path):
    scored, _ = made("mm1_nocaps", tmp_path)
    shots, bad = convert("few_shot", "mm1_nocaps", "train", tmp_path)
    assert set(shots) == {NOCAPS[0]} and set(scored) == set(NOCAPS[1:]) and not bad
    assert scored[NOCAPS[1]].metadata["metric"] == "cider"


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("vqav2", "vqa_v2_accuracy"), ("okvqa", "vqa_v2_accuracy"),
        ("textvqa", "vqa_accuracy"), ("vizwiz", "vqa_accuracy"),
    ],
)  # fmt: skip
def test_questions_are_asked_for_a_short_answer(tmp_path, name, metric):
    good, _ = made(f"mm1_{name}", tmp_path)
    for example in (
        *good.values(),
        *convert("few_shot", f"mm1_{name}", "train", tmp_path)[0].values(),
    ):
        prompt, answer = document(example)
        assert prompt.startswith("Question: ") and prompt.endswith("? Short answer:")
        assert "\n" not in prompt and answer == f" {answer.strip()}"
    assert {e.metadata["metric"] for e in good.values()} == {metric}
    assert all(len(example.metadata["answer"]) == 10 for example in good.values())


def test_of_a_dialogue_one_question_is_a_shot(tmp_path):
    good, _ = made("mm1_vqav2", tmp_path, "train")
    dialogues, _ = convert("vqa", "vqav2", "train", tmp_path)
    assert any(len(example.segments) > 3 for example in dialogues.values())
    assert {len(example.segments) for example in good.values()} == {3}


def test_only_the_first_part_of_a_training_split_is_prepared(monkeypatch, tmp_path):
    FIXTURES["mm1_vqav2"].make(tmp_path)
    derived = next(p for p in few_shot.PREPARATIONS if p.name == "mm1_vqav2")
    assert len(derived.parts("train", Source(tmp_path))) == 1
    three = dataclasses.replace(
        few_shot.PREPARATIONS[0], parts=lambda split, source: [Part(str(i)) for i in range(3)]
    )
    first = few_shot._first_part(three)
    assert [part.name for part in first.parts("train", None)] == ["0"]
    assert len(first.parts("test", None)) == 3


def test_a_document_is_picture_prompt_and_answer():
    image = Image(picture(), 48, 64, role="user")
    assert few_shot.document([image], "A photo of", " a cup. ") == (
        dataclasses.replace(image, role="document"),
        Text("A photo of"),
        Text(" a cup.", loss=True),
    )
