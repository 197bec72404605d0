import numpy as np
import pytest

from mm15_jax.data.batch import BatchShape, Decoded, assemble
from mm15_jax.inputs.formatting import Formatted

T, R = 3, 4
SHAPE = BatchShape(rows=3, sequence_length=20, tiles_per_row=4, tokens_per_tile=T, resolution=R)
CATEGORIES = ["general", "text"]


def decoded(rng, *, tiles=(), text=3, category="text", source="a"):
    """An example: a token, the pictures' vision tokens, text with loss on some of it."""
    vision = sum(tiles) * T
    length = 1 + vision + text
    vision_index = np.full(length, -1, np.int32)
    vision_index[1 : 1 + vision] = np.arange(vision)
    weights = rng.choice([0.0, 0.5, 1.0], length).astype(np.float32)
    weights[0] = 1.0  # must be ignored: nothing predicts it
    tokens = rng.integers(1, 99, length).astype(np.int32)
    pictures = [rng.integers(1, 255, (n, R, R, 3)).astype(np.uint8) for n in tiles]
    return Decoded(Formatted(tokens, weights, vision_index, (), ()), pictures, category, source)


def some_rows():
    rng = np.random.default_rng(0)
    return [
        [decoded(rng, tiles=(1,)), decoded(rng, tiles=(1, 1), category="general", text=2)],
        [decoded(rng, text=5, source="b"), decoded(rng, text=8)],
    ]


def naive(rows):
    """Token by token, as the contract of a Batch reads."""
    B, S, N = SHAPE.rows, SHAPE.sequence_length, SHAPE.tiles_per_row
    names = ("tokens", "segment_ids", "positions", "category_ids")
    batch = {name: np.zeros((B, S), np.int32) for name in names}
    batch["vision_index"] = np.full((B, S), -1, np.int32)
    batch["loss_weights"] = np.zeros((B, S), np.float32)
    batch["tiles"] = np.zeros((B, N, R, R, 3), np.uint8)
    batch["tile_valid"] = np.zeros((B, N), bool)
    for b, examples in enumerate(rows):
        at = slot = 0
        for number, example in enumerate(examples):
            first = slot
            for picture in example.tiles:
                for tile in picture:
                    batch["tiles"][b, slot] = tile
                    batch["tile_valid"][b, slot] = True
                    slot += 1
            formatted = example.formatted
            for t in range(len(formatted.tokens)):
                batch["tokens"][b, at] = formatted.tokens[t]
                batch["segment_ids"][b, at] = number + 1
                batch["positions"][b, at] = t
                batch["category_ids"][b, at] = CATEGORIES.index(example.category)
                batch["loss_weights"][b, at] = formatted.loss_weights[t] if t else 0
                if formatted.vision_index[t] >= 0:
                    tile, token = divmod(int(formatted.vision_index[t]), T)
                    batch["vision_index"][b, at] = (first + tile) * T + token
                at += 1
    return batch


def test_equals_a_token_by_token_assembly():
    rows = some_rows()
    batch, _ = assemble(rows, SHAPE, CATEGORIES)
    expected = naive(rows)
    assert batch.keys() == expected.keys()
    for name, array in expected.items():
        assert batch[name].dtype == array.dtype, name
        np.testing.assert_array_equal(batch[name], array, err_msg=name)


def test_every_vision_token_of_a_row_points_at_a_valid_tile_once():
    batch, _ = assemble(some_rows(), SHAPE, CATEGORIES)
    for row in range(SHAPE.rows):
        index = batch["vision_index"][row]
        tiles, counts = np.unique(index[index >= 0] // T, return_counts=True)
        assert tiles.tolist() == np.flatnonzero(batch["tile_valid"][row]).tolist()
        assert (counts == T).all()


def test_the_first_token_of_a_segment_is_never_a_target():
    batch, _ = assemble(some_rows(), SHAPE, CATEGORIES)
    starts = (batch["positions"] == 0) & (batch["segment_ids"] > 0)
    assert starts.sum() == 4
    assert (batch["loss_weights"][starts] == 0).all()


def test_a_missing_row_is_padding_without_loss():
    batch, _ = assemble(some_rows(), SHAPE, CATEGORIES)
    assert not batch["segment_ids"][2].any() and not batch["loss_weights"][2].any()
    assert (batch["vision_index"][2] == -1).all() and not batch["tile_valid"][2].any()


def test_statistics_add_up():
    rows = some_rows()
    batch, stats = assemble(rows, SHAPE, CATEGORIES)
    assert stats.examples == 4
    assert stats.tokens == (batch["segment_ids"] > 0).sum()
    assert stats.tiles == batch["tile_valid"].sum() == 3
    assert stats.loss_tokens == (batch["loss_weights"] > 0).sum() > 0
    assert stats.token_fill == pytest.approx(stats.tokens / 60)
    assert stats.tile_fill == pytest.approx(3 / 12)
    for sums in (stats.by_category, stats.by_source):
        assert sum(count.examples for count in sums.values()) == 4
        assert sum(count.loss_tokens for count in sums.values()) == stats.loss_tokens
    assert stats.by_category["general"].tiles == 2
    assert stats.by_source["b"].tokens == 6
    assert stats.as_dict()["by_source"]["b"]["tokens"] == 6


def test_text_alone_has_an_empty_tile_array():
    shape = BatchShape(2, 20, 0, T, R)
    batch, stats = assemble([[decoded(np.random.default_rng(1))]], shape, CATEGORIES)
    assert batch["tiles"].shape == (2, 0, R, R, 3) and batch["tile_valid"].shape == (2, 0)
    assert stats.tile_fill == 0


def test_more_than_a_row_holds_is_a_broken_promise():
    rng = np.random.default_rng(0)
    with pytest.raises(AssertionError, match="stale index"):
        assemble([[decoded(rng, text=30)]], SHAPE, CATEGORIES)
    with pytest.raises(AssertionError, match="stale index"):
        assemble([[decoded(rng, tiles=(5,))]], SHAPE, CATEGORIES)
