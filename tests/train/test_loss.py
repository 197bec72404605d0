import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mm15_jax.config import MoEConfig, replace_nested
from mm15_jax.model import mllm
from mm15_jax.train.loss import (
    chunk_size,
    loss_weight,
    next_token_loss,
    weighted_cross_entropy,
)
from tests import tiny

B, S, D, V = 2, 6, 5, 11


@pytest.fixture(scope="module")
def inputs():
    keys = jax.random.split(jax.random.key(0), 4)
    hidden = jax.random.normal(keys[0], (B, S, D))
    table = jax.random.normal(keys[1], (V, D))
    targets = jax.random.randint(keys[2], (B, S), 0, V)
    weights = jax.random.uniform(keys[3], (B, S)).at[0, 2].set(0.0)
    return hidden, table, targets, weights


def whole_logits(hidden, table, targets, weights):
    logits = jnp.einsum("bsd,vd->bsv", hidden, table)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    return (losses * weights).sum(), losses, logits.argmax(-1) == targets


@pytest.mark.parametrize("chunk", [0, 1, 4, 5, 100])
def test_chunks_give_what_whole_logits_give(inputs, chunk):
    wanted = whole_logits(*inputs)
    for one, other in zip(weighted_cross_entropy(*inputs, chunk), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("chunk", [0, 4])
def test_gradients_are_those_of_whole_logits(inputs, chunk):
    def gradients(function, *more):
        return jax.grad(lambda h, t: 3.0 * function(h, t, *inputs[2:], *more)[0], (0, 1))(
            *inputs[:2]
        )

    wanted = gradients(whole_logits)
    for one, other in zip(gradients(weighted_cross_entropy, chunk), wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_gradients_have_the_dtypes_of_their_arguments(inputs):
    hidden, table, *rest = inputs
    hidden = hidden.astype(jnp.bfloat16)
    gradients = jax.grad(lambda h, t: weighted_cross_entropy(h, t, *rest, 4)[0], (0, 1))
    d_hidden, d_table = gradients(hidden, table)
    assert (d_hidden.dtype, d_table.dtype) == (jnp.bfloat16, jnp.float32)


def test_no_more_logits_exist_than_asked_for():
    tokens, words, chunk = 4096, 50_000, 128
    shapes = (
        jax.ShapeDtypeStruct((1, tokens, 16), jnp.float32),
        jax.ShapeDtypeStruct((words, 16), jnp.float32),
        jax.ShapeDtypeStruct((1, tokens), jnp.int32),
        jax.ShapeDtypeStruct((1, tokens), jnp.float32),
    )
    loss = jax.grad(lambda *a: weighted_cross_entropy(*a, chunk)[0], (0, 1))
    temp = jax.jit(loss).lower(*shapes).compile().memory_analysis().temp_size_in_bytes
    assert temp < 4 * chunk * words * 4  # four arrays of a chunk; whole logits are 32 chunks


@pytest.mark.parametrize(
    ("tokens", "chunk", "size"), [(12, 0, 12), (12, 5, 4), (12, 50, 12), (7, 3, 1), (12, 6, 6)]
)
def test_chunks_divide_the_tokens(tokens, chunk, size):
    assert chunk_size(tokens, chunk) == size


CATEGORIES = 3
MODEL = tiny.experiment(**{"train.steps": 1}).model


def text_batch(rows=2, length=12):
    """Two segments a row, whose first tokens are not predicted; every place weighs differently."""
    random = np.random.default_rng(0)
    shape = (rows, length)
    positions = np.concatenate([np.arange(5), np.arange(length - 5)]).astype(np.int32)
    return {
        "tokens": random.integers(3, 300, shape, np.int32),
        "positions": np.tile(positions, (rows, 1)),
        "segment_ids": np.tile(1 + (np.arange(length) >= 5).astype(np.int32), (rows, 1)),
        "vision_index": np.full(shape, -1, np.int32),
        "loss_weights": (random.random(shape) * (positions > 0)).astype(np.float32),
        "category_ids": random.integers(0, CATEGORIES, shape, np.int32),
        "tiles": np.zeros((rows, 0, 48, 48, 3), np.uint8),
    }


forward = jax.jit(mllm.forward, static_argnames=("config", "dtype"))


def loss_of(params, batch, model, **more):
    options = {"dtype": jnp.float32, "num_categories": CATEGORIES, "chunk": 8, **more}

    def loss(params, batch):
        return next_token_loss(params, batch, loss_weight(batch), model, **options)

    return jax.jit(loss)(params, batch)


def log_probabilities(params, batch):
    """Of every word behind every place, all logits at once."""
    hidden, _ = forward(params, batch, MODEL, dtype=jnp.float32)
    return np.asarray(jax.nn.log_softmax(mllm.unembed(params, hidden, MODEL), axis=-1))


def decoder_of(model):
    """Parameters of the decoder alone: rows without tiles ask for no others."""
    init = jax.jit(lambda key: mllm.init_params(model, key)["decoder"])
    return {"decoder": init(jax.random.key(0))}


@pytest.fixture(scope="module")
def params():
    return decoder_of(MODEL)


def test_each_token_is_predicted_from_those_before_it_and_counted_by_its_category(params):
    batch = text_batch()
    # Some predictions have to be right: the model's own first choice comes next.
    for row, place in ((0, 2), (1, 7), (1, 9)):
        batch["tokens"][row, place] = log_probabilities(params, batch)[row, place - 1].argmax()
    logs = log_probabilities(params, batch)
    wanted = {name: np.zeros(CATEGORIES) for name in ("loss_sum", "weight", "correct")}
    for row, place in np.ndindex(batch["tokens"].shape):
        token, weight = batch["tokens"][row, place], batch["loss_weights"][row, place]
        category = batch["category_ids"][row, place]
        if weight:
            wanted["loss_sum"][category] -= weight * logs[row, place - 1, token]
            wanted["weight"][category] += weight
            wanted["correct"][category] += weight * (logs[row, place - 1].argmax() == token)

    loss, sums = loss_of(params, batch, MODEL)
    assert sums.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(sums[name], values, rtol=1e-4, atol=1e-6)
    total = batch["loss_weights"].sum()
    assert float(loss_weight(batch)) == pytest.approx(total)
    assert float(loss) == pytest.approx(wanted["loss_sum"].sum() / total, rel=1e-4)
    assert wanted["correct"].sum() > 0


def test_a_batch_in_which_nothing_is_predicted_has_no_loss(params):
    batch = text_batch()
    batch["loss_weights"][:] = 0
    loss, sums = loss_of(params, batch, MODEL)
    assert float(loss) == 0 and not np.any(sums["weight"])


def test_losses_of_experts_are_added_by_their_weights_and_the_rows_share():
    share = 0.25
    moe = MoEConfig(experts=4, every=1, load_balance_weight=0.5, router_z_weight=0.25)
    model = replace_nested(MODEL, {"decoder.moe": moe})
    batch, params = text_batch(), decoder_of(model)
    _, figures = forward(params, batch, model, dtype=jnp.float32)
    loss, sums = loss_of(params, batch, model, share=share)
    extra = 0.5 * figures.load_balance.mean() + 0.25 * figures.router_z.mean()
    entropy = sums["loss_sum"].sum() / loss_weight(batch)
    assert float(loss) == pytest.approx(float(entropy + share * extra), rel=1e-5)
    np.testing.assert_allclose(sums["moe"].entropy, share * figures.entropy, rtol=1e-6)
