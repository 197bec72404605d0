import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mm15_jax.train.loss import chunk_size, weighted_cross_entropy

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
