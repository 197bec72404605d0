"""Runs benchmarks: answers to held-out questions, scores, averages, scores.json."""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from mm15_jax.data.records import check_data_dir, open_dataset
from mm15_jax.data.storage import Growing, to_path
from mm15_jax.evaluation.aggregates import AGGREGATES
from mm15_jax.evaluation.answers import digest, make_row, save_pictures, write_rows
from mm15_jax.evaluation.benchmarks import TABLE, Benchmark, resolve
from mm15_jax.evaluation.results import (
    SCORES,
    BenchmarkResult,
    Results,
    for_split,
    read_scores,
    write_scores,
)
from mm15_jax.inputs.example import Example
from mm15_jax.train.metrics import read_rows

ANSWERS = "eval"  # folder of the answers in the run directory
PICTURES = "pictures"

Baselines = Mapping[str, float | None] | Callable[[str, str], float | None]
Progress = Callable[[str, int, int], None]


class Answers(Protocol):
    """What an evaluation needs of a generator: `mm15_jax.infer.generate.Generator` is one."""

    def fingerprint(self) -> str:
        """Differs when the answers may."""

    def stream(
        self, examples: Sequence[Example], *, max_new_tokens: int, batch_size: int
    ) -> Iterator[tuple[int, str]]:
        """Yields (index, answer) of each example, in any order."""


def evaluate(
    generator: Answers,
    data_dir: pathlib.Path | str,
    benchmarks: Iterable[str],
    *,
    split: str = "test",
    limit: int | None = None,
    out_dir: pathlib.Path | str,
    max_new_tokens: int = 64,
    batch_size: int = 64,
    baselines: Baselines | None = None,
    show: int = 8,
    progress: Progress | None = None,
) -> Results:
    """Answers and scores held-out examples.

    Writes `<out_dir>/eval/<benchmark>.jsonl` (a row an example, as batches finish), the pictures of
    the first examples for the report, and `<out_dir>/scores.json`; for a split other than "test",
    eval_<split>/ and scores_<split>.json. Answers that the same model has given to the same
    examples are not asked for again, and its scores on other benchmarks stay in scores.json.

    Args:
      generator: gives answers; greedy, so that a second run agrees.
      data_dir: where the data sets are prepared.
      benchmarks: names, categories, suites or "all", as `resolve` reads them. Of a group, what
        is prepared is run and the rest is named in the result.
      split: "test", which stands for each benchmark's held-out split; "validation" for decisions.
      limit: scored examples of each benchmark, the first ones; all by default.
      out_dir: a run directory.
      max_new_tokens: an answer is cut there.
      batch_size: speed only; scores do not depend on it.
      baselines: score of a trivial answerer by benchmark, or a function of (benchmark, split);
        by default the miniature's own, and chance where all questions are multiple choice.
      show: examples of each benchmark whose pictures are kept for the report.
      progress: called with (benchmark, answered, all).

    Returns:
      The scores.

    Raises:
      ValueError: an unknown benchmark, a data set that is not prepared, no scored example in it,
        or a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"the limit of examples is {limit}, expected 1 or more")
    names = list(benchmarks)
    out_dir = to_path(out_dir)
    data_dir = check_data_dir(data_dir, [benchmark.data_set for benchmark in resolve(names)])
    chosen, absent = _prepared(names, data_dir, split)
    model = generator.fingerprint()
    # All data sets are opened first: one that is missing is told before the first is answered.
    data = {b.name: _scored_examples(_folder(b, data_dir, split), limit) for b in chosen}
    results = []
    for benchmark in chosen:
        began = time.perf_counter()
        new_tokens = benchmark.max_new_tokens or max_new_tokens
        rows, answered = _answer(
            benchmark.name,
            data[benchmark.name],
            generator,
            out_dir / for_split(ANSWERS, split),
            model=f"{model}-{new_tokens}",
            max_new_tokens=new_tokens,
            batch_size=batch_size,
            show=show,
            progress=progress,
        )
        found = AGGREGATES[benchmark.aggregate](rows)
        results.append(
            BenchmarkResult(
                name=benchmark.name,
                category=benchmark.category,
                suite=benchmark.suite,
                measures=benchmark.measures,
                score=found.score,
                error=found.error,
                parts=found.parts,
                count=len(rows),
                baseline=_baseline(benchmark, split, baselines, rows),
                seconds=round(time.perf_counter() - began, 3) if answered else 0.0,
                answered=answered,
                averaged=benchmark.averaged,
            )
        )
    asked = {row.name for row in results}
    model = f"{model}-{max_new_tokens}"
    results += [row for row in _earlier_rows(out_dir, split, model) if row.name not in asked]
    order = [benchmark.name for benchmark in TABLE]
    results.sort(key=lambda row: order.index(row.name))
    outcome = Results(tuple(results), split, model, tuple(b.name for b in absent))
    write_scores(out_dir, outcome)
    return outcome


def _prepared(
    names: Sequence[str], data_dir: pathlib.Path, split: str
) -> tuple[list[Benchmark], list[Benchmark]]:
    """Benchmarks to run, and those of a named group whose data is not there.

    One that is named by itself is run, or answered with what to prepare; of a group (a category, a
    suite, "all") what is prepared is run, unless nothing is.
    """
    chosen = resolve(names)
    there = {b.name: _folder(b, data_dir, split).is_dir() for b in chosen}
    kept = [b for b in chosen if there[b.name] or b.name in names]
    if not kept:
        return list(chosen), []
    return kept, [b for b in chosen if b not in kept]


def _folder(benchmark: Benchmark, data_dir: pathlib.Path, split: str) -> pathlib.Path:
    """Where the examples are: of the benchmark's own held-out split, or of another."""
    there = benchmark.split if split == "test" else split
    return data_dir / benchmark.data_set / there


def _earlier_rows(out_dir: pathlib.Path, split: str, model: str) -> list[BenchmarkResult]:
    """What the same model has scored before, on benchmarks that still exist."""
    if not (out_dir / for_split(SCORES, split)).is_file():
        return []
    earlier = read_scores(out_dir, split)
    return list(earlier.benchmarks) if earlier.model == model else []


def _scored_examples(directory: pathlib.Path, limit: int | None) -> list[tuple[int, Example]]:
    """The first examples that name a metric, with their place in the data set."""
    found: list[tuple[int, Example]] = []
    for index, example in enumerate(open_dataset(directory)):
        if limit is not None and len(found) == limit:
            break
        if example.metadata.get("metric"):
            found.append((index, example))
    if not found:
        raise ValueError(f"{directory} has no example with a metric: it cannot be scored")
    return found


def _answer(
    name: str,
    examples: list[tuple[int, Example]],
    generator: Answers,
    directory: pathlib.Path,
    *,
    model: str,
    max_new_tokens: int,
    batch_size: int,
    show: int,
    progress: Progress | None,
) -> tuple[list[dict[str, Any]], int]:
    """Rows of all examples in order, and how many of them were answered now."""
    path = directory / f"{name}.jsonl"
    kept = {
        (row["key"], row["example"]): row for row in read_rows(path) if row.get("model") == model
    }
    identities = [(example.key, digest(example)) for _, example in examples]
    rows = {place: kept[i] for place, i in enumerate(identities) if i in kept}
    waiting = [place for place in range(len(examples)) if place not in rows]
    with Growing(directory) as growing:
        log = growing.folder / path.name
        write_rows(log, rows.values())  # drops stale and torn lines before more are added
        with log.open("a") as file:
            asked = [examples[place][1] for place in waiting]
            stream = generator.stream(asked, max_new_tokens=max_new_tokens, batch_size=batch_size)
            for number, answer in stream:
                place = waiting[number]
                index, example = examples[place]
                rows[place] = make_row(name, index, example, answer, model)
                file.write(json.dumps(rows[place], ensure_ascii=False) + "\n")
                file.flush()
                if progress:
                    progress(name, len(rows), len(examples))
    # Scored anew, also what was kept: a metric may have been mended since.
    ordered = []
    for place, (index, example) in enumerate(examples):
        row = make_row(name, index, example, rows[place]["answer"], model)
        if place < show:
            row["pictures"] = save_pictures(directory / PICTURES / name, index, example)
        ordered.append(row)
    write_rows(path, ordered)
    return ordered, len(waiting)


def _baseline(
    benchmark: Benchmark, split: str, given: Baselines | None, rows: Sequence[Mapping[str, Any]]
) -> float | None:
    if given is not None:
        return given(benchmark.name, split) if callable(given) else given.get(benchmark.name)
    if benchmark.suite == "mini":
        from mm15_jax.data.miniature import trivial_baseline  # draws pictures: not free to import

        return trivial_baseline(benchmark.name, split)
    if all(row["metric"] == "multiple_choice" for row in rows):
        return 100 * sum(1 / len(row["choices"]) for row in rows) / len(rows)
    return None
