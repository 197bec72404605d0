import itertools
import time

import jax
import numpy as np
import pytest

from mm15_jax.parallel.feeding import DeviceBatches


class Running:
    """A step's result, which is ready or not."""

    def __init__(self, ready, wait=lambda: None):
        self.is_ready = lambda: ready
        self.block_until_ready = wait


def numbered(wait=0.0):
    for number in itertools.count():
        time.sleep(wait)
        yield {"x": np.full(4, number)}, number


def test_the_next_batch_is_on_the_devices_before_it_is_asked_for():
    put = []

    def to_device(batch):
        put.append(int(batch["x"][0]))
        return jax.device_put(batch)

    batches = DeviceBatches(numbered(), to_device)
    for step in range(4):
        batch, number = batches.next()
        assert number == step and isinstance(batch["x"], jax.Array)
        assert put[-1] == step
        batches.read_ahead(running=Running(False))  # while that step runs
        assert put[-1] == step + 1


def test_a_batch_is_put_there_when_the_step_before_the_last_one_is_done():
    """Else a host that is faster than its devices fills their memory with batches."""
    events = []
    batches = DeviceBatches(numbered(), lambda batch: events.append(f"put {batch['x'][0]}"))
    for step in range(3):
        batches.next()
        done = f"{step} done"
        batches.read_ahead(running=Running(False, lambda done=done: events.append(done)))
    assert events == ["put 0", "put 1", "0 done", "put 2", "1 done", "put 3"]


def test_it_is_put_there_while_a_step_runs():
    @jax.jit
    def step(x):  # seconds of work, by itself once dispatched
        square = jax.numpy.eye(300) * (1 + x[0])
        return jax.lax.fori_loop(0, 1500, lambda _, y: y @ square, square)[0, 0]

    batches = DeviceBatches(numbered(), jax.device_put)
    batch, _ = batches.next()
    step(batch["x"] * 0).block_until_ready()  # compiled
    result = step(batch["x"] * 0)
    batches.read_ahead(running=result)
    ahead, number = batches.next()
    assert number == 1 and np.asarray(ahead["x"]).tolist() == [1] * 4
    assert not result.is_ready()
    assert float(result) == 1.0


@pytest.mark.parametrize(("ready", "counted"), [(True, True), (False, False)])
def test_only_what_idle_devices_waited_is_counted(ready, counted):
    batches = DeviceBatches(numbered(wait=0.05), lambda batch: batch)
    batches.next()
    assert batches.waited() >= 0.05  # before the first step the devices have nothing to do
    batches.read_ahead(running=Running(ready))
    assert (batches.waited() >= 0.05) == counted
    assert batches.waited() == 0.0
