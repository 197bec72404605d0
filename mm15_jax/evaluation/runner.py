"""Runs benchmarks: answers to held-out questions, scores, averages, scores.json."""

from __future__ import annotations

import functools
import logging
import pathlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mm15_jax.data.inventory import check_data_dir
from mm15_jax.data.storage import to_path
from mm15_jax.evaluation.aggregated import judged_by
from mm15_jax.evaluation.aggregates import AGGREGATES
from mm15_jax.evaluation.asking import Answers, Asking, Progress
from mm15_jax.evaluation.benchmarks import TABLE, Benchmark, resolve
from mm15_jax.evaluation.likelihood import aggregated, has_likelihood
from mm15_jax.evaluation.questions import Questions, folders, shots_folder
from mm15_jax.evaluation.results import (
    SCORES,
    BenchmarkResult,
    Results,
    for_split,
    read_scores,
    write_scores,
)
from mm15_jax.parallel.startup import is_main, wait_for_all

if TYPE_CHECKING:
    from mm15_jax.evaluation.judges.client import Judge

log = logging.getLogger(__name__)

ANSWERS = "eval"  # folder of the answers in the run directory

Baselines = Mapping[str, float | None] | Callable[[str, str], float | None]


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
    show_mistakes: int = 24,
    judge: Judge | None = None,
    likelihoods: bool = False,
    progress: Progress | None = None,
) -> Results:
    """Answers and scores held-out examples.

    Writes `<out_dir>/eval/<benchmark>.jsonl` (a row an example, as batches finish), the pictures of
    the first examples for the report, and `<out_dir>/scores.json`; for a split other than "test",
    eval_<split>/ and scores_<split>.json. Answers that the same model has given to the same
    examples are not asked for again. Of that model scores.json keeps the scores on other
    benchmarks, and a score of more questions than `limit` lets be asked now, as long as their
    answers are there. It is written after each benchmark: what stops the next takes nothing away.

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
      show_mistakes: wrong answers whose pictures are kept beside them.
      judge: scores what needs a language model to score; without one these benchmarks are answered
        and have no score.
      likelihoods: whether to find out how likely the right answers are, of benchmarks of which
        `has_likelihood` says so; `generator` is a `Generator` then. What is known of a model's
        stays, also without.
      progress: called with (benchmark, answered, all), ("BENCHMARK, likelihood", known, all) and
        ("BENCHMARK, judged", judged, all).

    Returns:
      The scores; with several processes those of a judge are in the first one's alone.

    Raises:
      ValueError: an unknown benchmark, a data set that is not prepared, no scored example in it,
        or a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"the limit of examples is {limit}, expected 1 or more")
    out_dir = to_path(out_dir)
    # All data sets are opened first: one that is missing is told before the first is answered.
    chosen, absent = open_questions(benchmarks, data_dir, split, limit)
    asking = Asking(
        generator=generator,
        directory=out_dir / for_split(ANSWERS, split),
        batch_size=batch_size,
        show=show,
        show_mistakes=show_mistakes,
        progress=progress,
    )
    model = generator.fingerprint()
    order = [benchmark.name for benchmark in TABLE]
    # Before the first is asked: then all processes have read what the first one writes anew.
    results = _earlier_rows(out_dir, split, f"{model}-{max_new_tokens}")
    for benchmark, questions in chosen:
        began = time.perf_counter()
        new_tokens = benchmark.max_new_tokens or max_new_tokens
        data, before = questions.data, results.get(benchmark.name)
        if before and before.data not in ("", data):  # says nothing of these questions
            before = None
        asked = asking.ask(
            benchmark.name,
            questions,
            model=f"{model}-{new_tokens}",
            max_new_tokens=new_tokens,
            same_data=before is not None or benchmark.name not in results,
            likelihoods=likelihoods and has_likelihood(benchmark),
        )
        rows, judged = asked.rows, dict[str, Any]()
        if benchmark.judge:
            rows, judged = _judge(benchmark, rows, judge, asking.directory, progress)
        asking.keep(benchmark.name, questions, rows, asked.others)
        scored = all(row["score"] is not None for row in rows)
        found = AGGREGATES[benchmark.aggregate](rows) if scored else None
        likely = aggregated(benchmark, rows)
        result = BenchmarkResult(
            name=benchmark.name,
            category=benchmark.category,
            suite=benchmark.suite,
            measures=benchmark.measures,
            score=found.score if found else None,
            error=found.error if found else 0.0,
            parts=found.parts if found else {},
            count=len(rows),
            baseline=_baseline(benchmark, split, baselines, rows),
            seconds=round(time.perf_counter() - began, 3) if asked.answered else 0.0,
            answered=asked.answered,
            averaged=benchmark.averaged,
            data=data,
            likelihood=likely.score if likely else None,
            likelihood_error=likely.error if likely else 0.0,
            **judged,
        )
        results[benchmark.name] = _fuller(before, result, answers=len(rows) + len(asked.others))
        outcome = Results(
            tuple(sorted(results.values(), key=lambda row: order.index(row.name))),
            split,
            f"{model}-{max_new_tokens}",
            tuple(absent),
        )
        if is_main():
            write_scores(out_dir, outcome)
    # The first may be at it for long, with a judge: a process that ends waits for it a minute, and
    # then ends it too.
    wait_for_all("scores")
    return outcome


def _fuller(
    before: BenchmarkResult | None, now: BenchmarkResult, *, answers: int
) -> BenchmarkResult:
    """The result of this call, or the one of the same model before it, where that says more.

    Args:
      before: None where there was none.
      now: of this call.
      answers: how many are on disk; a result whose answers are gone does not stay.
    """
    if before is None or not now.count < before.count <= answers:
        return now
    if before.score is None and now.score is not None:
        return now
    if is_main():
        log.info("%s: the score of %d questions stays", now.name, before.count)
    return before


def _judge(
    benchmark: Benchmark,
    rows: list[dict[str, Any]],
    judge: Judge | None,
    directory: pathlib.Path,
    progress: Progress | None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows with a judge's scores, and what the result says of it; as they are without a judge.

    Of several processes the first asks the judge. Without one what was judged before stays.
    """
    if judge is None or not is_main():
        if not rows or any("judgement" not in row for row in rows):
            return rows, {}
        name, failures = judged_by(rows)
        return rows, {"judge": name, "failures": failures}
    from mm15_jax.evaluation.judges.judging import judge_rows  # an HTTP client

    path = directory / f"{benchmark.name}.judge.jsonl"
    told = functools.partial(progress, f"{benchmark.name}, judged") if progress else None
    rows = judge_rows(rows, benchmark.judge, judge, path, told)
    name, failures = judged_by(rows)
    if failures == len(rows):
        log.warning(
            "%s: none of %d replies of the judge %s has a score that can be read, so there is none"
            " (docs/judges.md)", benchmark.name, failures, name,
        )  # fmt: skip
        rows = [{**row, "score": None} for row in rows]
    return rows, {"judge": name, "failures": failures}


def open_questions(
    benchmarks: Iterable[str], data_dir: pathlib.Path | str, split: str, limit: int | None
) -> tuple[list[tuple[Benchmark, Questions]], list[str]]:
    """Benchmarks with their questions, and the names of those of a group whose data is not there.

    One that is named by itself is run, or answered with what to prepare; of a group (a category, a
    suite, "all") what is prepared is run, unless nothing is.

    Args:
      benchmarks: names, categories, suites or "all", as `resolve` reads them.
      data_dir: where the data sets are prepared.
      split: as of `questions.folders`.
      limit: as of `Questions`.

    Raises:
      ValueError: an unknown benchmark, a data set that is not prepared, or no scored example in it.
    """
    names = list(benchmarks)
    chosen = resolve(names)
    data_dir = check_data_dir(data_dir, [part.data_set for b in chosen for part in b.data_sets])
    there = {
        b.name: all(
            folder.is_dir()
            for folder in (*(f for _, f in folders(b, data_dir, split)), shots_folder(b, data_dir))
            if folder
        )
        for b in chosen
    }
    kept = [b for b in chosen if there[b.name] or b.name in names] or list(chosen)
    opened = [(b, Questions(b, data_dir, split, limit)) for b in kept]
    return opened, [b.name for b in chosen if b not in kept]


def _earlier_rows(out_dir: pathlib.Path, split: str, model: str) -> dict[str, BenchmarkResult]:
    """What the same model has scored before, by benchmark, of those that still exist."""
    if not (out_dir / for_split(SCORES, split)).is_file():
        return {}
    earlier = read_scores(out_dir, split)
    return {row.name: row for row in earlier.benchmarks} if earlier.model == model else {}


def _baseline(
    benchmark: Benchmark, split: str, given: Baselines | None, rows: Sequence[Mapping[str, Any]]
) -> float | None:
    if given is not None:
        return given(benchmark.name, split) if callable(given) else given.get(benchmark.name)
    if benchmark.suite.startswith("mini"):
        from mm15_jax.data.miniature import trivial_baseline  # draws pictures: not free to import

        return trivial_baseline(benchmark.name, split)
    if all(row["metric"] == "multiple_choice" for row in rows):
        return 100 * sum(1 / len(row["choices"]) for row in rows) / len(rows)
    return None
