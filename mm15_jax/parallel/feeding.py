"""Rows of the global batch to the devices: each process brings the rows that its devices hold."""

from __future__ import annotations

from collections.abc import Mapping

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


def replicate(tree, shardings):
    """Host arrays that every process has alike, as global arrays; no process talks to another."""
    return jax.tree.map(
        lambda x, sharding: jax.make_array_from_callback(
            np.shape(x), sharding, lambda index, x=x: np.asarray(x)[index]
        ),
        tree,
        shardings,
    )
