import pytest

from mm15_jax.data import miniature, open_corpus
from mm15_jax.evaluation import benchmarks
from mm15_jax.evaluation.categories import average_categories
from mm15_jax.evaluation.metrics import METRICS

MINI = [b.name for b in benchmarks.TABLE if b.suite == "mini"]


def test_the_table_agrees_with_the_data_sets():
    prepared = {p.name: p for p in (*miniature.PREPARATIONS, *open_corpus.PREPARATIONS)}
    for benchmark in benchmarks.TABLE:
        assert prepared[benchmark.name].category == benchmark.category, benchmark
        assert "test" in prepared[benchmark.name].splits
    assert len({b.name for b in benchmarks.TABLE}) == len(benchmarks.TABLE)


def test_the_miniature_names_known_metrics():
    for name in MINI:
        for example in miniature.SETS[name].examples("test", range(4)):
            assert example.metadata["metric"] in METRICS


def test_categories_and_all_stand_for_the_miniature():
    assert [b.name for b in benchmarks.resolve(["all"])] == MINI
    assert [b.name for b in benchmarks.resolve(["knowledge", "mini_compare", "knowledge"])] == [
        "mini_arithmetic_qa", "mini_diagram_qa", "mini_compare",
    ]  # fmt: skip
    assert {b.suite for b in benchmarks.resolve(["open"])} == {"open"}


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
    assert averages.missing == {}
    assert averages.scores == {
        "general": 0.0,
        "text_rich": 25.0,
        "knowledge": 55.0,
        "refer_ground": 75.0,
        "multi_image": 90.0,
        "mmbase": pytest.approx(80 / 3),
    }


def test_a_category_with_a_benchmark_missing_is_not_averaged():
    scores = dict.fromkeys(MINI, 50.0)
    del scores["mini_table_qa"]
    averages = average_categories(scores)
    assert averages.scores["text_rich"] is None and averages.scores["mmbase"] is None
    assert averages.missing == {"text_rich": ["mini_table_qa"], "mmbase": ["text_rich"]}
    assert averages.scores["general"] == 50.0


def test_benchmarks_outside_the_averages_neither_count_nor_miss():
    scores = {"open_lines": 40.0, "open_pages": 90.0}
    assert average_categories(scores).scores["text_rich"] == 40.0
