"""Mixture of experts: dispatches against a loop over tokens, losses, drops, and the whole model."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mm15_jax.config.schema import ConnectorConfig, EncoderConfig, ModelConfig, MoEConfig
from mm15_jax.experiments.family import DECODERS
from mm15_jax.model import mllm
from mm15_jax.model.moe import Auxiliary, auxiliary, route
from mm15_jax.model.moe_dispatch import Execution, Kernels, capacity_of, run_experts
from mm15_jax.model.moe_grouped import grouped_matmul
from tests.model.test_mllm import TINY, jitted, make_batch

F32 = jnp.float32
B, S, D, F, E = 2, 24, 8, 12, 4


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


X, ROUTER = draw(0, B, S, D), draw(1, D, E)
KERNELS = Kernels(draw(2, E, D, F), draw(3, E, D, F), draw(4, E, F, D))
MASK = np.arange(S)[None] < np.array([[S], [S - 7]])
ROOMY = MoEConfig(experts=E, capacity_factor=E / 2)
DROPLESS = MoEConfig(experts=E, dispatch="dropless")
TIGHT = MoEConfig(experts=E, capacity_factor=0.25)  # 8 places for 24 tokens


@functools.partial(jax.jit, static_argnames=("moe", "platform", "keep_hidden"))
def layer(x, router, kernels, moe, platform="cpu", keep_hidden=True):
    routing = route(x, router, MASK, moe.top_k)
    how = Execution(platform, keep_hidden=keep_hidden)
    y, placed = run_experts(x, routing.experts, routing.gates, kernels, moe, how)
    return y, placed, auxiliary(routing, placed, MASK), routing


def test_the_gate_of_a_single_expert_teaches_the_router():
    """Its share of itself would be 1, whatever the router says."""
    probabilities = jax.nn.softmax(X @ ROUTER)
    gates = route(X, ROUTER, None, 1).gates
    np.testing.assert_allclose(gates[..., 0], probabilities.max(-1), rtol=1e-5)
    slope = jax.grad(lambda router: jnp.sum(route(X, router, None, 1).gates))(jnp.asarray(ROUTER))
    assert jnp.max(jnp.abs(slope)) > 0.1


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def loop_over_tokens(capacity):
    """(outputs, placed) token by token; first choices of a row find their places first."""
    y, placed = np.zeros((B, S, D)), np.zeros((B, S, 2), bool)
    for b in range(B):
        gates = np.array([softmax(X[b, s] @ ROUTER) for s in range(S)])
        chosen = np.argsort(-gates, axis=1)[:, :2]
        taken = np.zeros(E, int)
        for j in range(2):
            for s in np.flatnonzero(MASK[b]):
                e = chosen[s, j]
                if taken[e] < capacity:
                    taken[e] += 1
                    placed[b, s, j] = True
                    hidden = X[b, s] @ KERNELS.gate[e]
                    hidden = hidden / (1 + np.exp(-hidden)) * (X[b, s] @ KERNELS.up[e])
                    y[b, s] += gates[s, e] / gates[s, chosen[s]].sum() * (hidden @ KERNELS.down[e])
    return y, placed


@pytest.mark.parametrize(
    "moe, platform, capacity",
    [(ROOMY, "cpu", S), (DROPLESS, "cpu", S), (DROPLESS, "gpu", S), (TIGHT, "cpu", 8)],
)
def test_a_dispatch_equals_a_loop_over_tokens(moe, platform, capacity):
    y, placed, aux, _ = layer(X, ROUTER, KERNELS, moe, platform)
    expected, places = loop_over_tokens(capacity)
    np.testing.assert_allclose(y, expected, atol=2e-5)
    np.testing.assert_array_equal(placed, places)
    lost = 1 - places.sum() / (2 * MASK.sum())
    assert float(aux.dropped) == pytest.approx(lost, abs=1e-6)
    assert (lost > 0.1) == (capacity < S)


def test_of_padding_alone_nothing_is_dropped():
    padding = np.zeros_like(MASK)
    routing = route(X, ROUTER, padding, TIGHT.top_k)
    aux = auxiliary(routing, np.zeros(routing.experts.shape, bool), padding)
    assert float(aux.dropped) == 0


def test_dispatches_have_the_same_gradients():
    def gradients(moe, platform, keep_hidden=True):
        def loss(*args):
            return jnp.sum(layer(*args, moe, platform, keep_hidden)[0] ** 3)

        return jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(X, ROUTER, KERNELS)

    expected = gradients(DROPLESS, "gpu")  # XLA's own derivative of the ragged dot
    for moe, keep_hidden in ((ROOMY, True), (ROOMY, False), (DROPLESS, True)):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3),
            gradients(moe, "cpu", keep_hidden),
            expected,
        )


@pytest.mark.parametrize("sizes", [[5, 0, 9, 3], [0, 0, 17, 0], [0, 0, 0, 0], [20, 0, 0, 0]])
def test_grouped_matmul_equals_a_loop_over_groups(sizes):
    x, kernels = draw(5, 20, D), draw(6, E, D, F)
    ends = np.cumsum(sizes)
    expected = np.zeros((20, F))
    for e in range(E):
        expected[ends[e] - sizes[e] : ends[e]] = x[ends[e] - sizes[e] : ends[e]] @ kernels[e]
    for platform in ("cpu", "gpu"):
        out = grouped_matmul(x, kernels, jnp.asarray(sizes), platform)
        np.testing.assert_allclose(out, expected, atol=1e-5)


def test_blocks_of_many_rows_have_the_ragged_dots_gradients(monkeypatch):
    monkeypatch.setattr("mm15_jax.model.moe_grouped.BLOCK_ROWS", 8)
    x, kernels, sizes = draw(5, 50, D), draw(6, E, D, F), jnp.asarray([21, 0, 3, 19])

    def gradients(platform):
        def loss(x, kernels):
            return jnp.sum(grouped_matmul(x, kernels, sizes, platform) ** 2)

        return jax.grad(loss, argnums=(0, 1))(x, kernels)

    for ours, theirs in zip(gradients("cpu"), gradients("gpu"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_figures_are_those_of_the_formulas():
    _, placed, aux, routing = layer(X, ROUTER, KERNELS, ROOMY)
    logits = (X @ ROUTER)[MASK]
    gates = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    first = np.bincount(gates.argmax(-1), minlength=E) / len(gates)
    chosen = np.argsort(-gates, axis=-1)[:, :2]
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4)
    close(aux.load_balance, E * np.sum(first * gates.mean(0)))
    close(aux.router_z, np.mean(np.log(np.exp(logits).sum(-1)) ** 2))
    close(aux.load, np.bincount(chosen.ravel(), minlength=E) / chosen.size)
    close(aux.entropy, -np.mean(np.sum(gates * np.log(gates), -1)))
    # Padding has neither places nor a say.
    assert not np.any(placed[~MASK]) and np.all(routing.experts[~MASK] == E)
    other = np.where(MASK[..., None], X, 100 * X)
    jax.tree.map(np.testing.assert_array_equal, layer(other, ROUTER, KERNELS, ROOMY)[2], aux)


def test_uniform_routing_has_load_balance_one():
    aux = layer(X, np.zeros((D, E), np.float32), KERNELS, DROPLESS)[2]
    assert float(aux.load_balance) == pytest.approx(1)
    assert float(aux.entropy) == pytest.approx(np.log(E))


def test_the_router_is_float32_whatever_the_compute_dtype():
    low = jnp.asarray(X, jnp.bfloat16)
    routing = route(low, jnp.asarray(ROUTER), None, 2)
    assert routing.logits.dtype == routing.gates.dtype == F32
    np.testing.assert_allclose(
        routing.logits, np.asarray(low, np.float32) @ ROUTER, rtol=1e-5, atol=1e-5
    )
    np.testing.assert_allclose(jnp.sum(routing.gates, -1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    "places, factor, experts, expected",
    [(4096, 1.0, 64, 128), (4096, 1.25, 64, 160), (24, 2.0, 8, 16), (4, 2.0, 64, 4)],
)
def test_capacity(places, factor, experts, expected):
    assert capacity_of(places, MoEConfig(experts=experts, capacity_factor=factor)) == expected


@pytest.mark.parametrize(
    "size, total, active",
    [
        ("1b_moe", 26_167_844_864, 1_593_417_728),
        ("3b_moe", 63_606_593_024, 3_706_426_880),
    ],
)
def test_decoders_with_experts_have_the_recipes_parameters(size, total, active):
    counts = mllm.count_parameters(ModelConfig(decoder=DECODERS[size]))
    assert counts["decoder"] == total
    assert counts["active"] - counts["encoder"] - counts["connector"] == active


# Four layers in two groups.
MODEL = dataclasses.replace(
    TINY,
    encoder=EncoderConfig(
        resolution=8, patch_size=4, width=8, layers=1, heads=1, mlp_width=8, remat="none"
    ),
    connector=ConnectorConfig(kind="linear", tokens=4),
    decoder=dataclasses.replace(TINY.decoder, layers=4, moe=MoEConfig(experts=4)),
)


@pytest.fixture(scope="module")
def params():
    return mllm.init_params(MODEL, jax.random.key(0))


@pytest.fixture(scope="module")
def batch():
    return make_batch(MODEL, tiles=0)


forward, decode_step = jitted(mllm.forward), jitted(mllm.decode_step)
prefill = jitted(mllm.prefill, "cache_length")


def with_moe(**changes):
    moe = dataclasses.replace(MODEL.decoder.moe, **changes)
    return dataclasses.replace(MODEL, decoder=dataclasses.replace(MODEL.decoder, moe=moe))


def test_the_model_reports_every_layer_with_experts(params, batch):
    hidden, aux = forward(params, batch, config=MODEL, dtype=F32)
    assert hidden.shape == (2, 24, 24)
    assert [x.shape for x in aux] == [(2,), (2,), (2, 4), (2,), (2,)]
    assert Auxiliary._fields == ("load_balance", "router_z", "load", "dropped", "entropy")
    np.testing.assert_allclose(jnp.sum(aux.load, axis=1), 1, rtol=1e-5)
    layers = {
        path.split("/")[2] for path, *_ in mllm.describe_parameters(MODEL) if "groups" in path
    }
    assert layers == {"layer0", "layer1"}
    assert "mlp" in params["decoder"]["groups"]["layer0"]
    assert "moe" in params["decoder"]["groups"]["layer1"]


def test_the_routers_gradient_depends_on_each_loss(params, batch):
    def losses(params):
        aux = mllm.forward(params, batch, MODEL, dtype=F32)[1]
        return jnp.mean(aux.load_balance), jnp.mean(aux.router_z)

    for gradients in jax.jit(jax.jacrev(losses))({"decoder": params["decoder"]}):
        experts = gradients["decoder"]["groups"]["layer1"]["moe"]
        assert np.all(np.any(experts["router"]["kernel"] != 0, axis=(1, 2)))
        # And not through the experts' own outputs in the last layer.
        assert not np.any(experts["down"]["kernel"][-1])


def test_remat_of_groups_changes_no_gradient(params, batch):
    def gradient(model):
        def loss(params):
            return jnp.sum(mllm.forward(params, batch, model, dtype=F32)[0] ** 2)

        return jax.jit(jax.grad(loss))({"decoder": params["decoder"]})

    decoder = dataclasses.replace(MODEL.decoder, remat="full")
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
        gradient(dataclasses.replace(MODEL, decoder=decoder)),
        gradient(MODEL),
    )


def test_decoding_equals_forward_and_ignores_the_rest_of_the_batch(params):
    # With 8 places of 24 training drops; an answer never does.
    tight, roomy = with_moe(capacity_factor=0.1), with_moe(dispatch="dropless")
    batch = make_batch(MODEL, tiles=0)
    batch["segment_ids"] = np.ones((2, 24), np.int32)
    batch["positions"] = np.broadcast_to(np.arange(24, dtype=np.int32), (2, 24))
    hidden, _ = forward(params, batch, config=roomy, dtype=F32)
    logits = mllm.unembed(params, hidden, roomy)
    prompt = {key: value[:, :16] for key, value in batch.items() if not key.startswith("tile")}
    prompt["tiles"] = batch["tiles"]
    lengths = np.array([9, 16])
    prompt["segment_ids"] = (np.arange(16) < lengths[:, None]).astype(np.int32)
    out, cache = prefill(params, prompt, config=tight, cache_length=20, dtype=F32)
    rows = np.arange(2)
    np.testing.assert_allclose(out, logits[rows, lengths - 1], atol=1e-4)
    for i in range(3):
        tokens = batch["tokens"][rows, lengths + i]
        out, cache = decode_step(params, cache, tokens, config=tight, dtype=F32)
        np.testing.assert_allclose(out, logits[rows, lengths + i], atol=1e-4)
