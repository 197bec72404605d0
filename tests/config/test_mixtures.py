import pytest

from mm15_jax.config.mixtures import Group, dataset_names, dataset_weights, group_weights
from mm15_jax.experiments.mixtures import MIXTURES

# Section 4.2 and figure 6: shares of the whole in per cent.
FINAL_MIXTURE = {
    "text_rich": 37.2,
    "refer_ground": 22.5,
    "general": 11.3,
    "math": 5.6,
    "code": 2.3,
    "science": 1.1,
    "multi_image": 10.0,
    "text": 10.0,
}


def test_the_final_mixture_has_the_papers_shares():
    shares = {group.category: 100 * group.weight for group in MIXTURES["sft_all"]}
    assert shares == pytest.approx(FINAL_MIXTURE, abs=0.12)


@pytest.mark.parametrize("name", MIXTURES)
def test_weights_of_a_mixture_sum_to_one(name):
    assert sum(group.weight for group in MIXTURES[name]) == pytest.approx(1.0)


def test_data_sets_divide_their_group_by_size_or_by_shares():
    mixture = (Group("a", 0.5, ("x", "y")), Group("b", 0.5, ("z", "w"), (3.0, 1.0)))
    weights = dataset_weights(mixture, {"x": 300, "y": 100, "z": 5, "w": 5})
    assert weights == pytest.approx({"x": 0.375, "y": 0.125, "z": 0.375, "w": 0.125})


def test_an_absent_data_set_leaves_its_weight_to_its_group_and_a_group_to_the_others():
    mixture = (Group("a", 0.5, ("x", "y")), Group("b", 0.25, ("z",)), Group("c", 0.25, ("w",)))
    assert dataset_weights(mixture, {"x": 7, "z": 5}) == pytest.approx({"x": 2 / 3, "z": 1 / 3})


def test_no_data_set_at_all_is_an_error_that_names_them():
    with pytest.raises(ValueError, match="x, y"):
        dataset_weights((Group("a", 1.0, ("x", "y")),), {})


def test_names_come_once_in_order():
    mixture = (Group("a", 0.5, ("x", "y")), Group("b", 0.5, ("y", "z")))
    assert dataset_names(mixture) == ("x", "y", "z")


def test_weights_by_tokens_are_converted_to_examples():
    mixture = (Group("a", 3.0, ("x", "y")), Group("b", 1.0, ("z",)))
    counts, lengths = {"x": 100, "y": 300, "z": 50}, {"x": 10.0, "y": 40.0, "z": 5.0}
    weights = dataset_weights(mixture, counts, lengths)
    assert sum(weights.values()) == pytest.approx(1)
    tokens = {name: weight * lengths[name] for name, weight in weights.items()}
    assert (tokens["x"] + tokens["y"]) / tokens["z"] == pytest.approx(3)
    # Inside a group at natural sizes every example comes equally often.
    assert weights["y"] / weights["x"] == pytest.approx(3)


def test_shares_by_tokens():
    mixture = (Group("a", 1.0, ("x", "y"), (0.25, 0.75)),)
    weights = dataset_weights(mixture, {"x": 7, "y": 9}, {"x": 10.0, "y": 40.0})
    assert weights["y"] * 40 / (weights["x"] * 10) == pytest.approx(3)


@pytest.mark.parametrize(
    "datasets, shares, words",
    [
        ("fish", (), r"'fish'; expected \('fish',\)"),
        (("x", "y"), (1.0,), "1 shares for 2 data sets"),
        (("x", "y", "x"), (1.0, 2.0, 3.0), "names x twice"),
    ],
)
def test_a_group_that_would_mean_something_else_is_refused(datasets, shares, words):
    with pytest.raises(ValueError, match=f"the group 'a' .*{words}"):
        Group("a", 1.0, datasets, shares)


def test_what_a_category_weighs_without_what_is_missing():
    mixture = (Group("a", 2.0, ("x",)), Group("b", 1.0, ("y",)), Group("c", 1.0, ("z",)))
    weights = group_weights(mixture, {"x": 5, "y": 5})
    assert weights["a"] == pytest.approx((0.5, 2 / 3))
    assert weights["b"] == pytest.approx((0.25, 1 / 3))
    assert weights["c"] == pytest.approx((0.25, 0.0))


def test_the_ocr_data_sets_have_equal_shares():
    ocr = dataset_weights(MIXTURES["continual_ocr"], {"pdfa": 7, "idl": 7000})
    assert ocr == pytest.approx({"pdfa": 0.5, "idl": 0.5})
