"""Several data sets at once: each in one process, so that processes start once, not once a set."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mm15_jax.data import registry
from mm15_jax.data.prepare import SplitReport, prepare


def prepare_many(
    names: Sequence[str],
    data_dir: Path | str,
    *,
    source: Path | str | None = None,
    workers: int | None = None,
    limit: int | None = None,
) -> list[SplitReport]:
    """Prepares every split of the named data sets; reports in the order of the names.

    One data set alone is divided over the processes; several are handed out whole, the largest
    first. Raises ValueError as `prepare` does.
    """
    workers = workers or os.cpu_count() or 1
    arguments: dict[str, Any] = {"source": source, "limit": limit}
    if len(names) == 1 or workers == 1:
        return [
            report
            for name in names
            for report in prepare(registry.get(name), data_dir, workers=workers, **arguments)
        ]
    largest_first = sorted(names, key=lambda name: -_size(name, source))
    reports: dict[str, list[SplitReport]] = {}
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {
            pool.submit(_prepare_one, name, data_dir, arguments): name for name in largest_first
        }
        try:
            for future in concurrent.futures.as_completed(futures):
                name = futures[future]
                reports[name] = future.result()
                made = sum(report.records for report in reports[name])
                line = (
                    f"prepared {name}: {made:,} examples ({len(reports)} of {len(names)} data sets)"
                )
                print(line, file=sys.stderr, flush=True)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [report for name in names for report in reports[name]]


def _size(name: str, source: Path | str | None) -> int:
    preparation = registry.get(name)
    return 0 if preparation.requires_source else preparation.count("train")


def _prepare_one(name: str, data_dir: Path | str, arguments: dict) -> list[SplitReport]:
    return prepare(
        registry.get(name), data_dir, workers=1, progress=lambda event: None, **arguments
    )
