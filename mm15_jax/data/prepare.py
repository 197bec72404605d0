"""`mm15 prepare`: data sets made or converted into shards, in processes, resumable by shard.

A part of a split becomes one shard (`parts`). A run that is started again keeps the shards whose
receipt still holds and makes the others. When all are there the manifest is written. Preparing what
is prepared changes nothing.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from mm15_jax.config.names import unknown
from mm15_jax.data import parts, prepare_report, records, storage
from mm15_jax.data.parts import RECEIPT, RECEIPTS, Receipt, Task
from mm15_jax.data.preparation import Preparation
from mm15_jax.data.prepare_report import REPORT, SplitReport, bad_allowed, too_many_bad
from mm15_jax.data.processes import available_cpus, spawn_pool
from mm15_jax.data.progress import Progress, ProgressLine, Reckoner
from mm15_jax.data.records import MANIFEST, Manifest
from mm15_jax.data.source import Source
from mm15_jax.data.text_tokens import count_text_tokens
from mm15_jax.inputs.tokenizer import load_tokenizer

# Makes the shards of tasks, somewhere, and gives their receipts as they come.
Runner = Callable[[Preparation, Sequence[Task]], Iterator[Receipt]]


@dataclasses.dataclass(frozen=True)
class _Job:
    """What is the same for all splits of a data set."""

    preparation: Preparation
    data_dir: Path
    source: Source | None
    limit: int | None
    max_bad_fraction: float
    retry_bad: bool
    progress: Progress
    runner: Runner


def prepare(
    preparation: Preparation,
    data_dir: Path | str,
    splits: Sequence[str] | None = None,
    *,
    source: Source | Path | str | None = None,
    follow_links: bool = False,
    workers: int | None = None,
    limit: int | None = None,
    max_bad_fraction: float = 0.001,
    retry_bad: bool = False,
    tokenizer: str | None = None,
    progress: Progress | None = None,
    runner: Runner | None = None,
) -> list[SplitReport]:
    """Writes a data set under `<data_dir>/<name>/<split>`.

    Args:
      preparation: what to make; one that is not the registry's is made in this process alone.
      data_dir: where data sets are; made if absent.
      splits: which splits; default all that the source has.
      source: where the published files are: a folder, or a URL (gs://, s3://).
      follow_links: whether links in a folder may lead out of it.
      workers: processes; default the number of CPUs; 1 works in this process.
      limit: at most so many examples of a split, the first ones.
      max_bad_fraction: share of a split's records that may be bad before it is given up; see
        `prepare_report.bad_allowed` for small splits.
      retry_bad: make shards again that left out records: missing pictures may be there now.
      tokenizer: counts the tokens of the texts, for the report.
      progress: called for each shard that is done; default a line on stderr.
      runner: makes the shards, in place of processes on this machine.

    Returns:
      A report for each split that the source has.

    Raises:
      ValueError: for a split that does not exist, a source that is missing or does not hold the
        data set, numbers out of range, a part that cannot be read, or more bad records than
        allowed; what was made is kept.
    """
    for split in splits or ():
        if split not in preparation.splits:
            raise unknown(f"split of {preparation.name}:", split, preparation.splits)
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; expected 1 or more")
    if limit is not None and limit < 1:
        raise ValueError(f"limit is {limit}; expected 1 or more")
    if not 0 <= max_bad_fraction <= 1:
        raise ValueError(f"max_bad_fraction is {max_bad_fraction}; expected 0 to 1")
    if tokenizer is not None:
        load_tokenizer(tokenizer)  # a mistyped name is told before the first record
    found = open_source(preparation, source, follow_links=follow_links)
    progress = ProgressLine() if progress is None else progress
    with contextlib.ExitStack() as stack:
        runner = runner or stack.enter_context(in_processes(workers))
        job = _Job(
            preparation,
            storage.to_path(data_dir),
            found,
            limit,
            max_bad_fraction,
            retry_bad,
            progress,
            runner,
        )
        made = [_prepare_split(job, split) for split in splits or preparation.splits]
    reports = [report for report in made if report is not None]
    if tokenizer is not None:
        reports = [_with_tokens(report, tokenizer, workers) for report in reports]
    if not reports or (splits and len(reports) < len(made)):
        wanted = ", ".join(splits or preparation.splits)
        raise ValueError(
            f"{found and found.url} holds nothing of {preparation.name!r} ({wanted}); expected "
            f"{preparation.layout}"
        )
    return reports


def open_source(
    preparation: Preparation, source: Source | Path | str | None, *, follow_links: bool = False
) -> Source | None:
    """The source of a data set; ValueError says what it must hold, None if it needs none."""
    if not preparation.requires_source:
        return None
    if source is None:
        raise ValueError(
            f"the data set {preparation.name!r} is converted from published files: name their "
            f"folder or URL with --source; it must hold {preparation.layout}"
        )
    return source if isinstance(source, Source) else Source(source, follow_links=follow_links)


@contextlib.contextmanager
def in_processes(workers: int | None = None) -> Iterator[Runner]:
    """The runner of one machine; its processes start when there is work for more than one.

    A preparation that is not the registry's is made in this process: others would not find it.
    """
    from mm15_jax.data import registry  # not above: it imports every generator

    workers = workers or available_cpus()
    with contextlib.ExitStack() as stack:
        pools: list[concurrent.futures.ProcessPoolExecutor] = []

        def run(preparation: Preparation, tasks: Sequence[Task]) -> Iterator[Receipt]:
            registered = registry.all_preparations().get(preparation.name) is preparation
            if min(workers, len(tasks)) < 2 or not registered:
                for task in tasks:
                    yield parts.make_part(preparation, task)
                return
            if not pools:
                pools.append(spawn_pool(workers))
                stack.callback(pools[0].shutdown, cancel_futures=True)
            made = [pools[0].submit(_make_by_name, task) for task in tasks]
            try:
                for future in concurrent.futures.as_completed(made):
                    yield future.result()
            except BrokenProcessPool as error:
                raise ValueError(
                    f"a worker process of {workers} ended without a word, as one does that the "
                    "system kills for its memory: try again with fewer --workers; what was made "
                    "is kept"
                ) from error

        yield run


def _make_by_name(task: Task) -> Receipt:
    # Here, not above: the registry imports every generator, which this module does not need.
    from mm15_jax.data import registry

    return parts.make_part(registry.get(task.name), task)


def _prepare_split(job: _Job, split: str) -> SplitReport | None:
    """Makes what is missing of a split; None if the source has nothing of it."""
    began = time.monotonic()
    name, directory = job.preparation.name, job.data_dir / job.preparation.name / split
    tasks = parts.tasks_of(job.preparation, split, job.source, directory)
    if not tasks:
        return None
    receipts = _put_in_place(directory, tasks, parts.valid_receipts(directory, tasks))
    reckoner = _reckoner(job, split, tasks, receipts)
    if job.retry_bad or reckoner.bad > bad_allowed(job.max_bad_fraction, reckoner.expected):
        # A split that was given up for its bad records is tried again: they may have been mended.
        receipts = {part: receipt for part, receipt in receipts.items() if not receipt.bad}
        reckoner = _reckoner(job, split, tasks, receipts)
    kept = set(receipts)
    chosen, missing = _divide(tasks, receipts, job.limit)
    while missing:
        job.progress(reckoner.event())
        storage.remove_files(directory, [MANIFEST])
        for receipt in job.runner(job.preparation, missing):
            receipts[receipt.part] = receipt
            kept.discard(receipt.part)
            reckoner.add(receipt)
            job.progress(reckoner.event())
            if reckoner.bad > bad_allowed(job.max_bad_fraction, reckoner.expected):
                raise too_many_bad(name, split, list(receipts.values()), job.max_bad_fraction)
        chosen, missing = _divide(tasks, receipts, job.limit)
    bad = sum(receipt.bad_records for receipt in chosen)
    good = sum(receipt.shard.records for receipt in chosen)
    if bad > bad_allowed(job.max_bad_fraction, good + bad):
        raise too_many_bad(name, split, chosen, job.max_bad_fraction)
    if not (good or bad):  # with bad records the report names them
        return None
    job.progress(reckoner.event(last=True))
    return _declare(job, split, directory, chosen, kept, began)


def _reckoner(
    job: _Job, split: str, tasks: Sequence[Task], receipts: dict[str, Receipt]
) -> Reckoner:
    """Of a split of which so much is there."""
    reckoner = Reckoner(job.preparation.name, split, [task.part for task in tasks], job.limit)
    for receipt in _divide(tasks, receipts, job.limit)[0]:
        reckoner.add(receipt, kept=True)
    return reckoner


def _put_in_place(
    directory: Path, tasks: Sequence[Task], receipts: dict[str, Receipt]
) -> dict[str, Receipt]:
    """Gives shards the file names of their tasks: a source that grew has other numbers."""
    moved = {}
    for task in tasks:
        receipt = receipts.get(task.part.name)
        if receipt is not None and receipt.shard.file != task.file:
            moved[receipt.shard.file] = task.file
            shard = dataclasses.replace(receipt.shard, file=task.file)
            receipts[task.part.name] = dataclasses.replace(receipt, shard=shard)
    if moved:
        storage.remove_files(directory, [MANIFEST])
        storage.rename_files(directory, moved)
        for receipt in receipts.values():
            parts.write_receipt(directory, receipt)
    return receipts


def _divide(
    tasks: Sequence[Task], receipts: dict[str, Receipt], limit: int | None
) -> tuple[list[Receipt], list[Task]]:
    """What is there of what is wanted, and what is still to be made.

    With a limit, the shard that reaches it is cut. How many examples come before is certain only
    when all parts before are made; until then it is what they should give.
    """
    if limit is None:
        whole = {part for part, receipt in receipts.items() if receipt.whole}
        return (
            [receipts[task.part.name] for task in tasks if task.part.name in whole],
            [task for task in tasks if task.part.name not in whole],
        )
    counts = [receipt.shard.records for receipt in receipts.values() if receipt.whole]
    usual = sum(counts) // len(counts) if counts else limit
    chosen, missing = list[Receipt](), list[Task]()
    left = limit
    for task in tasks:
        if not left:
            break
        receipt = receipts.get(task.part.name)
        there = receipt.shard.records if receipt else 0
        if receipt and (there == left or (receipt.whole and there < left)):
            chosen.append(receipt)
            left -= there
        else:
            missing.append(dataclasses.replace(task, take=left))
            left -= min(left, usual if task.part.records is None else task.part.records)
    return chosen, missing


def _declare(
    job: _Job,
    split: str,
    directory: Path,
    receipts: Sequence[Receipt],
    kept: set[str],
    began: float,
) -> SplitReport:
    """Writes the manifest, unless it says all this already, and removes what is left over."""
    preparation = job.preparation
    manifest = Manifest(
        name=preparation.name,
        split=split,
        category=preparation.category,
        licence=preparation.licence,
        version=preparation.version,
        ordered=preparation.ordered,
        records=sum(receipt.shard.records for receipt in receipts),
        shards=tuple(receipt.shard for receipt in receipts),
        settings={"source": job.source and job.source.url, "limit": job.limit},
    )
    already = sum(receipt.part in kept for receipt in receipts)
    seconds = time.monotonic() - began
    report = prepare_report.report_of(manifest, receipts, directory, already, seconds)
    before = records.find_manifest(directory)
    if before != manifest:
        parts.write_receipts(directory, receipts)
        prepare_report.write_report(report)
        records.write_manifest(directory, manifest)
    wanted = {shard.file for shard in manifest.shards} | {MANIFEST, RECEIPTS, REPORT}
    left_over = [name for name in storage.file_names(directory) if name not in wanted]
    if before is not None and before.checksum == manifest.checksum:
        # Others may have put indices beside the data, and they hold.
        ours = (RECEIPT, ".tmp", records.SUFFIX)
        left_over = [name for name in left_over if name.endswith(ours)]
    storage.remove_files(directory, left_over)
    return report


def _with_tokens(report: SplitReport, tokenizer: str, workers: int | None) -> SplitReport:
    if tokenizer in report.tokens:
        return report
    count = count_text_tokens(report.directory, tokenizer, workers)
    report = dataclasses.replace(report, tokens={**report.tokens, tokenizer: count})
    prepare_report.write_report(report)
    return report


def prepare_many(
    names: Sequence[str],
    data_dir: Path | str,
    *,
    workers: int | None = None,
    runner: Runner | None = None,
    **arguments: Any,
) -> list[SplitReport]:
    """Prepares data sets of the registry, one after the other, with the same processes.

    Args:
      names: data sets.
      data_dir: where data sets are.
      workers: processes; default the number of CPUs.
      runner: as of `prepare`.
      **arguments: the others of `prepare`.

    Returns:
      The reports, in the order of the names. Raises as `prepare` does.
    """
    from mm15_jax.data import registry

    with in_processes(workers) as run:
        return [
            report
            for name in names
            for report in prepare(
                registry.get(name), data_dir, workers=workers, runner=runner or run, **arguments
            )
        ]
