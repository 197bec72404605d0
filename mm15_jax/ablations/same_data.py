"""Whether data sets are still what a run has read, or what it was asked about.

Their records are known by a checksum. A generated data set is made anew when a command needs it and
its version has been raised: until then that version counts, then its records, which may be the same
(a version is raised for more held-out questions too).
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping, Sequence

from mm15_jax.checkpoint.run import DataRead
from mm15_jax.data.records import Manifest, find_manifest
from mm15_jax.data.storage import to_path


def first_changed(read: Mapping[str, DataRead], data_dir: pathlib.Path | str | None) -> str | None:
    """The first data set whose records are others now; None if there is none.

    What is not there cannot be compared, and counts as the same.

    Args:
      read: DATA_SET/SPLIT -> what was read of it.
      data_dir: where data sets are prepared; None: unknown, there is nothing to compare with.
    """
    return next((name for name, was in read.items() if not _is_same(name, was, data_dir)), None)


def _is_same(name: str, was: DataRead, data_dir: pathlib.Path | str | None) -> bool:
    from mm15_jax.data.miniature import SETS  # draws pictures: not free to import

    generated = SETS.get(name.split("/")[0])
    now = _manifest(to_path(data_dir) / name) if data_dir else None
    if now is None or (generated and now.version != generated.version):
        return generated is None or was["version"] == generated.version
    return now.checksum == was["records"]


@functools.cache  # a table's runs read the same sets, which may lie in a bucket
def _manifest(folder: pathlib.Path) -> Manifest | None:
    return find_manifest(folder)


def look_again() -> None:
    """Forgets what was there: data sets have been prepared since."""
    _manifest.cache_clear()


def asked_about(
    benchmarks: Sequence[str], data_dir: pathlib.Path | str | None
) -> dict[str, dict[str, DataRead]]:
    """Benchmark -> DATA_SET/SPLIT -> its records as they are now."""
    from mm15_jax.evaluation.benchmarks import find

    found: dict[str, dict[str, DataRead]] = {name: {} for name in benchmarks}
    for name in benchmarks if data_dir else ():
        for part in find(name).data_sets:
            place = f"{part.data_set}/{part.split}"
            if manifest := find_manifest(to_path(data_dir or "") / place):
                found[name][place] = DataRead(version=manifest.version, records=manifest.checksum)
    return found
