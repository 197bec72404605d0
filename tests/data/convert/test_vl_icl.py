"""VL-ICL, from its unpacked archives."""

import json
import random

import pytest

from mm15_jax.data.convert import vl_icl
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Image
from tests.data.convert.converted import convert
from tests.data.convert.fixtures.vl_icl_sets import FIXTURES


def made(name, root):
    FIXTURES[name].make(root)
    return convert("vl_icl", name, "test", root)


def text(example):
    """The prompt as LLaVA is shown it, a picture as `<image>`."""
    pieces = ["<image>" if isinstance(s, Image) else s.text for s in example.segments[:-1]]
    assert {segment.role for segment in example.segments[:-1]} == {"user"}
    return "".join(pieces)


def load(root, task, kind):
    return json.loads((root / task / f"{kind}.json").read_text())


def shot(record, answer=None):
    answer = record["answer"] if answer is None else answer
    pictures = "<image>\n" * len(record["image"])
    return f"{pictures}{record['question']}\nAnswer: {answer}\n"


def test_shots_are_those_that_the_published_code_draws(tmp_path):
    """One generator, seeded with 0, goes on from query to query."""
    good, bad = made("vl_icl_clevr", tmp_path)
    support, generator = load(tmp_path, "clevr", "support"), random.Random(0)
    instruction = next(task.instruction for task in vl_icl.TASKS if task.folder == "clevr")
    for query in load(tmp_path, "clevr", "query")[:3]:
        drawn = generator.sample(support, 4)
        expected = f"{instruction}\n" + "".join(map(shot, drawn))
        expected += f"<image>\n{query['question']}\nAnswer:"
        example = good[str(query["id"])]
        assert text(example) == expected
        pictures = [s.data for s in example.segments if isinstance(s, Image)]
        names = [name for record in (*drawn, query) for name in record["image"]]
        assert pictures == [(tmp_path / name).read_bytes() for name in names]
        assert example.segments[-1].text == str(query["answer"]) == example.metadata["answer"]
    assert "clevr/query/gone.png" in bad["clevr/query.json#3"]


@pytest.mark.parametrize("folder", ["operator_induction", "operator_induction_interleaved"])
def test_shots_have_the_answer_of_the_query_s_operator(tmp_path, folder):
    good, bad = made(f"vl_icl_{folder}", tmp_path)
    support, generator = load(tmp_path, folder, "support"), random.Random(0)
    for place, query in enumerate(load(tmp_path, folder, "query")[:3]):
        drawn = generator.sample(support, 4)
        shots = "".join(shot(record, record["answer"][place]) for record in drawn)
        assert shots in text(good[str(query["id"])])
    assert list(bad.values()) == ["the operator '/', expected one of +, -, x"]
    assert good["0"].metadata == {"answer": "5", "metric": "icl_number"}


def test_matching_shows_both_kinds_of_pair(tmp_path):
    good, bad = made("vl_icl_matching_miniimagenet", tmp_path)
    drawn = random.Random(0).sample(load(tmp_path, "matching_mi", "support"), 4)
    shots = "".join(shot(record[kind]) for record in drawn for kind in ("same", "diff"))
    assert shots in text(good["0_Yes"]) and text(good["0_Yes"]).count("<image>") == 18
    assert good["1_No"].metadata == {"answer": "No", "metric": "icl_contains"}
    assert list(bad.values()) == ["an empty answer"]


def test_open_shows_the_asked_class_and_one_other(tmp_path):
    good, bad = made("vl_icl_open_miniimagenet", tmp_path)
    generator = random.Random(0)
    other = generator.choice(["blicket", "perpo", "slation", "kilop"])
    order = ["dax", other] if generator.choice([True, False]) else [other, "dax"]
    shots = "".join(f"<image>\nThis is a\nAnswer: {name}\n" for _ in range(4) for name in order)
    assert shots + "<image>\nThis is a\nAnswer:" in text(good["0"])
    assert good["0"].segments[-1].text == "dax" and len(good["0"].segments) == 20
    (reason,) = bad.values()
    assert reason.endswith("has 2 pictures, expected 4 or more")


def test_a_support_set_that_is_too_small_is_told(tmp_path):
    FIXTURES["vl_icl_clevr"].make(tmp_path)
    path = tmp_path / "clevr/support.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:3]))
    clevr = next(p for p in vl_icl.PREPARATIONS if p.name == "vl_icl_clevr")
    with pytest.raises(ValueError, match=r"support.json in .* has 3 records, expected 4"):
        clevr.parts("test", Source(tmp_path))
