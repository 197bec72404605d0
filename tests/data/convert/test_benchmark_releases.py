"""Benchmarks as their own publishers have them: the same examples as from the hub's copies."""

import json

import pytest

from tests.data.convert.converted import convert, turns
from tests.data.convert.fixtures.hub_sets import FIXTURES
from tests.data.convert.fixtures.vqa_sets import write_json
from tests.data.convert.pictures import picture, write


def lines(path, records):
    write(path, "".join(json.dumps(record) + "\n" for record in records))


def mme(root):
    both = "Is the output '1'? Please answer yes or no.\tYes\n"
    both += "Is the output '2'? Please answer yes or no.\tNo\n"
    write(root / "code_reasoning/0020.txt", both)
    write(root / "code_reasoning/0020.png", picture(shade=100))
    # Subtasks of pictures by others have folders of their own.
    write(root / "artwork/questions_answers_YN/0020.txt", both + "a line without an answer\n")
    write(root / "artwork/images/0020.jpg", picture(shade=100))
    write(root / "artwork/questions_answers_YN/7.txt", both)  # its picture is not there


def pope(root):
    def record(number, label, image="COCO_val2014_000000310196.jpg"):
        text = "Is there a snowboard in the image?"
        return {"question_id": number, "image": image, "text": text, "label": label}

    lines(root / "coco/coco_pope_adversarial.json", [record(1, "yes"), record(2, "no")])
    lines(root / "coco/coco_pope_popular.json", [record(1, "yes")])
    lines(root / "coco/coco_pope_random.json", [record(1, "no"), record(2, "yes", "none.jpg")])
    write(root / "val2014/COCO_val2014_000000310196.jpg", picture(shade=50))


def llava_w(root):
    text = "What is the name of the famous sight in the photo?"
    facts = [("conv", 0), ("detail", 1), ("complex", 2)]
    lines(
        root / "questions.jsonl",
        [
            {"question_id": n, "image": f"00{n}.jpg", "text": text, "category": name}
            for name, n in facts
        ],
    )
    caption = "An aerial view of Diamond Head in the Hawaiian Islands."
    lines(
        root / "context.jsonl",
        [{"id": f"00{n}", "image": f"00{n}.jpg", "caption": caption} for n in range(3)],
    )
    answers = [
        "The famous sight in the photo is Diamond Head.",
        "The photo is an aerial view of a crater.",
    ]
    lines(
        root / "answers_gpt4.jsonl",
        [
            {"question_id": n, "text": answer, "model_id": "gpt-4"}
            for n, answer in enumerate(answers)
        ],
    )
    for n in range(3):
        write(root / f"images/00{n}.jpg", picture(shade=30 + n))


def mm_vet(root):
    def record(number, question, answer, capability):
        return {
            "imagename": f"v1_{number}.png",
            "imagesource": "https://example.org",
            "question": question,
            "answer": answer,
            "capability": capability,
        }

    content = {
        "v1_0": record(0, "What is x in the equation?", "-1<AND>-5", ["ocr", "math"]),
        "v1_1": record(1, "What is d in the last equation?", "1.25<OR>=1.25", ["ocr"]),
        "v1_2": record(2, "Where is it?", "here", ["rec"]),
    }
    write_json(root / "mm-vet.json", content)
    for n in range(2):
        write(root / f"images/v1_{n}.png", picture(shade=20))


def ocrbench(root):
    def record(number, dataset, kind, question, answers):
        return {
            "dataset_name": dataset,
            "id": number,
            "question": question,
            "answers": answers,
            "type": kind,
            "image_path": f"{dataset}/{number}.jpg",
        }

    formula = "Please write out the expression of the formula in the image using LaTeX format."
    handwritten = "Handwritten Mathematical Expression Recognition"
    content = [
        record(1, "IIIT5K", "Regular Text Recognition", "what is written?", "CENTRE"),
        record(2, "ESTVQA", "Scene Text-centric VQA", "What is the brand?", ["BMW", "bmw 3"]),
        record(3, "HME100k", handwritten, formula, ["x ^ { 2 }"]),
        record(4, "FUNSD", "Key Information Extraction", "What is the date?", []),
    ]
    write_json(root / "OCRBench/OCRBench.json", content)
    for item in content:
        write(root / "OCRBench_Images" / item["image_path"], picture(shade=90))


RELEASES = {
    "mme": (mme, 4, ["a line without a tab", "there is no picture"]),
    "pope": (pope, 4, ["there is no picture"]),
    "llava_w": (llava_w, 2, ["question 2 has no answer of GPT-4's"]),
    "mm_vet": (mm_vet, 2, ["v1_2.png"]),
    "ocrbench": (ocrbench, 3, ["no answer"]),
}


@pytest.mark.parametrize("name", RELEASES)
def test_the_release_gives_what_the_copy_gives(tmp_path, name):
    make, count, reasons = RELEASES[name]
    make(tmp_path / "own")
    FIXTURES[name].make(tmp_path / "copy")
    own, bad = convert("benchmark_sets", name, "test", tmp_path / "own")
    copies = convert("benchmark_sets", name, "test", tmp_path / "copy")[0].values()
    assert len(own) == count and len(bad) == len(reasons), bad
    for reason, expected in zip(sorted(bad.values()), reasons, strict=True):
        assert expected in reason
    for example in own.values():
        metadata = {k: v for k, v in example.metadata.items() if k != "group"}
        same = [
            copy
            for copy in copies
            if turns(copy) == turns(example)
            and {k: v for k, v in copy.metadata.items() if k != "group"} == metadata
        ]
        assert same, example.key
        assert same[0].segments == example.segments


def test_mme_pairs_questions_of_a_file(tmp_path):
    mme(tmp_path)
    good, _ = convert("benchmark_sets", "mme", "test", tmp_path)
    groups = [example.metadata["group"] for example in good.values()]
    assert groups == ["code_reasoning/0020"] * 2 + ["artwork/0020"] * 2


def test_contexts_of_another_source_are_not_taken(tmp_path):
    """Files are read once a source; a second source has its own."""
    for folder, caption in (("a", "one"), ("b", "two")):
        llava_w(tmp_path / folder)
        contexts = [{"id": "000", "image": "000.jpg", "caption": caption}]
        lines(tmp_path / folder / "context.jsonl", contexts)
        good, bad = convert("benchmark_sets", "llava_w", "test", tmp_path / folder)
        assert good["0"].metadata["judge"]["context"] == caption and len(bad) == 2
