"""Rows of the global batch to the devices: each process brings the rows that its devices hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from mm15_jax.parallel.mesh import batch_sharding


def process_rows(mesh: Mesh, batch_rows: int, process: int | None = None) -> list[int]:
    """Numbers of the global batch's rows that a process's devices hold, rising.

    Processes whose devices share rows (`tensor` across processes) get the same numbers.

    Args:
      mesh: over the devices of all processes.
      batch_rows: of the global batch.
      process: None for this one.
    """
    process = jax.process_index() if process is None else process
    rows: set[int] = set()
    for device, (index,) in batch_sharding(mesh).devices_indices_map((batch_rows,)).items():
        if device.process_index == process:
            rows.update(range(*index.indices(batch_rows)))
    return sorted(rows)


def to_devices(
    batch: Mapping[str, np.ndarray], mesh: Mesh, batch_rows: int, rows: list[int]
) -> dict[str, jax.Array]:
    """The global batch, of which `batch` holds this process's `rows` (`process_rows`), in order."""
    sharding = batch_sharding(mesh)
    if jax.process_count() == 1:
        return jax.device_put(dict(batch), sharding)
    place = {row: i for i, row in enumerate(rows)}

    def put(x: np.ndarray) -> jax.Array:
        def part(index: tuple[slice, ...]) -> np.ndarray:
            first, last, _ = index[0].indices(batch_rows)
            # A device's rows follow one another, globally and so in `rows`.
            return x[place[first] : place[last - 1] + 1]

        return jax.make_array_from_callback((batch_rows, *x.shape[1:]), sharding, part)

    return {name: put(x) for name, x in batch.items()}


class DeviceBatches:
    """Batches on the devices, one ahead: it is put there while the step before runs.

    Steps are dispatched and run by themselves, so the time between dispatch and end is free for the
    next batch. A batch is counted as waited for only if the devices were idle when it came.

    No more than one step waits behind the one that runs. Batches of all that could be dispatched
    would fill the devices' memory, and a stop would first have to see those steps through.
    """

    def __init__(self, batches: Iterator, put: Callable[[Mapping[str, np.ndarray]], Any]):
        """`batches`: of tuples that begin with a batch in host memory; `put`: to the devices."""
        self._batches, self._put = batches, put
        self._ahead: tuple | None = None
        self._running: jax.Array | None = None  # of the step that was dispatched last
        self._waited = 0.0

    def next(self) -> tuple:
        """The next tuple, its batch on the devices."""
        if self._ahead is None:
            self.read_ahead()
        ready, self._ahead = self._ahead, None
        assert ready is not None
        return ready

    def read_ahead(self, running: jax.Array | None = None) -> None:
        """Fetches the tuple that `next` will give.

        Args:
          running: a result of the step that was dispatched last; None where there is none.
        """
        began = time.monotonic()
        batch, *rest = next(self._batches)
        if running is None or running.is_ready():
            self._waited += time.monotonic() - began
        before, self._running = self._running, running
        if before is not None:
            before.block_until_ready()  # the step under way goes on meanwhile
        self._ahead = (self._put(batch), *rest)

    def waited(self) -> float:
        """Seconds, since it was last asked, in which devices may have stood idle for a batch."""
        waited, self._waited = self._waited, 0.0
        return waited


def replicate(tree, shardings):
    """Host arrays that every process has alike, as global arrays; no process talks to another."""
    return jax.tree.map(
        lambda x, sharding: jax.make_array_from_callback(
            np.shape(x), sharding, lambda index, x=x: np.asarray(x)[index]
        ),
        tree,
        shardings,
    )
