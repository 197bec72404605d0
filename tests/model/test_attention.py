"""Attention against a plain numpy form."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mm15_jax.model import attention as dispatch
from mm15_jax.model.attention import apply_rope, attention, cache_attention, rope_tables
from mm15_jax.model.attention_gpu import cudnn_attention
from mm15_jax.model.attention_xla import xla_attention


def plain_attention(query, key, value, visible):
    """Attention row by row, head by head, query by query."""
    B, S, H, h = query.shape
    group = H // key.shape[2]
    out = np.zeros((B, S, H, h))
    for b in range(B):
        for n in range(H):
            for s in range(S):
                seen = np.flatnonzero(visible[b, s])
                scores = key[b, seen, n // group] @ query[b, s, n] / np.sqrt(h)
                weights = np.exp(scores - scores.max())
                out[b, s, n] = weights / weights.sum() @ value[b, seen, n // group]
    return out


def draw(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@settings(max_examples=12, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    kv_heads=st.sampled_from([1, 2, 4]),
    causal=st.booleans(),
    seed=st.integers(0, 99),
)
def test_attention_sees_its_own_segment_only(lengths, kv_heads, causal, seed):
    S = 12
    row = np.repeat(np.arange(1, len(lengths) + 1), lengths)
    segment_ids = np.zeros((2, S), np.int32)
    segment_ids[0, : len(row)] = row
    segment_ids[1] = 1
    query = draw(seed, 2, S, 4, 8)
    key, value = draw(seed + 100, 2, S, kv_heads, 8), draw(seed + 200, 2, S, kv_heads, 8)
    visible = segment_ids[:, :, None] == segment_ids[:, None, :]
    if causal:
        visible = visible & np.tril(np.ones((S, S), bool))
    out = attention(query, key, value, segment_ids=jnp.asarray(segment_ids), causal=causal)
    np.testing.assert_allclose(out, plain_attention(query, key, value, visible), atol=1e-5)


@pytest.mark.parametrize("block, causal", [(5, True), (3, True), (5, False), (16, False)])
def test_blocks_of_queries_change_neither_output_nor_gradient(block, causal):
    segment_ids = jnp.asarray([[1] * 5 + [2] * 8 + [0] * 3])
    args = draw(1, 1, 16, 4, 8), draw(2, 1, 16, 2, 8), draw(3, 1, 16, 2, 8)

    @functools.partial(jax.jit, static_argnums=0)
    def run(query_block):
        def out(*args):
            return xla_attention(
                *args, segment_ids=segment_ids, causal=causal, query_block=query_block
            )

        return out(*args), jax.grad(lambda *a: jnp.sum(out(*a) ** 3), argnums=(0, 1, 2))(*args)

    expected, expected_grads = run(64)
    value, grads = run(block)
    np.testing.assert_allclose(value, expected, atol=1e-6)
    for ours, theirs in zip(grads, expected_grads, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_cache_attention_equals_attention_of_the_last_query():
    query, key, value = draw(1, 3, 6, 4, 8), draw(2, 3, 6, 2, 8), draw(3, 3, 6, 2, 8)
    lengths = np.array([0, 2, 5])
    rows = np.arange(3)
    visible = np.tril(np.ones((6, 6), bool))[None].repeat(3, 0)
    expected = plain_attention(query, key, value, visible)[rows, lengths]
    # What lies beyond a row's length must not matter.
    beyond = np.arange(6)[None, :] >= lengths[:, None]
    cached_keys = np.where(beyond[..., None, None], 1e3, key)
    cached_values = np.where(beyond[..., None, None], 1e3, value)
    out = cache_attention(
        query[rows, lengths], key[rows, lengths], value[rows, lengths],
        cached_keys, cached_values, lengths,
    )  # fmt: skip
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_rope_scores_depend_on_the_distance_only():
    query, key = draw(1, 1, 1, 1, 16), draw(2, 1, 1, 1, 16)

    def score(position_q, position_k):
        rotated = [
            apply_rope(x, *rope_tables(jnp.asarray([[position]]), 16, 1e4))
            for x, position in ((query, position_q), (key, position_k))
        ]
        return float(jnp.sum(rotated[0] * rotated[1]))

    assert score(7, 3) == pytest.approx(score(104, 100), abs=1e-4)
    assert score(7, 3) != pytest.approx(score(8, 3), abs=1e-2)


def test_rope_keeps_lengths_and_does_nothing_at_position_zero():
    x = draw(1, 1, 3, 2, 8)
    cos, sin = rope_tables(jnp.asarray([[0, 5, 4000]]), 8, 5e5)
    rotated = np.asarray(apply_rope(x, cos, sin))
    np.testing.assert_allclose(rotated[:, 0], x[:, 0], atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(rotated, axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5
    )


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_rope_by_a_matmul_is_the_same_rope(dtype):
    x = draw(1, 2, 6, 3, 16).astype(dtype)
    tables = rope_tables(jnp.arange(12).reshape(2, 6) * 37, 16, 1e4)

    def run(by_matmul):
        rotated, back = jax.vjp(lambda x: apply_rope(x, *tables, by_matmul=by_matmul), x)
        return rotated, back(x)[0]

    for ours, plain in zip(run(True), run(False), strict=True):
        assert ours.dtype == dtype
        step = float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(
            ours.astype(jnp.float32), plain.astype(jnp.float32), rtol=step, atol=step
        )


@pytest.mark.parametrize("S", [16, 15])
def test_what_the_gpu_kernel_is_asked_for_is_the_same_attention(S):
    # cuDNN itself needs a GPU: here `jax.nn.dot_product_attention` runs its own plain form.
    segment_ids = jnp.asarray([[1] * 5 + [2] * 8 + [0] * (S - 13)])
    args = draw(1, 1, S, 4, 8), draw(2, 1, S, 2, 8), draw(3, 1, S, 2, 8)
    out = cudnn_attention(*args, segment_ids=segment_ids, causal=True, implementation="xla")
    expected = xla_attention(*args, segment_ids=segment_ids, causal=True)
    np.testing.assert_allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize("platform, kernel", [("tpu", "splash"), ("gpu", "cudnn"), ("cpu", "xla")])
def test_the_platform_of_the_mesh_in_force_chooses_the_kernel(monkeypatch, platform, kernel):
    from mm15_jax.model import attention_tpu

    called = []

    def record(name):
        return lambda query, *_, **__: called.append(name) or query

    monkeypatch.setattr(dispatch, "platform_in_force", lambda: platform)
    monkeypatch.setattr(dispatch, "cudnn_takes", lambda query: True)
    monkeypatch.setattr(attention_tpu, "splash_attention", record("splash"))
    monkeypatch.setattr(dispatch, "cudnn_attention", record("cudnn"))
    monkeypatch.setattr(dispatch, "xla_attention", record("xla"))
    attention(draw(1, 1, 4, 2, 8), draw(2, 1, 4, 2, 8), draw(3, 1, 4, 2, 8))
    assert called == [kernel]
