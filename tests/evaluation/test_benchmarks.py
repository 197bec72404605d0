import pytest

from mm15_jax.data import miniature
from mm15_jax.data.registry import all_preparations
from mm15_jax.evaluation import benchmarks
from mm15_jax.evaluation.aggregates import AGGREGATES
from mm15_jax.evaluation.categories import average_categories
from mm15_jax.evaluation.metrics import METRICS

MINI = [b.name for b in benchmarks.TABLE if b.suite == "mini"]


def test_the_table_agrees_with_the_data_sets():
    prepared = all_preparations()
    for benchmark in benchmarks.TABLE:
        for part in benchmark.data_sets:
            assert part.split in prepared[part.data_set].splits, benchmark
        assert benchmark.category in benchmarks.CATEGORIES
        assert benchmark.aggregate in AGGREGATES
    assert len({b.name for b in benchmarks.TABLE}) == len(benchmarks.TABLE)


def test_the_miniature_names_known_metrics():
    for name in MINI:
        for example in miniature.SETS[name].examples("test", range(4)):
            assert example.metadata["metric"] in METRICS


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
        "text_rich": 25.0,
        "knowledge": 55.0,
        "refer_ground": 75.0,
        "multi_image": 90.0,
        "mmbase": pytest.approx(80 / 3),
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
