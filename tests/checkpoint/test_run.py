import json

import pytest

from mm15_jax.checkpoint import run
from tests import tiny


def test_a_directory_belongs_to_one_experiment(tmp_path):
    run.open_for_training(tmp_path / "r", tiny.experiment())
    assert run.read_config(tmp_path / "r") == tiny.experiment()
    with pytest.raises(ValueError, match="is a run of mm15_nano_sft, not of other"):
        run.open_for_training(tmp_path / "r", tiny.experiment(name="other"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.seed", 3),
        ("train.steps", 7),
        ("data.window", 64),
        ("model.decoder.width", 32),
        ("optimizer.frozen", ("encoder",)),
    ],
)
def test_values_that_change_what_a_step_computes_are_refused(tmp_path, key, value):
    run.open_for_training(tmp_path, tiny.experiment())
    (tmp_path / run.CHECKPOINTS / "2").mkdir(parents=True)
    with pytest.raises(ValueError, match=f"was started with another {key}"):
        run.open_for_training(tmp_path, tiny.experiment(**{key: value}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train.log_every", 3),
        ("checkpoint.keep", 5),
        ("data.prefetch", 1),
        ("data.max_bad_fraction", 0.01),
        ("eval.n_max", 9),
        ("model.decoder.moe.capacity_factor", 2.0),  # of a decoder without experts
    ],
)
def test_values_that_do_not_may_change_and_are_kept(tmp_path, key, value):
    run.open_for_training(tmp_path, tiny.experiment())
    changed = tiny.experiment(**{key: value})
    run.open_for_training(tmp_path, changed)
    assert run.read_config(tmp_path) == changed


def test_a_start_that_failed_binds_a_directory_to_its_experiment_alone(tmp_path):
    run.open_for_training(tmp_path, tiny.experiment(**{"train.batch_rows": 4096}))
    changed = tiny.experiment(**{"train.seed": 3})
    run.open_for_training(tmp_path, changed)
    assert run.read_config(tmp_path) == changed
    with pytest.raises(ValueError, match="name another directory with --run_dir"):
        run.open_for_training(tmp_path, tiny.experiment(name="tiny_other"))


@pytest.mark.parametrize("text", ["{", "[]", '{"name": 1}', '{"colour": "red"}'])
def test_a_config_that_is_none_is_named(tmp_path, text):
    (tmp_path / run.CONFIG).write_text(text)
    with pytest.raises(ValueError, match=r"config\.json cannot be read"):
        run.read_config(tmp_path)


def test_a_run_is_complete_when_its_last_step_is_saved(tmp_path):
    assert not run.is_complete(tmp_path) and not run.has_checkpoint(tmp_path)
    run.open_for_training(tmp_path, tiny.experiment())
    checkpoints = tmp_path / run.CHECKPOINTS
    (checkpoints / "6.orbax-checkpoint-tmp").mkdir(parents=True)
    assert not run.is_complete(tmp_path) and not run.has_checkpoint(tmp_path)
    (checkpoints / "4").mkdir()
    assert not run.is_complete(tmp_path) and run.has_checkpoint(tmp_path)
    (checkpoints / "6").mkdir()
    assert run.is_complete(tmp_path)


def test_an_earlier_version_of_a_config_takes_defaults_for_new_fields(tmp_path):
    run.open_for_training(tmp_path, tiny.experiment())
    fields = json.loads((tmp_path / run.CONFIG).read_text())
    del fields["eval"]["n_min"]
    (tmp_path / run.CONFIG).write_text(json.dumps(fields))
    assert run.read_config(tmp_path) == tiny.experiment()


@pytest.mark.parametrize("file", [run.STARTED_FROM, run.STARTED_FROM_DATA, run.DATA_LOG])
@pytest.mark.parametrize("content", ['{"a": ', "[]"])
def test_a_damaged_note_of_what_a_run_began_from_is_named(tmp_path, file, content):
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=f"{file} cannot be read"):
        run.read_started_from(tmp_path)
        run.read_data(tmp_path)
