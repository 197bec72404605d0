import json

import jax
import numpy as np
import pytest

from mm15_jax.checkpoint import run, shipped
from mm15_jax.checkpoint.initial import Start, find_starts, initial_params
from mm15_jax.config import load, to_dict
from mm15_jax.model import mllm
from mm15_jax.model.resize import resize_grid
from tests import tiny

PARTS = ("encoder", "connector", "decoder")


def fake_run(directory, name, *, complete=True):
    """A run directory as `find_starts` sees it."""
    config = load(name)
    step = config.train.steps if complete else config.train.steps - 1
    (directory / run.CHECKPOINTS / str(step)).mkdir(parents=True)
    (directory / run.CONFIG).write_text(json.dumps(to_dict(config)))
    return directory


@pytest.fixture
def ships(monkeypatch):
    """Says which experiments' parameters come with the package."""

    def set_shipped(*names):
        monkeypatch.setattr(shipped, "is_shipped", lambda name: name in names)

    set_shipped()
    return set_shipped


def test_a_run_beside_this_one_is_found(tmp_path, ships):
    parent = fake_run(tmp_path / "mm15_nano_continual", "mm15_nano_continual")
    starts, warning = find_starts(load("mm15_nano_sft"), tmp_path / "mm15_nano_sft", None)
    assert starts == (Start("mm15_nano_continual", PARTS, parent),) and not warning


def test_a_run_in_a_chains_folder_is_found(tmp_path, ships):
    parent = fake_run(tmp_path / "quickstart" / "mm15_nano_sft", "mm15_nano_sft")
    starts, warning = find_starts(load("mm15_open_sft"), tmp_path / "mm15_open_sft", None)
    assert starts == (Start("mm15_nano_sft", PARTS, parent),) and not warning


def test_a_run_that_has_not_ended_is_not_taken(tmp_path, ships):
    fake_run(tmp_path / "mm15_3b_continual", "mm15_3b_continual", complete=False)
    with pytest.raises(ValueError, match="mm15_3b_continual, which has no finished run"):
        find_starts(load("mm15_3b_sft"), tmp_path / "mm15_3b_sft", None)


def test_without_a_run_the_sentence_names_every_way_on(tmp_path, ships):
    with pytest.raises(ValueError) as error:
        find_starts(load("mm15_3b_sft"), tmp_path / "mm15_3b_sft", None)
    for way in ("mm15 train mm15_3b_continual", "--init_from RUN_DIR", "--chain", "none"):
        assert way in str(error.value)
    assert "\n" not in str(error.value)


def test_shipped_parts_are_taken_each_for_its_part(tmp_path, ships):
    ships("mm15_nano_encoder", "mm15_nano_text")
    starts, warning = find_starts(load("mm15_nano_words"), tmp_path / "r", None)
    assert not warning
    assert starts == (
        Start("mm15_nano_encoder", ("encoder",), None),
        Start("mm15_nano_text", ("decoder",), None),
    )
    assert "shipped with the package" in str(starts[0])


def test_a_run_of_a_users_own_goes_before_the_shipped_one(tmp_path, ships):
    ships("mm15_nano_encoder", "mm15_nano_text")
    own = fake_run(tmp_path / "mm15_nano_text", "mm15_nano_text")
    starts, _ = find_starts(load("mm15_nano_words"), tmp_path / "r", None)
    assert [start.run_dir for start in starts] == [None, own]


def test_the_shipped_roots_stand_in_for_missing_stages_with_a_warning(tmp_path, ships):
    ships("mm15_nano_encoder", "mm15_nano_text")
    starts, warning = find_starts(load("mm15_nano_sft"), tmp_path / "r", None)
    assert [start.experiment for start in starts] == ["mm15_nano_encoder", "mm15_nano_text"]
    for word in ("mm15_nano_continual", "--chain", "--init_from", "mm15_nano_encoder"):
        assert word in warning


def test_parameters_may_be_random_or_of_any_run(tmp_path, ships):
    config = load("mm15_nano_words")
    assert find_starts(config, tmp_path / "r", "none") == ((), "")
    assert find_starts(load("mm15_nano_text"), tmp_path / "r", None) == ((), "")
    # Of an experiment that the config names, only the part that it names.
    named = fake_run(tmp_path / "a", "mm15_nano_encoder")
    assert find_starts(config, tmp_path / "r", str(named))[0] == (
        Start("mm15_nano_encoder", ("encoder",), named),
    )
    other = fake_run(tmp_path / "b", "mm15_nano_sft")
    assert find_starts(config, tmp_path / "r", str(other))[0][0].parts == PARTS
    with pytest.raises(ValueError, match="is not a run directory"):
        find_starts(config, tmp_path / "r", str(tmp_path))


def test_named_parts_are_the_runs_and_the_others_are_random(tiny_run):
    trained = run.load_params(tiny_run)
    config = tiny.experiment()
    fresh = mllm.init_params(config.model, jax.random.key(config.train.seed))
    params = initial_params(config, (Start("mm15_nano_sft", ("encoder",), tiny_run),))
    jax.tree.map(np.testing.assert_array_equal, params["encoder"], trained["encoder"])
    jax.tree.map(np.testing.assert_array_equal, params["decoder"], fresh["decoder"])
    assert not np.array_equal(trained["decoder"]["embedding"], fresh["decoder"]["embedding"])


def test_position_tables_are_interpolated_where_the_resolution_changes(tiny_run):
    trained = run.load_params(tiny_run)
    config = tiny.experiment(**{"model.encoder.resolution": 96})
    params = initial_params(config, (Start("mm15_nano_sft", PARTS, tiny_run),))
    table = trained["encoder"]["position_table"]
    assert table.shape[0] == 3 * 3 and params["encoder"]["position_table"].shape[0] == 6 * 6
    np.testing.assert_allclose(
        params["encoder"]["position_table"], resize_grid(table, 6), rtol=1e-6
    )
    jax.tree.map(np.testing.assert_array_equal, params["decoder"], trained["decoder"])


def test_other_shapes_that_differ_are_named(tiny_run):
    config = tiny.experiment(**{"model.decoder.ffn_width": 48})
    start = Start("mm15_nano_sft", PARTS, tiny_run)
    with pytest.raises(ValueError, match=r"parameter 'decoder/.*32.*48"):
        initial_params(config, (start,))
    # A part that is not taken may differ.
    initial_params(config, (Start("mm15_nano_sft", ("encoder",), tiny_run),))
