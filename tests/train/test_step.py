import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from mm15_jax import config as config_lib
from mm15_jax.config import MeshConfig, MoEConfig, replace_nested
from mm15_jax.parallel.mesh import make_mesh, replicated
from mm15_jax.parallel.rules import MESH_AXES
from mm15_jax.train.state import abstract_batch, abstract_state
from mm15_jax.train.step import TrainState, train_step
from tests import tiny


def toy_loss(params, rows, total, share=1.0):
    """A weighted sum over rows, as the real loss is: (loss, sums)."""
    values = jnp.square(rows["x"] @ params["w"]).sum(-1)
    weights = rows["loss_weights"][:, 1:].sum(-1)
    return (values * weights).sum() / total, {"weight": weights.sum()}


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_is_the_large_batch_under_unequal_weights(parts):
    random = np.random.default_rng(0)
    weights = random.random((8, 3)) * np.arange(8)[:, None] ** 2  # rows weigh 0 to 49
    batch = {"x": random.normal(size=(8, 4)), "loss_weights": weights}
    batch = {name: jnp.asarray(x, jnp.float32) for name, x in batch.items()}
    optimizer = optax.sgd(0.1)
    params = {"w": jnp.asarray(random.normal(size=(4, 2)), jnp.float32)}
    state = TrainState(jnp.int32(0), params, optimizer.init(params))
    whole = replicated(make_mesh(MeshConfig()))
    shardings = TrainState(whole, {"w": whole}, ())

    @functools.partial(jax.jit, static_argnames="parts")
    def run(parts):
        more = {"optimizer": optimizer, "devices": 2, "shardings": shardings}
        return train_step(state, batch, loss=toy_loss, parts=parts, **more)

    (one, metrics_one), (many, metrics_many) = run(1), run(parts)
    assert int(many.step) == 1
    for a, b in ((one.params, many.params), (metrics_one, metrics_many)):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5), a, b)


def test_the_norm_of_gradients_is_of_what_trains():
    """So nobody asks for the gradients of what is frozen, and the program has no such product."""
    random = np.random.default_rng(0)
    batch = {"x": jnp.asarray(random.normal(size=(8, 4)), jnp.float32)}
    params = {name: jnp.asarray(random.normal(size=(4, 4)), jnp.float32) for name in ("a", "b")}
    batch["loss_weights"] = jnp.ones((8, 3))
    labels = {"a": "freeze", "b": "train"}
    parts = {"train": optax.sgd(0.1), "freeze": optax.set_to_zero()}
    optimizer = optax.partition(parts, labels)
    state = TrainState(jnp.int32(0), params, optimizer.init(params))
    whole = replicated(make_mesh(MeshConfig()))
    shardings = TrainState(whole, {"a": whole, "b": whole}, ())

    def loss(params, rows, total, *, share):
        return jnp.square(rows["x"] @ params["a"] @ params["b"]).sum() / total, {}

    def run(frozen):
        step = functools.partial(
            train_step, loss=loss, optimizer=optimizer, parts=1, devices=1, shardings=shardings,
            frozen=frozen,
        )  # fmt: skip
        return jax.jit(step).lower(state, batch).compile()

    frozen, free = run(("a",)), run(())
    (new, metrics), (_, of_all) = frozen(state, batch), free(state, batch)
    np.testing.assert_array_equal(new.params["a"], params["a"])
    trained = jnp.linalg.norm((params["b"] - new.params["b"]) / 0.1)
    np.testing.assert_allclose(metrics["grad_norm"], trained, rtol=1e-4)
    assert of_all["grad_norm"] > metrics["grad_norm"]
    assert frozen.cost_analysis()["flops"] < 0.7 * free.cost_analysis()["flops"]


def pod(**sizes):
    return AbstractMesh(tuple(sizes.get(axis, 1) for axis in MESH_AXES), MESH_AXES)


def one_device(tree) -> int:
    """Elements that a device holds."""
    return sum(int(np.prod(x.sharding.shard_shape(x.shape))) for x in jax.tree.leaves(tree))


def test_a_3b_model_and_its_adafactor_state_are_divided_over_a_pod():
    state = abstract_state(config_lib.load("mm15_3b_sft"), pod(fsdp=64, tensor=2))
    parameters = sum(x.size for x in jax.tree.leaves(state.params))
    assert one_device(state.params) < 1.1 * parameters / 128  # tables of positions weigh
    means = {
        jax.tree_util.keystr(path, simple=True, separator="/"): x
        for path, x in jax.tree.leaves_with_path(state.opt_state)
    }
    kernel = "decoder/layers/mlp/gate/kernel"  # [layers, embed, mlp]
    (rows,) = (x for path, x in means.items() if path.endswith(f"v_row/{kernel}"))
    (columns,) = (x for path, x in means.items() if path.endswith(f"v_col/{kernel}"))
    assert rows.shape == (26, 3072) and columns.shape == (26, 8064)
    assert rows.sharding.spec == PartitionSpec(None, ("fsdp", "expert"))
    assert columns.sharding.spec == PartitionSpec(None, "tensor")


def test_rows_must_divide_over_devices_and_parts():
    experiment = tiny.experiment(**{"train.batch_rows": 8, "train.accumulation": 4})
    with pytest.raises(ValueError, match=r"8 is not a multiple of 4 devices x .*accumulation 4"):
        abstract_batch(experiment, pod(fsdp=4))
    assert abstract_batch(experiment, pod(data=2))["tokens"].shape == (8, 96)


def test_experts_must_divide_over_their_axis():
    experiment = tiny.experiment(**{"model.decoder.moe": MoEConfig(experts=8)})
    with pytest.raises(ValueError, match=r"8 experts .* do not divide over mesh.expert 3"):
        abstract_batch(replace_nested(experiment, {"train.batch_rows": 6}), pod(data=1, expert=3))
    assert abstract_batch(experiment, pod(data=1, expert=4))
