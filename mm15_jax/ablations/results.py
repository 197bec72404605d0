"""What an ablation gave: scores of each row and draw, kept question by question.

Two rows answer the same questions, so their difference is known better than either score: it is
judged by a paired bootstrap over starts, or seeds where there is one start, and over questions.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from mm15_jax.ablations.answered import NOTE
from mm15_jax.ablations.draws import Draw
from mm15_jax.ablations.measures import benchmarks_of, value
from mm15_jax.ablations.reproduce import commands
from mm15_jax.ablations.runs import Plan
from mm15_jax.ablations.tasks import Task
from mm15_jax.config.names import unknown
from mm15_jax.evaluation.benchmarks import find as find_benchmark
from mm15_jax.evaluation.likelihood import FIELD as LOG_PROBABILITY
from mm15_jax.evaluation.likelihood import has_likelihood
from mm15_jax.evaluation.paper_tables import lookup_of_scores
from mm15_jax.evaluation.results import SCORES, read_scores
from mm15_jax.evaluation.runner import ANSWERS
from mm15_jax.train.metrics import read_rows

RESAMPLES = 2000
LEVEL = 0.95
NO_QUESTIONS = np.zeros(0, np.float32)


@dataclasses.dataclass(frozen=True)
class Cell:
    """One benchmark of one row, drawn once.

    Attributes:
      score: in the benchmark's own 0-100.
      error: standard error of it.
      parts: as the field prints it.
      questions: float32[n], the score of each question, where the benchmark's is their mean; else
        empty, and `error` says how sure it is.
      likelihood: the same of the probability of the right answers; None where it is not known.
    """

    score: float
    error: float
    parts: Mapping[str, float]
    questions: np.ndarray
    likelihood: Cell | None = None


@dataclasses.dataclass(frozen=True)
class RowResult:
    """One row.

    Attributes:
      key, title, x, series: as of the ablation.
      draws: draw -> benchmark -> cell; draws that have not run are absent.
      content: of `Asked.content`; rows of one content differ in nothing but the draw.
      generated: of `Asked.generated`: versions of generated data; empty where not written down.
    """

    key: str
    title: str
    x: float
    series: str
    draws: Mapping[Draw, Mapping[str, Cell]]
    content: str = ""
    generated: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Interval:
    """A difference, and where it lies with 95% certainty.

    Attributes:
      value: in the measure's 0-100.
      low, high: the interval.
      seeds: of each start that both rows were drawn from; where it is one start, the interval is
        of that start alone.
      by_start: start -> the difference there, the mean over its seeds.
    """

    value: float
    low: float
    high: float
    seeds: tuple[int, ...]
    by_start: Mapping[int, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Result:
    """An ablation's result.

    Attributes:
      name, scale: of the ablation.
      commands: that give it, one after the other.
      measures: what is scored.
      rows: those that have run, drawn at least once.
      examples: of each benchmark, at most.
      versions: of what made it.
    """

    name: str
    scale: str
    commands: tuple[str, ...]
    measures: tuple[str, ...]
    rows: tuple[RowResult, ...]
    examples: int
    versions: Mapping[str, str]

    def row(self, key: str) -> RowResult:
        """A row that has run; ValueError names the nearest."""
        for found in self.rows:
            if found.key == key:
                return found
        raise unknown(f"row of {self.name} that has run", key, [row.key for row in self.rows])

    def has(self, *keys: str) -> bool:
        """Whether these rows have run."""
        return set(keys) <= {row.key for row in self.rows}

    @property
    def draws(self) -> tuple[Draw, ...]:
        """Those that every row has."""
        return tuple(sorted(set.intersection(*(set(row.draws) for row in self.rows))))

    @property
    def alike(self) -> Result:
        """With nothing but the draws that every row has: whose scores can be compared.

        It is the result itself where that is all, or nothing.
        """
        draws = self.draws
        if not draws or all(len(row.draws) == len(draws) for row in self.rows):
            return self
        rows = (
            dataclasses.replace(row, draws={draw: row.draws[draw] for draw in draws})
            for row in self.rows
        )
        return dataclasses.replace(self, rows=tuple(rows))

    @property
    def by_likelihood(self) -> Result:
        """With the probability of the right answers for a score; of the draws where it is known.

        Benchmarks of which it says nothing, as many answers are right, keep their scores. Rows
        where it is of no draw are left out.
        """
        rows = []
        for row in self.rows:
            draws = {
                draw: _by_likelihood(cells)
                for draw, cells in row.draws.items()
                if any(cell.likelihood for cell in cells.values())
            }
            if draws:
                rows.append(dataclasses.replace(row, draws=draws))
        return dataclasses.replace(self, rows=tuple(rows))

    def score(self, key: str, measure: str, draw: Draw | None = None) -> float | None:
        """Of one draw, or the mean over starts of each start's; None where something is missing."""
        draws = self.row(key).draws
        return self._mean(key, measure, [draw] if draw is not None else sorted(draws))

    def error(self, key: str, measure: str) -> float | None:
        """Standard error of a row's score over draws and questions, by bootstrap."""
        samples = _samples(self, (key,), measure)
        return None if samples is None else float(np.std(samples[0]))

    def difference(self, key: str, over: str, measure: str) -> Interval | None:
        """`key` minus `over`, paired over draws that both have and over questions."""
        common = sorted(set(self.row(key).draws) & set(self.row(over).draws))
        if not common:
            return None
        samples = _samples(self, (key, over), measure)
        if samples is None:
            return None
        by_start = {}
        for start in sorted({draw.start for draw in common}):
            of = [draw for draw in common if draw.start == start]
            first, second = (self._mean(row, measure, of) for row in (key, over))
            if first is None or second is None:
                return None
            by_start[start] = first - second
        edges = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
        low, high = np.percentile(samples[0] - samples[1], edges)
        value = float(np.mean(list(by_start.values())))
        return Interval(value, float(low), float(high), seeds_by_start(common), by_start)

    def _mean(self, key: str, measure: str, draws: Sequence[Draw]) -> float | None:
        cells = self.row(key).draws
        values = [self._value(cells[draw], measure) for draw in draws]
        if any(v is None for v in values):
            return None
        return float(_shares(draws).mean(axis=0) @ np.array(values))

    def _value(self, cells: Mapping[str, Cell], measure: str) -> float | None:
        return value(measure, self.scale, lookup_of_scores(cells))


def _by_likelihood(cells: Mapping[str, Cell]) -> dict[str, Cell]:
    found = {
        name: cell.likelihood if has_likelihood(find_benchmark(name)) else cell
        for name, cell in cells.items()
    }
    return {name: cell for name, cell in found.items() if cell}


def _samples(result: Result, keys: Sequence[str], measure: str) -> np.ndarray | None:
    """float[rows, RESAMPLES] of a measure: draws and questions taken anew, alike for all rows."""
    rows = [result.row(key) for key in keys]
    draws = sorted(set.intersection(*(set(row.draws) for row in rows)))
    weights = _weights(draws)
    means: list[dict[str, np.ndarray]] = [{} for _ in rows]
    whole = [row.draws[draws[0]] for row in rows]
    for name in benchmarks_of((measure,), result.scale):
        if not all(name in row.draws[draw] for row in rows for draw in draws):
            continue
        cells = [[row.draws[draw][name] for draw in draws] for row in rows]
        for found, sample in zip(means, _resampled(name, cells, weights), strict=True):
            found[name] = sample

    def of(row: int, k: int) -> float | None:
        cells = {name: _moved(whole[row][name], float(s[k])) for name, s in means[row].items()}
        return value(measure, result.scale, lookup_of_scores(cells))

    sampled: list[np.ndarray | None] = []
    for row in range(len(rows)):
        values = [of(row, k) for k in range(RESAMPLES)]
        sampled.append(None if None in values else np.array(values))
    return (
        None if any(s is None for s in sampled) else np.stack([s for s in sampled if s is not None])
    )


def seeds_by_start(draws: Iterable[Draw]) -> tuple[int, ...]:
    """How many seeds each start has, by start."""
    counts = Counter(draw.start for draw in draws)
    return tuple(counts[start] for start in sorted(counts))


def how_often(seeds: Sequence[int]) -> tuple[int, int]:
    """What `seeds_by_start` sorts by: starts, then draws in all."""
    return len(seeds), sum(seeds)


def _shares(draws: Sequence[Draw]) -> np.ndarray:
    """float[units, draws]: the mean that makes each unit, of which draws are a sample.

    A unit is a start, with the mean of its seeds, or a seed where all are from one start: seeds of
    one start vary less than starts do, so they are no sample of what another start would give.
    """
    starts = sorted({draw.start for draw in draws})
    if len(starts) == 1:
        return np.eye(len(draws))
    belongs = np.array([[float(draw.start == start) for draw in draws] for start in starts])
    return belongs / belongs.sum(axis=1, keepdims=True)


def _weights(draws: Sequence[Draw]) -> np.ndarray:
    """float[RESAMPLES, draws]: units drawn anew, as weights of their draws that add up to 1.

    Of n units n - 1 are drawn, whose mean varies as that of n does; n drawn of n vary too little by
    (n - 1) / n, by half with two (Rao and Wu 1988, "Resampling inference with complex survey data",
    JASA 83). Seeds within a start are not drawn again: how starts differ has theirs in it (Davison
    and Hinkley 1997, "Bootstrap methods and their application", 3.8). Of one unit nothing is known
    but its questions.
    """
    shares = _shares(draws)
    count = max(1, len(shares) - 1)
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(shares), size=(RESAMPLES, count))
    return shares[drawn].mean(axis=1)


def _moved(cell: Cell, score: float) -> Cell:
    """The cell with another score; its parts move with the whole."""
    share = score / cell.score if cell.score else 1.0
    return Cell(
        score, cell.error, {name: share * part for name, part in cell.parts.items()}, NO_QUESTIONS
    )


@functools.lru_cache(maxsize=128)
def _times_drawn(benchmark: str, count: int) -> np.ndarray:
    """float32[RESAMPLES, count]: how often each question is drawn, alike for all rows."""
    rng = np.random.default_rng([zlib.crc32(benchmark.encode()), count])
    return rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(np.float32)


def _resampled(
    benchmark: str, cells: Sequence[Sequence[Cell]], weights: np.ndarray
) -> list[np.ndarray]:
    """For each row float[RESAMPLES]: its mean over weighted draws and drawn questions."""
    count = len(cells[0][0].questions)
    samples = []
    if not count or any(len(cell.questions) != count for row in cells for cell in row):
        # Not a mean of questions: the score's own error, each row by itself.
        rng = np.random.default_rng(zlib.crc32(benchmark.encode()))
        for row in cells:
            scores = np.array([cell.score for cell in row])
            errors = np.array([cell.error for cell in row])
            by_draw = scores + rng.normal(size=weights.shape) * errors
            samples.append((by_draw * weights).sum(axis=1))
        return samples
    times = _times_drawn(benchmark, count)
    for row in cells:
        questions = np.stack([cell.questions for cell in row])  # [draws, n]
        by_draw = times @ questions.T / count  # [RESAMPLES, draws]
        samples.append(100 * (by_draw * weights).sum(axis=1))
    return samples


def collect(
    work: Plan, tasks: Sequence[Task], versions: Mapping[str, str], overrides: Sequence[str] = ()
) -> Result:
    """The result of what has run of an ablation.

    Args:
      work: of `runs.plan`.
      tasks: of `tasks_of` it.
      versions: of what made it.
      overrides: that it was planned with.
    """
    # By folder: rows whose runs have the same content share their answers.
    folders = {t.asked.folder: t.folder for t in tasks if t.asked and t.has_answers()}
    rows = []
    for row in work.ablation.rows:
        found = [a for a in work.asked if a.row.key == row.key and a.folder in folders]
        draws = {a.draw: _cells(folders[a.folder], a.benchmarks, a.examples) for a in found}
        if draws:
            said = found[0].content, found[0].generated
            rows.append(RowResult(row.key, row.title, row.x, row.series, draws, *said))
    return Result(
        name=work.ablation.name,
        scale=work.ablation.scale,
        commands=commands(work.ablation, {row.key: row.draws for row in rows}, overrides),
        measures=work.ablation.measures,
        rows=tuple(rows),
        examples=max(asked.examples for asked in work.asked),
        versions=dict(versions),
    )


def _cells(folder: pathlib.Path, benchmarks: Sequence[str], examples: int) -> dict[str, Cell]:
    """Of the first `examples` questions of each (0: all), where a score is the mean of them."""
    scores = {row.name: row for row in read_scores(folder).benchmarks}
    cells = {}
    for name in benchmarks:
        found = scores.get(name)
        if found is None or found.score is None:
            continue
        questions, likely = NO_QUESTIONS, NO_QUESTIONS
        if find_benchmark(name).aggregate == "mean":
            path = folder / ANSWERS / f"{name}.jsonl"
            rows = read_rows(path)[: found.count]
            if len(rows) < found.count:  # rows could not be compared question by question
                raise ValueError(
                    f"{path} has {len(rows)} answers of the {found.count} that {SCORES} has the"
                    f" score of: delete {folder / NOTE}, and `mm15 ablate` asks them again"
                )
            questions = np.array([row["score"] for row in rows], np.float32)
            if found.likelihood is not None:
                likely = np.exp(np.array([row[LOG_PROBABILITY] for row in rows], np.float32))
        likelihood = None
        if found.likelihood is not None:
            likelihood = _cell(found.likelihood, found.likelihood_error, {}, likely, examples)
        cell = _cell(found.score, found.error, found.parts, questions, examples)
        cells[name] = dataclasses.replace(cell, likelihood=likelihood)
    return cells


def _cell(
    score: float, error: float, parts: Mapping[str, float], questions: np.ndarray, examples: int
) -> Cell:
    if 0 < examples < len(questions):  # another call asked more, and their score is kept
        questions = questions[:examples]
        score = 100 * float(questions.mean())
    return Cell(score, error, dict(parts), questions)
