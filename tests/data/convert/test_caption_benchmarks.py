"""Captions of MM1's few-shot set: Karpathy's splits, and what NoCaps keeps for shots."""

from tests.data.convert.converted import convert, turns
from tests.data.convert.fixtures.caption_benchmark_sets import FIXTURES, NOCAPS


def made(name, root, split):
    FIXTURES[name].make(root)
    return convert("caption_benchmarks", name, split, root)


def test_coco_is_divided_as_karpathy_did(tmp_path):
    good, bad = made("coco_karpathy", tmp_path, "test")
    name = "COCO_val2014_000000000001"
    assert set(good) == {name, "COCO_val2014_000000000007"}
    references = ["A wooden cup on a table.", "A cup."]
    assert good[name].metadata == {"answer": references, "metric": "cider"}
    ((question, answer),) = turns(good[name])
    assert question == "Provide a one-sentence caption for the provided image."
    assert answer in references
    absent, empty = bad.values()
    assert "000000000005.jpg" in absent and empty == "a picture without captions"
    train, _ = convert("caption_benchmarks", "coco_karpathy", "train", tmp_path)
    captions = {key: turns(example)[0][1] for key, example in train.items()}
    assert captions["COCO_val2014_000000000003"] == "Two dogs play."  # "restval"
    assert captions["COCO_train2014_000000000004"] == "A man rides a horse."
    assert not {*good, "COCO_val2014_000000000002"} & train.keys()
    validation, _ = convert("caption_benchmarks", "coco_karpathy", "validation", tmp_path)
    assert set(validation) == {"COCO_val2014_000000000002"}


def test_what_nocaps_keeps_for_shots_is_not_scored(tmp_path):
    scored, bad = made("nocaps_few_shot", tmp_path, "validation")
    shots, told = convert("caption_benchmarks", "nocaps_few_shot", "train", tmp_path)
    assert set(scored) == set(NOCAPS[:2]) and set(shots) == set(NOCAPS[2:])
    assert len(bad) == 1 and not told
    assert len(scored[NOCAPS[1]].metadata["answer"]) == 2
