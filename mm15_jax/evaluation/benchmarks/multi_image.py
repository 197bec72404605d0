"""Several pictures: table 9 of the paper."""

from mm15_jax.evaluation.benchmarks.row import Benchmark

_OPTIONS = "options named rightly"


def _choices(name: str, split: str) -> Benchmark:
    return Benchmark(
        name,
        "multi_image",
        "paper",
        _OPTIONS,
        metrics=("multiple_choice",),
        split=split,
        max_new_tokens=16,
    )


BENCHMARKS: tuple[Benchmark, ...] = (
    _choices("qbench2", "validation"),
    Benchmark(
        "mantis_eval",
        "multi_image",
        "paper",
        f"{_OPTIONS}, or short answers equal to the truth",
        metrics=("multiple_choice", "exact_match"),
        max_new_tokens=32,
    ),
    Benchmark(
        "nlvr2",
        "multi_image",
        "paper",
        "statements on two pictures rightly called true or false",
        metrics=("exact_match",),
        split="validation",
        max_new_tokens=8,
    ),
    _choices("mvbench", "test"),
    _choices("blink", "validation"),
    _choices("muirbench", "test"),
)
