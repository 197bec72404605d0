import pytest

from mm15_jax.config.mixtures import Group, dataset_names, dataset_weights
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
