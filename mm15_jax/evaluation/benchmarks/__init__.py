"""The benchmarks, as a table: a row names a data set, its category and how its score is read.

A new benchmark is a row in the file of its category and a prepared data set.
"""

from __future__ import annotations

from collections.abc import Iterable

from mm15_jax.config.names import unknown
from mm15_jax.evaluation.benchmarks import (
    few_shot,
    general,
    in_context,
    knowledge,
    miniature,
    multi_image,
    refer_ground,
    text_rich,
    ui,
    video,
)
from mm15_jax.evaluation.benchmarks.row import CATEGORIES, Benchmark, DataSet

__all__ = [
    "CATEGORIES",
    "SUITES",
    "TABLE",
    "Benchmark",
    "DataSet",
    "find",
    "resolve",
    "valid_names",
]

TABLE: tuple[Benchmark, ...] = (
    *miniature.BENCHMARKS,
    *general.BENCHMARKS,
    *text_rich.BENCHMARKS,
    *knowledge.BENCHMARKS,
    *refer_ground.BENCHMARKS,
    *multi_image.BENCHMARKS,
    *in_context.BENCHMARKS,
    *few_shot.BENCHMARKS,
    *video.BENCHMARKS,
    *ui.BENCHMARKS,
)
SUITES = tuple(dict.fromkeys(benchmark.suite for benchmark in TABLE))


def find(name: str) -> Benchmark:
    """The benchmark called `name`.

    Raises:
      ValueError: there is none; the sentence names the nearest.
    """
    for benchmark in TABLE:
        if benchmark.name == name:
            return benchmark
    raise unknown("benchmark", name, valid_names())


def valid_names() -> list[str]:
    """Everything that `resolve` understands."""
    categories = [c for c in CATEGORIES if any(row.category == c for row in TABLE)]
    return [*(benchmark.name for benchmark in TABLE), *categories, *SUITES, "all"]


def resolve(names: Iterable[str]) -> tuple[Benchmark, ...]:
    """Benchmarks that names stand for, each once, in the table's order.

    Args:
      names: benchmarks, categories ("text_rich", of every suite), suites ("mini"), a category of
        a suite ("mini/text_rich"), or "all".

    Raises:
      ValueError: an unknown name (the sentence names the nearest), or no name at all.
    """
    chosen: set[str] = set()
    for name in names:
        found = [row.name for row in TABLE if name in _called(row)]
        if not found:
            raise unknown("benchmark", name, valid_names())
        chosen.update(found)
    if not chosen:
        raise ValueError(f"no benchmark is named, expected some of: {', '.join(valid_names())}")
    return tuple(benchmark for benchmark in TABLE if benchmark.name in chosen)


def _called(row: Benchmark) -> tuple[str, ...]:
    return row.name, row.category, row.suite, f"{row.suite}/{row.category}", "all"
