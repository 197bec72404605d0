import json

import pytest
import rich.console

from mm15_jax.data import miniature
from mm15_jax.data.registry import all_preparations
from mm15_jax.evaluation import benchmarks
from mm15_jax.evaluation.aggregates import AGGREGATES
from mm15_jax.evaluation.benchmark_list import describe, print_list
from mm15_jax.evaluation.categories import average_categories
from mm15_jax.evaluation.metrics import METRICS
from mm15_jax.evaluation.score_table import SUITE_TITLES

MINI = [b.name for b in benchmarks.TABLE if b.suite == "mini"]


def test_the_table_agrees_with_the_data_sets():
    prepared = all_preparations()
    for benchmark in benchmarks.TABLE:
        for part in benchmark.data_sets:
            assert part.split in prepared[part.data_set].splits, benchmark
        assert benchmark.category in benchmarks.CATEGORIES
        assert benchmark.suite in SUITE_TITLES
        assert benchmark.aggregate in AGGREGATES
        assert benchmark.metrics and set(benchmark.metrics) <= set(METRICS)
        assert (benchmark.metrics == ("judge",)) == bool(benchmark.judge)
    assert len({b.name for b in benchmarks.TABLE}) == len(benchmarks.TABLE)


def test_the_miniature_is_scored_by_the_metrics_that_the_table_says():
    for name in MINI:
        for example in miniature.SETS[name].examples("test", range(4)):
            assert example.metadata["metric"] in benchmarks.find(name).metrics


def test_the_list_fits_into_80_columns_and_names_metric_and_oracle_of_all(capsys):
    print_list(rich.console.Console(width=80))
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 80 and "…" not in printed
    for row in benchmarks.TABLE:
        (line,) = [line for line in lines if line.startswith(f"  {row.name} ")]
        assert row.metrics[0] in line and row.data_sets[0].split in line
        facts = describe(row)
        assert facts["metric"] == list(row.metrics) and (facts["oracle"] or row.judge)
        assert not facts["oracle"] or facts["oracle"][0].split()[0].rstrip(":") in line
    json.dumps([describe(row) for row in benchmarks.TABLE])


def test_few_shot_scores_are_averaged_by_the_number_of_shots():
    scores = {row.name: 10.0 * row.shots for row in benchmarks.TABLE if row.suite == "few_shot"}
    found = average_categories(scores)["few_shot"].scores
    assert found == {"0_shot": 0.0, "4_shot": 40.0, "8_shot": 80.0}


def test_groups_stand_for_their_benchmarks_and_each_counts_once():
    assert [b.name for b in benchmarks.resolve(["mini"])] == MINI
    assert benchmarks.resolve(["all"]) == benchmarks.TABLE
    names = ["mini/knowledge", "mini_compare", "mini_compare"]
    assert [b.name for b in benchmarks.resolve(names)] == [
        "mini_arithmetic_qa", "mini_diagram_qa", "mini_compare",
    ]  # fmt: skip
    assert {b.suite for b in benchmarks.resolve(["open"])} == {"open"}
    assert {b.category for b in benchmarks.resolve(["knowledge"])} == {"knowledge"}
    assert {b.suite for b in benchmarks.resolve(["knowledge"])} >= {"mini", "open"}


def test_unknown_benchmarks_are_answered_with_the_nearest():
    with pytest.raises(ValueError, match="'mini_grouding'; did you mean 'mini_grounding'"):
        benchmarks.resolve(["mini_grouding"])
    with pytest.raises(ValueError, match="text_rich"):
        benchmarks.resolve(["textrich"])
    with pytest.raises(ValueError, match="no benchmark is named"):
        benchmarks.resolve([])


def test_averages_are_plain_means_and_mmbase_has_three():
    scores = {name: 10.0 * i for i, name in enumerate(MINI)}
    averages = average_categories(scores)
    assert set(averages) == {"mini"} and averages["mini"].missing == {}
    assert averages["mini"].scores == {
        "general": 0.0,
        "text_rich": 35.0,
        "knowledge": 75.0,
        "refer_ground": 95.0,
        "multi_image": 110.0,
        "mmbase": pytest.approx(110 / 3),
    }


@pytest.mark.parametrize("unscored", [{}, {"mini_table_qa": None}])
def test_a_category_with_a_benchmark_missing_is_not_averaged(unscored):
    scores = dict.fromkeys(MINI, 50.0)
    del scores["mini_table_qa"]
    averages = average_categories({**scores, **unscored})["mini"]
    assert averages.scores["text_rich"] is None and averages.scores["mmbase"] is None
    assert averages.missing == {"text_rich": ["mini_table_qa"], "mmbase": ["text_rich"]}
    assert averages.scores["general"] == 50.0


def test_suites_are_averaged_apart():
    averages = average_categories({"open_flags": 30.0, **dict.fromkeys(MINI, 50.0)})
    assert averages["mini"].scores["knowledge"] == 50.0
    assert averages["open"].scores["knowledge"] == 30.0


def test_benchmarks_outside_the_averages_neither_count_nor_miss():
    scores = {"open_lines": 40.0, "open_pages": 90.0}
    assert average_categories(scores)["open"].scores["text_rich"] == 40.0
