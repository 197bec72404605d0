"""What was trained on between two log steps."""

import jax
import numpy as np
import pytest

from mm15_jax.data.batch import BatchShape, Count, batch_stats
from mm15_jax.train import data_window
from mm15_jax.train.data_window import DataWindow

SHAPE = BatchShape(rows=2, sequence_length=50, tiles_per_row=4, tokens_per_tile=4, resolution=16)


def window():
    """Of two steps: 4 examples of "pictures", 2 of "texts", and "absent", which never came."""
    found = DataWindow(("pictures", "texts", "absent"), ("general", "text"))
    picture, text = Count(1, 20, 3, 5), Count(1, 30, 0, 30)
    for _ in range(2):
        laid = [("general", "pictures", picture)] * 2 + [("text", "texts", text)]
        found.add(batch_stats(laid, SHAPE))
    return found


def test_counts_add_up_over_steps():
    found = window()
    assert (found.steps, found.examples, found.tokens, found.tiles) == (2, 6, 140, 12)
    assert found.token_fill == pytest.approx(2 * 70 / 100)
    assert found.tile_fill == pytest.approx(2 * 6 / 8)


def test_shares_are_of_each_measure_and_counts_of_the_data_sets_that_came():
    row = window().ratios()
    assert row.pop("datasets") == {
        "pictures": {"examples": 4, "tokens": 80, "tiles": 12, "loss_tokens": 20},
        "texts": {"examples": 2, "tokens": 60, "tiles": 0, "loss_tokens": 60},
    }
    assert row == pytest.approx(
        {
            "mixture/examples/general": 4 / 6,
            "mixture/examples/text": 2 / 6,
            "mixture/tokens/general": 80 / 140,
            "mixture/tokens/text": 60 / 140,
            "mixture/tiles/general": 1,
            "mixture/tiles/text": 0,
            "mixture/loss_tokens/general": 20 / 80,
            "mixture/loss_tokens/text": 60 / 80,
        }
    )
    assert DataWindow(("a",), ("b",)).ratios() == {"datasets": {}}  # and nothing by zero


@pytest.mark.parametrize("alike", [1, 2])
def test_counts_of_all_processes_are_of_each_row_once(alike, monkeypatch):
    """Four processes; with a tensor axis across them each row is on two."""
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    gathered = []

    def gather(mine):
        gathered.append(mine.dtype)
        return np.stack([mine] * 4)

    monkeypatch.setattr(data_window.multihost_utils, "process_allgather", gather)
    one = window()
    found = window().over_processes(rows=2, batch_rows=8 // alike)
    ways = 4 // alike
    assert (found.examples, found.tokens, found.tiles) == (6 * ways, 140 * ways, 12 * ways)
    assert (found.token_fill, found.tile_fill) == pytest.approx((one.token_fill, one.tile_fill))
    for name, count in found.ratios()["datasets"].items():
        before = one.ratios()["datasets"][name]
        assert count == {measure: value * ways for measure, value in before.items()}
    assert gathered == [np.int32, np.float32]  # whole numbers as such
