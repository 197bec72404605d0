"""Referring and grounding: table 7 of the paper.

The category's average has four members: RefCOCO, whose five splits count as one, Flickr30k,
LVIS-Ref and Ferret-Bench.
"""

from mm15_jax.evaluation.benchmarks.row import Benchmark

_BOX = "boxes with IoU above 0.5"


def _refcoco(name: str, data: str, split: str) -> Benchmark:
    return Benchmark(
        name,
        "refer_ground",
        "paper",
        _BOX,
        data=data,
        split=split,
        counts_as="refcoco",
        max_new_tokens=32,
    )


BENCHMARKS: tuple[Benchmark, ...] = (
    _refcoco("refcoco_testA", "refcoco", "testA"),
    _refcoco("refcoco_testB", "refcoco", "testB"),
    _refcoco("refcoco_plus_testA", "refcoco_plus", "testA"),
    _refcoco("refcoco_plus_testB", "refcoco_plus", "testB"),
    _refcoco("refcocog_test", "refcocog", "test"),
    Benchmark(
        "flickr30k",
        "refer_ground",
        "paper",
        f"{_BOX}, all boxes of a phrase as one",
        data="flickr30k_entities",
        max_new_tokens=32,
    ),
    Benchmark(
        "lvis_ref",
        "refer_ground",
        "paper",
        "things in boxes and at points named rightly of two names, the mean of both",
        aggregate="subset_mean",
        max_new_tokens=64,
    ),
    Benchmark(
        "ferret_bench",
        "refer_ground",
        "paper",
        "a judge's points for the answer, relative to its points for GPT-4's, over three kinds",
        aggregate="subset_mean",
        judge="ferret_bench",
        max_new_tokens=512,
    ),
)
