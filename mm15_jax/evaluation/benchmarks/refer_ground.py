"""Referring and grounding: table 7 of the paper.

The category's average has four members (table 4): RefCOCO, whose five splits count as one,
Flickr30k, LVIS-Ref and Ferret-Bench.
"""

from mm15_jax.evaluation.benchmarks.row import Benchmark, DataSet

_BOX = "boxes with IoU above 0.5"
# "RefCOCO (avg)" of table 4 is the plain mean of the five columns of table 7.
_REFCOCO = tuple(
    DataSet(data, split, f"{data}_{split}")
    for data, split in (
        ("refcoco", "testA"),
        ("refcoco", "testB"),
        ("refcoco_plus", "testA"),
        ("refcoco_plus", "testB"),
        ("refcocog", "test"),
    )
)

BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        "refcoco",
        "refer_ground",
        "paper",
        f"{_BOX}, the mean over RefCOCO, RefCOCO+ (testA, testB) and RefCOCOg (test)",
        metrics=("iou",),
        parts=_REFCOCO,
        aggregate="subset_mean",
        max_new_tokens=32,
    ),
    Benchmark(
        "flickr30k",
        "refer_ground",
        "paper",
        f"{_BOX}, all boxes of a phrase as one",
        metrics=("iou",),
        data="flickr30k_entities",
        max_new_tokens=32,
    ),
    Benchmark(
        "lvis_ref",
        "refer_ground",
        "paper",
        "things in boxes and at points named rightly of two names, the mean of both",
        metrics=("lvis_name",),
        aggregate="subset_mean",
        max_new_tokens=64,
    ),
    Benchmark(
        "ferret_bench",
        "refer_ground",
        "paper",
        "a judge's points for the answer, relative to its points for GPT-4's, over three kinds",
        metrics=("judge",),
        aggregate="ferret_bench",
        judge="ferret_bench",
        max_new_tokens=512,
    ),
)
