import dataclasses

import jax
import pytest

from mm15_jax.config import (
    ExperimentConfig,
    MeshConfig,
    apply_overrides,
    from_dict,
    load,
    replace_nested,
    to_dict,
)
from mm15_jax.infer.load import inputs_of, on_these_devices


def asked(*changes):
    return inputs_of(load("mm15_nano_sft", list(changes)))


def test_answers_are_asked_for_as_in_training_but_for_what_eval_says():
    trained = load("mm15_nano_sft").inputs
    assert asked() == trained
    changed = asked("eval.n_min=9", "eval.n_max=16", "eval.indicator=seps")
    splitting = dataclasses.replace(trained.splitting, n_min=9, n_max=16, indicator="seps")
    assert changed == dataclasses.replace(trained, splitting=splitting)
    assert asked("eval.n_max=9").splitting.n_min == trained.splitting.n_min


def test_ranges_and_indicators_that_are_none_are_refused():
    with pytest.raises(ValueError, match=r"n_min 9, n_max 4: expected eval.n_min <= eval.n_max"):
        asked("eval.n_min=9")
    with pytest.raises(ValueError, match="'sep'; did you mean 'seps'"):
        asked("eval.indicator=sep")


@pytest.mark.parametrize(
    ("trained", "given", "answers"),
    [
        (MeshConfig(data=1, fsdp=256), [], MeshConfig()),  # other hardware: over what is there
        (MeshConfig(tensor=4), [], MeshConfig()),
        (MeshConfig(tensor=2), [], MeshConfig(tensor=2)),
        (MeshConfig(data=1, fsdp=2), [], MeshConfig(data=1, fsdp=2)),
        (MeshConfig(data=1, fsdp=256), ["mesh.fsdp=2"], MeshConfig(data=1, fsdp=2)),
    ],
)
def test_a_run_answers_on_other_hardware_than_it_was_trained_on(trained, given, answers):
    assert jax.device_count() == 2
    config = replace_nested(load("mm15_nano_sft"), {"mesh": trained})
    config = from_dict(ExperimentConfig, to_dict(config))  # as config.json gives it
    assert on_these_devices(apply_overrides(config, given)).mesh == answers
