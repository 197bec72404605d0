"""Signals that end a training."""

import os
import signal

import pytest

from mm15_jax.train.stop import StopRequest


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_answered_and_remembered_and_a_second_one_acts(number, second, capfd):
    class SecondSignalError(Exception):
        """What the handler of before does."""

    def act(number, frame):
        raise SecondSignalError

    before = {each: signal.signal(each, act) for each in (number, second)}
    try:
        with StopRequest() as stop:
            assert stop.signal is None
            os.kill(os.getpid(), number)
            assert stop.signal == number
            said = capfd.readouterr().err
            assert number.name in said and said.count("stopping after the step") == 1
            with pytest.raises(SecondSignalError):
                os.kill(os.getpid(), second)
            assert stop.signal == number
        assert signal.getsignal(number) is act
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
