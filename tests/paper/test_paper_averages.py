import pytest

from mm15_jax import paper
from mm15_jax.evaluation.benchmarks import CATEGORIES


def test_categories_of_mm15_3b_are_means_of_tables_5_to_9():
    lookup = paper.lookup_of_model("mm15_3b")
    found = {key: paper.evaluate(key, lookup).value for key in paper.averages()}
    general = ((1478.4 + 319.6) / 28 + 72.4 + 88.1 + 73.0 + 41.0 + 56.9) / 6
    text_rich = (41.8 + 72.9 + 65.7 + 74.2 + 76.5 + 87.7 + 58.5) / 7
    knowledge = (65.7 + 85.8 + 37.1 + 44.4) / 4
    refcoco = (92.0 + 86.1 + 87.7 + 75.9 + 86.4) / 5
    assert found["general"] == pytest.approx(general)
    assert found["text_rich"] == pytest.approx(text_rich)
    assert found["knowledge"] == pytest.approx(knowledge)
    assert found["refcoco_avg"] == pytest.approx(refcoco)
    grounding = (refcoco + 85.9 + (76.3 + 59.5) / 2 + 69.5) / 4
    assert found["refer_ground"] == pytest.approx(grounding)
    assert found["multi_image"] == pytest.approx((73.2 + 54.8 + 83.8 + 47.7 + 46.8 + 44.3) / 6)
    assert found["mmbase"] == pytest.approx((general + text_rich + knowledge) / 3)
    four = (general + text_rich + knowledge + grounding) / 4
    assert found["four_categories"] == pytest.approx(four)


def test_an_average_without_a_member_is_none_and_names_it():
    scores = {("refcoco", "testA"): 80.0, ("refcocog", ""): 70.0, ("lvis_ref", "box"): 60.0}
    found = paper.evaluate("refcoco_avg", lambda *key: scores.get(key))
    assert found.value is None
    assert found.missing == ("refcoco.testB", "refcoco_plus.testA", "refcoco_plus.testB")
    found = paper.evaluate("refer_ground", lambda *key: scores.get(key))
    assert found.missing[-3:] == ("flickr30k", "lvis_ref.point", "ferret_bench")


def test_a_sum_that_is_printed_as_such_needs_no_parts():
    assert paper.evaluate("mme_total", paper.lookup_of_model("gpt_4o")).value == 2310.3
    assert paper.evaluate("mme_points", paper.lookup_of_model("gpt_4o")).value == 2310.3 / 28
    found = paper.evaluate("mme_points", paper.lookup_of_model("vila_1.5_3b"))
    assert found.value is None and found.missing == ("mme.cognition",)


def test_members_exist_and_categories_are_those_of_evaluation():
    parts = {c.key: c.parts for n in range(5, 13) for c in paper.table(n).scores}
    for found in paper.averages().values():
        for member in found.members:
            key, _, part = member.partition(".")
            assert member in paper.averages() or part in parts[key]
    categories = [key for key in paper.averages() if key in CATEGORIES]
    assert set(CATEGORIES) - set(categories) == {"video", "ui", "0_shot", "4_shot", "8_shot"}


def test_every_benchmark_of_tables_5_to_9_counts_in_one_category():
    def leaves(key):
        for member in paper.average(key).members:
            yield from leaves(member) if member in paper.averages() else [member.split(".")[0]]

    counted = [set(leaves(key)) for key in paper.averages() if key in CATEGORIES]
    together = [key for keys in counted for key in keys]
    assert len(together) == len(set(together))
    assert set(together) == set(paper.benchmarks()[:35])


def test_figures_agree_with_what_the_text_says_of_them():
    assert sum(len(figure.differences) for figure in paper.figures()) == 3
    for figure in paper.figures():
        for said in figure.differences:
            for measure, gain in said.values.items():
                row, over = (figure.value(r).values[measure] for r in (said.row, said.over))
                assert row - over == pytest.approx(gain, abs=said.within + 1e-9), measure


def test_figure_9_has_the_same_runs_twice_and_ranks_them_as_the_text_does():
    resolution = {v.row: v.values["mmbase"] for v in paper.figure("9a").values}
    data = {v.row: v.values["mmbase"] for v in paper.figure("9b").values}
    # "underperform a model without continual pre-training"; "consistently lower".
    assert resolution["378"] < resolution["none"]
    assert resolution["378"] < resolution["756"] < resolution["1344"]
    assert data["none"] == resolution["none"] and data["ocr"] == resolution["1344"]
    # "all continual pre-trained models perform better than the baseline"
    assert min(data.values()) == data["none"]


def test_points_say_how_far_they_can_be_trusted():
    trust = {f.name: {v.trust for v in f.values} for f in paper.figures()}
    assert trust == {
        "5": set(), "6": {"text"}, "7": {"text"}, "8": set(),
        "9a": {"secondary"}, "9b": {"secondary"}, "10": {"secondary"},
    }  # fmt: skip
    assert paper.figure("6").value("math").values == {"chosen_alpha": 0.5}
