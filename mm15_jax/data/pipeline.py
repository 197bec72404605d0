"""From a plan of rows to batches in host memory: read, format, decode and tile, late, in threads.

Only the rows that this host needs are read. Threads, not processes: image codecs and resizing
release the interpreter lock, a process costs seconds and hundreds of megabytes. Each row of a batch
is one task that writes into its own part of the arrays, so the number of threads changes nothing
but the time.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm15_jax.config.schema import DataConfig, ExperimentConfig, InputsConfig
from mm15_jax.data import batch as batch_lib
from mm15_jax.data import history
from mm15_jax.data.bad_records import BadRecords
from mm15_jax.data.batch import Batch, BatchShape, BatchStats, Count, Decoded
from mm15_jax.data.pack_plan import PackPlan, Plan, Row
from mm15_jax.data.plan_items import piece_start
from mm15_jax.data.planning import plan_mixture
from mm15_jax.data.processes import decode_threads
from mm15_jax.data.records import Dataset
from mm15_jax.inputs.example import Example
from mm15_jax.inputs.formatting import format_example
from mm15_jax.inputs.rendering import load_example
from mm15_jax.inputs.tokenizer import Tokenizer, load_tokenizer

if TYPE_CHECKING:
    from mm15_jax.data.streams import Stream

# Bytes of batches that are read ahead, `data.prefetch` allowing: on a host that feeds many large
# rows, a few batches are a gigabyte. Two are always under way or ready.
_AHEAD = 10**9


def decode(
    example: Example,
    tokenizer: Tokenizer,
    inputs: InputsConfig,
    *,
    tokens_per_tile: int,
    resolution: int,
    piece: int = 0,
) -> Decoded:
    """Tokens and tiles of one example, or of one piece of a document longer than a row.

    Raises:
      ValueError: if a picture or clip cannot be read, or has not the size that its record says.
    """
    formatted = format_example(
        example, tokenizer, inputs, tokens_per_tile=tokens_per_tile, resolution=resolution
    )
    tiles = load_example(example, formatted)
    if len(formatted.tokens) > inputs.sequence_length:
        start = piece_start(piece, inputs.sequence_length)
        part = slice(start, start + inputs.sequence_length)
        formatted = dataclasses.replace(
            formatted,
            tokens=formatted.tokens[part],
            loss_weights=formatted.loss_weights[part],
            vision_index=formatted.vision_index[part],
        )
    return Decoded(formatted, tiles, example.category, example.source)


def example_of(row: Row, number: int, dataset: Dataset | Stream) -> Example:
    """An example of a row: the one that was read to be measured, or else its record."""
    if row.examples:
        return row.examples[number]
    assert not callable(dataset), "a stream is packed as it is read"
    return dataset[int(row.records[number])]


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
        plan: Plan,
        datasets: Sequence[Dataset | Stream],
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
          datasets: those that the plan's rows number.
          inputs: of the index that the plan was made from.
          data: threads, batches read ahead, bad records allowed.
          rows: of the global batch, those of all hosts together.
          tokens_per_tile: T.
          resolution: r, pixels.
          cursor: where to begin; 0 or what an earlier run came to.
          host_rows: which of them this host reads, in the order of its batches; None for all.
        """
        self._host_rows = range(rows) if host_rows is None else list(host_rows)
        assert all(0 <= row < rows for row in self._host_rows), (host_rows, rows)
        self.plan = plan
        self.state: dict[str, Any] = {"cursor": cursor}  # the data state that it began with
        self.sources = [dataset.name for dataset in datasets]
        self.categories = sorted({name for d in datasets for name in d.categories})
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
        self._bad_records = BadRecords(data.max_bad_fraction)
        if isinstance(plan, PackPlan):  # one that packs late would read all rows before twice
            plan.batch(cursor, 1)  # a cursor of another plan is an error here, not in a thread
        # Batches that are held: being filled, and ready. With two being filled no decoding thread
        # rests while a batch's last row is done.
        held = max(2, min(data.prefetch + 2, _AHEAD // self.shape.bytes))
        self._filling = 2 if held > 2 else 1
        self._ready: queue.Queue[_Produced | BaseException] = queue.Queue(held - self._filling)
        self._closed = threading.Event()
        self._failure: BaseException | None = None
        self._pool = concurrent.futures.ThreadPoolExecutor(
            decode_threads(data.decode_threads), "decode"
        )
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
                while len(under_way) < self._filling:
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
    ) -> tuple[list[tuple[str, str, Count]], list[tuple[str, str, str]]]:
        examples, bad = [], []
        places = zip(row.sources.tolist(), row.records.tolist(), row.pieces.tolist(), strict=True)
        for i, (source, record, piece) in enumerate(places):
            dataset, key = self._datasets[source], f"record {record}"
            try:
                example = example_of(row, i, dataset)
                key = example.key
                decoded = decode(
                    example,
                    self._tokenizer,
                    self._inputs,
                    tokens_per_tile=self.shape.tokens_per_tile,
                    resolution=self.shape.resolution,
                    piece=piece,
                )
                # The data set's own name, whatever its examples say that they are from.
                examples.append(dataclasses.replace(decoded, source=dataset.name))
            except ValueError as error:
                bad.append((dataset.name, key, str(error)))
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
        self._bad_records.add(len(laid), bad)
        return batch_lib.batch_stats(laid, self.shape, len(bad))


def open_pipeline(
    config: ExperimentConfig,
    data_dir: Path | str,
    *,
    state: Mapping[str, Any] | None = None,
    step: int = 0,
    split: str = "train",
    host_rows: Sequence[int] | None = None,
) -> Pipeline:
    """The pipeline of an experiment: its mixture, planned and read ahead.

    Args:
      config: of the experiment.
      data_dir: where `mm15 prepare` put the data sets.
      state: None, or the data state of a checkpoint; `pipeline.state` is what goes on from it.
      step: of that checkpoint.
      split: such as "train".
      host_rows: which rows of the global batch this process reads; None for all.

    Raises:
      ValueError: as of `plan_mixture`, or if the data is not that of the state (and may not be
        other, see `data.on_change`).
    """
    plan, datasets = plan_mixture(config, data_dir, split=split)
    now = {"cursor": 0, **(state or {})}
    if not isinstance(plan, PackPlan):
        now = _resume_late(now, plan)
    elif "plan" in now:
        now, plan = history.resume(now, plan, step=step, on_change=config.data.on_change)
    else:
        now = history.begin(plan, now["cursor"])
    pipeline = Pipeline(
        plan,
        datasets,
        config.inputs,
        config.data,
        rows=config.train.batch_rows,
        tokens_per_tile=config.model.connector.tokens,
        resolution=config.model.encoder.resolution,
        cursor=now["cursor"],
        host_rows=host_rows,
    )
    pipeline.state = now
    return pipeline


def _resume_late(state: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """The data state of a run that packs late: its data cannot change on the way."""
    fingerprint = plan.fingerprint
    if state.get("plan", fingerprint) != fingerprint:
        raise ValueError(
            "the data sets or their weights are not those that this run was started with, and with "
            "data.packing=late a run cannot go on with others: start another run with --run_dir"
        )
    entry = {"from_step": 0, "plan": fingerprint, "packing": "late"}
    return {"plan": fingerprint, "history": [entry], **state}
