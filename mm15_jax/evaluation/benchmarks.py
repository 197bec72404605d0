"""The benchmarks, as a table: a row names a data set, its category and how its score is read.

The metric is per example, from the data's own metadata, so that one benchmark may mix kinds of
questions. A new benchmark is a row here and a prepared data set of the same name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from mm15_jax.config.names import unknown

# The order of the paper's tables 4 to 9.
CATEGORIES = ("general", "text_rich", "knowledge", "refer_ground", "multi_image")


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """One row.

    Attributes:
      name: also of the prepared data set, `<data_dir>/<name>/<split>`.
      category: one of `CATEGORIES`.
      suite: benchmarks that belong together; averages are taken within suites.
      measures: what a point of the score means, for readers of a report.
      averaged: whether it counts in its category's average.
    """

    name: str
    category: str
    suite: str
    measures: str
    averaged: bool = True


_EXACT = "answers equal to the truth"
_ANLS = "ANLS, similarity of the text to the truth"
_BOX = "boxes with IoU above 0.5"

TABLE: tuple[Benchmark, ...] = (
    Benchmark("mini_scene_qa", "general", "mini", _EXACT),
    Benchmark("mini_word_qa", "text_rich", "mini", _EXACT),
    Benchmark("mini_document_qa", "text_rich", "mini", _ANLS),
    Benchmark("mini_chart_qa", "text_rich", "mini", "relaxed accuracy, numbers within 5%"),
    Benchmark("mini_table_qa", "text_rich", "mini", _EXACT),
    Benchmark("mini_arithmetic_qa", "knowledge", "mini", _EXACT),
    Benchmark("mini_diagram_qa", "knowledge", "mini", "options named rightly"),
    Benchmark("mini_grounding", "refer_ground", "mini", _BOX),
    Benchmark("mini_referring", "refer_ground", "mini", _EXACT),
    Benchmark("mini_compare", "multi_image", "mini", _EXACT),
    Benchmark("open_stamps", "general", "open", _EXACT),
    Benchmark("open_lines", "text_rich", "open", _EXACT),
    Benchmark("open_paragraphs", "text_rich", "open", _ANLS, averaged=False),
    Benchmark("open_pages", "text_rich", "open", _ANLS, averaged=False),
    Benchmark("open_maps", "refer_ground", "open", _BOX + ", or the name"),
    Benchmark("open_regions", "refer_ground", "open", _BOX + ", or the name", averaged=False),
    Benchmark("open_flags", "knowledge", "open", "options named rightly"),
    Benchmark("open_capitals", "knowledge", "open", _EXACT, averaged=False),
)
_DEFAULT_SUITE = "mini"


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
    suites = dict.fromkeys(benchmark.suite for benchmark in TABLE)
    return [*(benchmark.name for benchmark in TABLE), *CATEGORIES, *suites, "all"]


def resolve(names: Iterable[str]) -> tuple[Benchmark, ...]:
    """Benchmarks that names stand for, each once, in the table's order.

    Args:
      names: names of benchmarks; a category or "all", which stand for the miniature's; or a suite
        ("mini", "open").

    Raises:
      ValueError: an unknown name (the sentence names the nearest), or no name at all.
    """
    chosen: set[str] = set()
    for name in names:
        found = [
            benchmark.name
            for benchmark in TABLE
            if name in (benchmark.name, benchmark.suite)
            or (benchmark.suite == _DEFAULT_SUITE and name in (benchmark.category, "all"))
        ]
        if not found:
            raise unknown("benchmark", name, valid_names())
        chosen.update(found)
    if not chosen:
        raise ValueError(f"no benchmark is named, expected some of: {', '.join(valid_names())}")
    return tuple(benchmark for benchmark in TABLE if benchmark.name in chosen)
