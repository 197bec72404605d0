"""Rows of tables 1 to 3 see as many examples, and as many in a step."""

import pytest

from mm15_jax.ablations import catalog
from mm15_jax.data.planning import plan_mixture

BATCHES = 30
TILES = (1, 5, 5, 10, 10, 10, 10)  # of a picture in each row of table 1, with the overview


def examples_of_a_step(config, data_dir):
    plan, _ = plan_mixture(config, data_dir)
    cursor, found = 0, 0
    for _ in range(BATCHES):
        rows, cursor = plan.batch(cursor, config.train.batch_rows)
        found += sum(len(row.records) for row in rows)
    return found / BATCHES


@pytest.mark.parametrize("name", ["table1", "table2", "table3"])
def test_rows_of_the_miniature_have_as_many_examples_as_packed(name, data_dir):
    rows = [row for row in catalog.find(name, "nano").rows if row.config.stage == "sft"]
    for row in rows:
        a_step = examples_of_a_step(row.config, data_dir)
        # Which of the few examples here are drawn decides grids that are chosen by picture.
        assert a_step == pytest.approx(18, rel=0.1), row.key
        assert a_step * row.config.train.steps == pytest.approx(11_130, rel=0.05), row.key


@pytest.mark.parametrize("scale", ["1b", "3b", "30b"])
def test_rows_of_full_size_have_as_many_examples_by_arithmetic(scale):
    seen = []
    for row, tiles in zip(catalog.find("table1", scale).rows, TILES, strict=True):
        train, slots = row.config.train, row.config.inputs.tiles_per_row
        assert train.batch_rows % 64 == 0, row.key
        seen.append(train.batch_rows * train.steps * slots / tiles)
    assert max(seen) < 1.01 * min(seen)
