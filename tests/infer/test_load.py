import dataclasses

import pytest

from mm15_jax.config import load
from mm15_jax.infer.load import inputs_of


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
    with pytest.raises(ValueError, match=r"from 9 to 4 .* eval.n_min <= eval.n_max"):
        asked("eval.n_min=9")
    with pytest.raises(ValueError, match="'sep'; did you mean 'seps'"):
        asked("eval.indicator=sep")
