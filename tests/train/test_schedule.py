"""Learning rates, step by step."""

import numpy as np
import pytest

from mm15_jax.config import OptimizerConfig
from mm15_jax.train.schedule import learning_rate

PEAK = 2e-3


def rates(steps, **fields):
    """Of each step, and of the one after the last."""
    schedule = learning_rate(OptimizerConfig(peak_learning_rate=PEAK, **fields), steps)
    return np.array([float(schedule(step)) for step in range(steps + 1)])


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
def test_warm_up_rises_by_equal_steps_to_the_peak_and_no_step_is_wasted(schedule):
    found = rates(20, schedule=schedule, warmup_steps=4)
    np.testing.assert_allclose(found[:4], PEAK * np.array([0.25, 0.5, 0.75, 1]), rtol=1e-5)
    assert found[4] == pytest.approx(PEAK) and found.max() == pytest.approx(PEAK)
    # What follows is the schedule of so many steps fewer.
    np.testing.assert_allclose(rates(16, schedule=schedule), found[4:], rtol=1e-5)


def test_a_cosine_falls_to_its_end_at_the_last_step():
    found = rates(20, schedule="cosine", end_ratio=0.1)
    angles = np.pi * np.arange(21) / 20
    np.testing.assert_allclose(found, PEAK * (0.1 + 0.9 * (1 + np.cos(angles)) / 2), rtol=1e-5)
    assert rates(20, schedule="cosine")[-1] == pytest.approx(0, abs=1e-9)


def test_wsd_stays_at_the_peak_and_falls_by_equal_steps_over_the_last_two_fifths():
    found = rates(25, schedule="wsd", end_ratio=0.2, warmup_steps=5)
    np.testing.assert_allclose(found[4:18], PEAK, rtol=1e-5)
    np.testing.assert_allclose(found[17:], PEAK * np.linspace(1, 0.2, 9), rtol=1e-5)


def test_a_constant_rate_is_the_peak_to_the_end():
    np.testing.assert_allclose(rates(6, schedule="constant", end_ratio=0.1), PEAK, rtol=1e-6)


def test_a_warm_up_longer_than_the_run_still_reaches_the_peak_at_its_last_step():
    found = rates(5, schedule="cosine", warmup_steps=100)
    np.testing.assert_allclose(found[:5], PEAK * np.array([0.25, 0.5, 0.75, 1, 1]), rtol=1e-5)
    assert rates(1, warmup_steps=100)[0] == pytest.approx(PEAK)  # all of a run of one step
