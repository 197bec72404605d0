"""The hash of a run's global batches, fed as any number of hosts would feed them."""

from __future__ import annotations

import hashlib
import itertools
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mm15_jax.config import ExperimentConfig, MeshConfig
from mm15_jax.data.batch import Batch
from mm15_jax.data.pipeline import open_pipeline
from mm15_jax.parallel.feeding import process_rows
from mm15_jax.parallel.mesh import batch_divisor, make_mesh


@dataclass(frozen=True)
class _Host:
    """A host with one device, as far as a mesh asks."""

    id: int
    process_index: int
    platform: str = "cpu"
    device_kind: str = "host"


def hash_batches(
    config: ExperimentConfig,
    data_dir: pathlib.Path,
    *,
    batches: int,
    hosts: Sequence[int],
    cursor: int,
    split: str,
) -> dict[str, Any]:
    """One sha256 over global batches, row by row, whoever reads which row.

    Each host has a pipeline of its own, and reads the rows that the training code gives it
    (`parallel.feeding.process_rows`). With several numbers of hosts the batches are divided among
    them; each begins from the cursor that the one before came to, as after a restart.

    Args:
      config: of the experiment.
      data_dir: where its data sets are.
      batches: how many, in all.
      hosts: numbers of hosts, one after the other.
      cursor: data state to begin at.
      split: of the data sets.

    Returns:
      "sha256"; "batches": a sha256 of each; "next_cursor" after them; "hosts".

    Raises:
      ValueError: if a batch's rows do not divide over the hosts.
    """
    # Little is read ahead: a batch of a large experiment has gigabytes.
    config = replace(config, data=replace(config.data, prefetch=1))
    digests: list[list[bytes]] = []
    for part, number in enumerate(hosts):
        mesh = make_mesh(MeshConfig(), [_Host(i, i) for i in range(number)])
        if config.train.batch_rows % batch_divisor(mesh):
            raise ValueError(
                f"train.batch_rows {config.train.batch_rows} does not divide over {number} hosts"
            )
        count = batches * (part + 1) // len(hosts) - batches * part // len(hosts)
        read: list[dict[int, bytes]] = [{} for _ in range(count)]
        after = cursor
        for host in range(number):
            rows = process_rows(mesh, config.train.batch_rows, host)
            state = {"cursor": cursor}
            with open_pipeline(
                config, data_dir, state=state, split=split, host_rows=rows
            ) as pipeline:
                for digest, (batch, _, position) in zip(
                    read, itertools.islice(pipeline, count), strict=True
                ):
                    digest |= {row: _row_digest(batch, i) for i, row in enumerate(rows)}
                    after = position  # the same on every host
        digests += [[digest[row] for row in range(config.train.batch_rows)] for digest in read]
        cursor = after
    return {
        "sha256": hashlib.sha256(b"".join(itertools.chain(*digests))).hexdigest(),
        "batches": [hashlib.sha256(b"".join(rows)).hexdigest() for rows in digests],
        "hosts": list(hosts),
        "next_cursor": cursor,
    }


def _row_digest(batch: Batch, row: int) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(batch):
        array = batch[name][row]
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.digest()
