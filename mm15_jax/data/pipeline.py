"""From a pack plan to batches in host memory: read, format, decode and tile, late and in threads.

Only the rows that this host needs are read. Threads, not processes: image codecs and resizing
release the interpreter lock, a process costs seconds and hundreds of megabytes. Each row of a batch
is one task that writes into its own part of the arrays, so the number of threads changes nothing
but the time.
"""

from __future__ import annotations

import collections
import concurrent.futures
import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mm15_jax import config as config_lib
from mm15_jax.config.mixtures import dataset_names, dataset_weights
from mm15_jax.config.schema import DataConfig, ExperimentConfig, InputsConfig
from mm15_jax.data import batch as batch_lib
from mm15_jax.data.batch import Batch, BatchShape, BatchStats, Count, Decoded
from mm15_jax.data.index import Progress, load_index
from mm15_jax.data.pack_plan import PackPlan, PlanSource, Row
from mm15_jax.data.records import Dataset, dataset_counts, open_dataset
from mm15_jax.data.storage import to_path
from mm15_jax.inputs.example import Example, Image
from mm15_jax.inputs.formatting import format_example
from mm15_jax.inputs.tiles import load_tiles
from mm15_jax.inputs.tokenizer import Tokenizer, load_tokenizer

log = logging.getLogger(__name__)

# A share of bad records is judged over at least so many examples: one bad record among the first
# ten says nothing.
_JUDGED_OVER = 10_000
_NAMED = 5  # keys of dropped records that are named for each source and reason


def decode(
    example: Example,
    tokenizer: Tokenizer,
    inputs: InputsConfig,
    *,
    tokens_per_tile: int,
    resolution: int,
) -> Decoded:
    """Tokens and tiles of one example.

    Raises:
      ValueError: if a picture cannot be read, or has not the size that its record says.
    """
    formatted = format_example(
        example, tokenizer, inputs, tokens_per_tile=tokens_per_tile, resolution=resolution
    )
    images = [segment for segment in example.segments if isinstance(segment, Image)]
    tiles = [
        load_tiles(image.data, tiling)
        for image, tiling in zip(images, formatted.tilings, strict=True)
    ]
    return Decoded(formatted, tiles, example.category, example.source)


@dataclass(frozen=True)
class _BadRecord:
    source: str
    key: str
    reason: str


@dataclass(frozen=True)
class _Produced:
    batch: Batch
    stats: BatchStats
    cursor: int


class Pipeline:
    """Iterator of (batch, statistics, cursor after it). Use as a context manager.

    Batch k after a cursor is the same after a restart, for any number of threads. An error in a
    thread is raised by the consumer's `next`. Arrays are never written again once handed out, so a
    device may alias them.
    """

    def __init__(
        self,
        plan: PackPlan,
        datasets: Sequence[Dataset],
        inputs: InputsConfig,
        data: DataConfig,
        *,
        rows: int,
        tokens_per_tile: int,
        resolution: int,
        cursor: int = 0,
        host_rows: Sequence[int] | None = None,
    ):
        """Starts reading ahead.

        Args:
          plan: rows of the mixture.
          datasets: one for each of `plan.sources`.
          inputs: of the index that the plan was made from.
          data: threads, batches read ahead, bad records allowed.
          rows: of the global batch, those of all hosts together.
          tokens_per_tile: T.
          resolution: r, pixels.
          cursor: where to begin; 0 or what an earlier run came to.
          host_rows: which of them this host reads, in the order of its batches; None for all.
        """
        assert len(plan.sources) == len(datasets)
        self._host_rows = range(rows) if host_rows is None else list(host_rows)
        assert all(0 <= row < rows for row in self._host_rows), (host_rows, rows)
        self.plan = plan
        self.categories = sorted({name for d in datasets for name in d.manifest.categories})
        self.shape = BatchShape(
            len(self._host_rows),
            plan.sequence_length,
            plan.tiles_per_row,
            tokens_per_tile,
            resolution,
        )
        self._category_ids = {name: number for number, name in enumerate(self.categories)}
        self._datasets = tuple(datasets)
        self._inputs, self._data = inputs, data
        self._tokenizer = load_tokenizer(inputs.tokenizer)
        self._global_rows = rows
        self._seen = self._bad = 0
        plan.batch(cursor, 1)  # a cursor of another plan is an error here, not in a thread
        self._ready: queue.Queue[_Produced | BaseException] = queue.Queue(data.prefetch)
        self._closed = threading.Event()
        self._failure: BaseException | None = None
        self._pool = concurrent.futures.ThreadPoolExecutor(data.decode_threads, "decode")
        self._producer = threading.Thread(
            target=self._produce, args=(cursor,), name="batches", daemon=True
        )
        self._producer.start()

    def __iter__(self) -> Pipeline:
        return self

    def __next__(self) -> tuple[Batch, BatchStats, int]:
        if self._failure is None and self._closed.is_set():
            self._failure = RuntimeError("the pipeline is closed")
        if self._failure is not None:
            raise self._failure
        produced = self._ready.get()
        if isinstance(produced, BaseException):
            self._failure = produced
            raise produced
        return produced.batch, produced.stats, produced.cursor

    def __enter__(self) -> Pipeline:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Stops all threads and waits for them; at most the rows under way are finished."""
        self._closed.set()
        # Cancelled first, so that the background thread does not wait for rows nobody wants.
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._producer.join()
        self._pool.shutdown(wait=True)

    def _produce(self, cursor: int) -> None:
        """The background thread: plans, hands rows to the pool, and queues whole batches."""
        under_way: collections.deque = collections.deque()
        try:
            while not self._closed.is_set():
                # Two batches under way: no decoding thread rests while a batch's last row is done.
                while len(under_way) < 2:
                    rows, cursor = self.plan.batch(cursor, self._global_rows)
                    batch = batch_lib.empty_batch(self.shape)
                    tasks = [
                        self._pool.submit(self._fill, batch, i, row)
                        for i, row in enumerate(rows[number] for number in self._host_rows)
                    ]
                    under_way.append((batch, tasks, cursor))
                batch, tasks, after = under_way.popleft()
                self._put(_Produced(batch, self._collect(tasks), after))
        except BaseException as error:  # handed to the consumer, whatever it is
            self._put(error)

    def _put(self, item: _Produced | BaseException) -> None:
        while not self._closed.is_set():
            try:
                return self._ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def _fill(
        self, batch: Batch, index: int, row: Row
    ) -> tuple[list[tuple[str, str, Count]], list[_BadRecord]]:
        examples, bad = [], []
        for source, record in zip(row.sources.tolist(), row.records.tolist(), strict=True):
            dataset, key = self._datasets[source], f"record {record}"
            try:
                example = dataset[record]
                key = example.key
                examples.append(
                    decode(
                        example,
                        self._tokenizer,
                        self._inputs,
                        tokens_per_tile=self.shape.tokens_per_tile,
                        resolution=self.shape.resolution,
                    )
                )
            except ValueError as error:
                bad.append(_BadRecord(dataset.name, key, str(error)))
        laid = batch_lib.fill_row(
            batch,
            index,
            examples,
            tokens_per_tile=self.shape.tokens_per_tile,
            category_ids=self._category_ids,
        )
        return laid, bad

    def _collect(self, tasks: list[concurrent.futures.Future]) -> BatchStats:
        """Statistics of a batch whose rows are being filled; waits for them."""
        laid, bad = [], []
        for task in tasks:
            row_laid, row_bad = task.result()
            laid += row_laid
            bad += row_bad
        self._seen += len(laid) + len(bad)
        self._bad += len(bad)
        for record in bad:
            log.warning("left out %s of %s: %s", record.key, record.source, record.reason)
        allowed = self._data.max_bad_fraction * max(self._seen, _JUDGED_OVER)
        if self._bad > allowed:
            raise ValueError(
                f"{self._bad} of {self._seen} examples could not be read, more than "
                f"data.max_bad_fraction {self._data.max_bad_fraction:g} allows; the last is "
                f"{bad[-1].key} of {bad[-1].source}: {bad[-1].reason}"
            )
        return batch_lib.batch_stats(laid, self.shape, len(bad))

    def describe_dropped(self) -> list[str]:
        """A line for each source and reason for which records never enter a row."""
        return describe_dropped(self.plan, self._datasets)


def describe_dropped(plan: PackPlan, datasets: Sequence[Dataset]) -> list[str]:
    """A line for each source and reason for which records of it never enter a row of a plan."""
    lines = []
    for dataset in datasets:
        dropped = plan.dropped[dataset.name]
        for records, reason in (
            (dropped.too_long, f"have more than {plan.sequence_length} tokens"),
            (dropped.too_many_tiles, f"have more than {plan.tiles_per_row} tiles"),
            (dropped.unusable, "cannot be read or formatted"),
        ):
            if len(records):
                names = ", ".join(_key(dataset, int(r)) for r in records[:_NAMED])
                more = ", ..." if len(records) > _NAMED else ""
                lines.append(
                    f"{dataset.name}: {len(records)} of {len(dataset)} examples {reason} and are "
                    f"left out: {names}{more}"
                )
    return lines


def _key(dataset: Dataset, record: int) -> str:
    try:
        return dataset[record].key
    except ValueError:
        return f"record {record}"


def make_plan(
    weights: dict[str, float],
    data_dir: Path | str,
    config: ExperimentConfig,
    *,
    split: str = "train",
    progress: Progress | None = None,
) -> tuple[PackPlan, list[Dataset]]:
    """The pack plan of prepared data sets under an experiment's model, inputs and data config.

    Args:
      weights: share of the examples of each data set; one of weight 0 is not opened.
      data_dir: where data sets are.
      config: of the experiment.
      split: such as "train".
      progress: called with (records done, in all) of each data set that is counted anew.

    Raises:
      ValueError: if a data set is missing, or none of its examples fits a row.
    """
    datasets, sources = [], []
    for name, weight in weights.items():
        if weight == 0:
            continue
        dataset = open_dataset(to_path(data_dir) / name / split)
        index = load_index(
            dataset,
            config.inputs,
            tokens_per_tile=config.model.connector.tokens,
            resolution=config.model.encoder.resolution,
            progress=progress,
        )
        datasets.append(dataset)
        sources.append(
            PlanSource(
                name, index.tokens, index.tiles, weight, dataset.manifest.ordered, index.checksum
            )
        )
    plan = PackPlan(
        sources,
        sequence_length=config.inputs.sequence_length,
        tiles_per_row=config.inputs.tiles_per_row,
        window=config.data.window,
        seed=config.train.seed,
    )
    return plan, datasets


def open_pipeline(
    config: ExperimentConfig,
    data_dir: Path | str,
    *,
    cursor: int = 0,
    split: str = "train",
    host_rows: Sequence[int] | None = None,
) -> Pipeline:
    """The pipeline of an experiment: its mixture, planned and read ahead.

    Args:
      config: of the experiment.
      data_dir: where `mm15 prepare` put the data sets.
      cursor: 0, or the data state of a checkpoint.
      split: such as "train".
      host_rows: which rows of the global batch this process reads; None for all.

    Raises:
      ValueError: if the data directory is empty, a data set is missing (and may not be, see
        `data.allow_missing`), or the cursor is not of this data.
    """
    groups = config_lib.mixture(config)
    counts = dataset_counts(
        dataset_names(groups), data_dir, split, allow_missing=config.data.allow_missing
    )
    missing = [name for name in dataset_names(groups) if name not in counts]
    if missing:
        log.warning("not prepared, left out with their weight: %s", ", ".join(missing))
    plan, datasets = make_plan(dataset_weights(groups, counts), data_dir, config, split=split)
    for line in describe_dropped(plan, datasets):
        log.warning("%s", line)
    return Pipeline(
        plan,
        datasets,
        config.inputs,
        config.data,
        rows=config.train.batch_rows,
        tokens_per_tile=config.model.connector.tokens,
        resolution=config.model.encoder.resolution,
        cursor=cursor,
        host_rows=host_rows,
    )
