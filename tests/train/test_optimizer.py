"""Updates of a few parameters, by the names that real ones have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mm15_jax.config import OptimizerConfig
from mm15_jax.train.optimizer import make_optimizer
from tests import tiny

RATE = 0.01
MODEL = tiny.experiment().model


def optimizer(**fields):
    config = OptimizerConfig(**{"name": "adamw", "weight_decay": 0.0, **fields})
    return make_optimizer(config, MODEL, lambda step: RATE)


def tree(value, *shape):
    """Parameters, or their gradients: matrices, a norm, a bias and a table of positions."""
    full = jnp.full(shape or (4, 6), value, jnp.float32)
    return {
        "encoder": {"positions": full, "layers": {"mlp": {"up": {"kernel": full, "bias": full}}}},
        "decoder": {"embedding": full, "final_norm": {"scale": full}},
    }


def updates(rule, params, *gradients):
    """Of the last gradient, after the others."""
    state = rule.init(params)
    for gradient in gradients:
        found, state = rule.update(gradient, state, params)
    return found


def by_name(found):
    """Name of a parameter -> the one value that all of its elements have."""
    leaves = jax.tree_util.tree_leaves_with_path(found)
    assert all(np.ptp(leaf) == 0 for _, leaf in leaves)
    return {path[-1].key: float(leaf.max()) for path, leaf in leaves}


def test_a_step_goes_against_the_gradient_by_the_learning_rate():
    found = by_name(updates(optimizer(), tree(2.0), tree(5.0)))
    assert found == pytest.approx(dict.fromkeys(found, -RATE), rel=1e-3)


@pytest.mark.parametrize("name", ["adafactor", "adamw", "muon"])
def test_matrices_and_embeddings_decay_by_the_learning_rate_and_nothing_else_does(name):
    found = by_name(updates(optimizer(name=name, weight_decay=0.5), tree(2.0), tree(0.0)))
    decayed = {"kernel", "embedding"}
    assert found == pytest.approx({k: -RATE * 0.5 * 2.0 * (k in decayed) for k in found}, abs=1e-9)


def test_what_is_frozen_stays_and_does_not_decay():
    frozen = ("encoder/layers", "decoder/final_norm")
    rule = optimizer(weight_decay=0.5, frozen=frozen)
    found = by_name(updates(rule, tree(2.0), tree(5.0)))
    assert {k for k, v in found.items() if v == 0} == {"kernel", "bias", "scale"}


@pytest.mark.parametrize("name", ["decoder/layers/mlp/u", "vision", "encoder/post_norm"])
def test_a_frozen_path_that_names_no_parameter_that_trains_is_refused(name):
    with pytest.raises(ValueError, match=f"'{name}', which no parameter path starts with; paths"):
        optimizer(frozen=("encoder", name))


def test_gradients_are_clipped_by_the_norm_of_all_of_them():
    params = {"decoder": {"a": {"kernel": jnp.ones(1)}, "b": {"kernel": jnp.ones(1)}}}

    def gradient(a, b):
        return {"decoder": {"a": {"kernel": jnp.full(1, a)}, "b": {"kernel": jnp.full(1, b)}}}

    # Adam's first step is the same whatever the norm: the second tells.
    def second_step(clip_norm, *first):
        return updates(
            optimizer(clip_norm=clip_norm), params, gradient(*first), gradient(3.0, -4.0)
        )

    short, long = second_step(5.0, 3.0, -4.0), second_step(5.0, 30.0, -40.0)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), short, long)
    free = second_step(500.0, 30.0, -40.0)["decoder"]
    for name, value in short["decoder"].items():
        assert abs(value["kernel"] - free[name]["kernel"]) > 0.2 * RATE


def test_adafactors_step_has_unit_root_mean_square_at_most_and_a_momentum():
    random = np.random.default_rng(0)
    kernel = jnp.asarray(random.normal(size=(8, 8)), jnp.float32)
    params = {"decoder": {"a": {"kernel": kernel}}}
    rms = {}
    for b1 in (0.0, 0.9):
        rule = optimizer(name="adafactor", b1=b1)
        one = updates(rule, params, params)["decoder"]["a"]["kernel"]
        turned = updates(rule, params, params, jax.tree.map(jnp.negative, params))
        rms[b1] = [float(jnp.sqrt(jnp.mean(x**2))) for x in (one, turned["decoder"]["a"]["kernel"])]
    assert rms[0.0] == pytest.approx([RATE, RATE], rel=0.02)
    # 0.1 x 0.9 of the first against 0.1 of the second, over 1 - 0.9^2.
    assert rms[0.9] == pytest.approx([RATE, RATE * 0.01 / 0.19], rel=0.02)


def test_muon_makes_a_hidden_matrix_orthogonal_and_larger_where_it_widens():
    random = np.random.default_rng(0)
    shapes = {"widens": (16, 64), "narrows": (64, 16)}
    params = {
        name: {"kernel": jnp.asarray(random.normal(size=shape), jnp.float32)}
        for name, shape in shapes.items()
    }
    found = updates(optimizer(name="muon"), {"decoder": params}, {"decoder": params})["decoder"]
    for name, length in (("widens", 2.0), ("narrows", 1.0)):
        values = np.linalg.svd(np.asarray(found[name]["kernel"]) / RATE, compute_uv=False)
        assert (values > 0.6 * length).all() and (values < 1.3 * length).all()
