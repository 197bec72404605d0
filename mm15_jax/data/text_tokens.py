"""How many tokens the texts of a data set have, for reports: pictures and turns not counted."""

from __future__ import annotations

from pathlib import Path

from mm15_jax.data.processes import available_cpus, spawn_pool
from mm15_jax.data.records import open_dataset
from mm15_jax.inputs.example import Text
from mm15_jax.inputs.tokenizer import load_tokenizer

_CHUNK = 4096  # records a task
_PARALLEL_FROM = 100_000  # below this many records, starting processes costs more than it saves


def count_text_tokens(directory: Path | str, tokenizer: str, workers: int | None = None) -> int:
    """Tokens of all texts of a prepared split.

    Args:
      directory: `<data_dir>/<name>/<split>`.
      tokenizer: as of `load_tokenizer`.
      workers: processes for a large split; default the number of CPUs.

    Returns:
      The sum over all examples. Raises ValueError for a split or a tokenizer that is absent.
    """
    load_tokenizer(tokenizer)  # a wrong name is told before processes start
    records = len(open_dataset(directory))
    ranges = [(i, min(i + _CHUNK, records)) for i in range(0, records, _CHUNK)]
    workers = min(workers or available_cpus(), len(ranges))
    if records < _PARALLEL_FROM or workers < 2:
        return sum(_count(str(directory), tokenizer, *bounds) for bounds in ranges)
    with spawn_pool(workers) as pool:
        tasks = [pool.submit(_count, str(directory), tokenizer, *bounds) for bounds in ranges]
        return sum(task.result() for task in tasks)


def _count(directory: str, name: str, start: int, stop: int) -> int:
    dataset, tokenizer = open_dataset(directory), load_tokenizer(name)
    return sum(
        len(tokenizer.encode(segment.text))
        for i in range(start, stop)
        for segment in dataset[i].segments
        if isinstance(segment, Text)
    )
