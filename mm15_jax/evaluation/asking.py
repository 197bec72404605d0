"""Asks a model the questions of a benchmark, and keeps every answer at once.

An evaluation that was stopped asks only what has no answer yet. With several processes all of them
ask and know the answers, and one writes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

from mm15_jax.data.storage import Growing
from mm15_jax.evaluation import likelihood
from mm15_jax.evaluation.answers import digest, make_row, save_pictures, write_rows
from mm15_jax.evaluation.metrics import JUDGED
from mm15_jax.evaluation.questions import Questions, Some
from mm15_jax.infer.generate import Generator
from mm15_jax.inputs.example import Example
from mm15_jax.parallel.startup import is_main, wait_for_all
from mm15_jax.train.metrics import read_rows

PICTURES = "pictures"

Progress = Callable[[str, int, int], None]


class Answers(Protocol):
    """What an evaluation needs of a generator: `mm15_jax.infer.generate.Generator` is one."""

    def fingerprint(self) -> str:
        """Differs when the answers may."""

    def stream(
        self,
        examples: Sequence[Example],
        *,
        max_new_tokens: int,
        batch_size: int,
        stops: Sequence[str],
    ) -> Iterator[tuple[int, str]]:
        """Yields (index, answer) of each example, in any order.

        What an answer has behind the first of the `stops` is not read.
        """


@dataclasses.dataclass(frozen=True)
class Asked:
    """What asking gave.

    Attributes:
      rows: of all questions in order.
      others: rows of the same model that are kept, of questions beyond the limit.
      answered: how many of `rows` were answered now.
    """

    rows: list[dict[str, Any]]
    others: list[dict[str, Any]]
    answered: int


@dataclasses.dataclass(frozen=True)
class Asking:
    """How questions are asked, the same for all benchmarks.

    Attributes:
      generator: gives the answers.
      directory: of the answers' files.
      batch_size: speed only.
      show: questions of each benchmark whose pictures are kept for the report.
      show_mistakes: wrong answers beside them, the first ones.
      progress: called with (benchmark, answered, all).
    """

    generator: Answers
    directory: pathlib.Path
    batch_size: int
    show: int
    show_mistakes: int
    progress: Progress | None

    def ask(
        self,
        name: str,
        questions: Questions,
        *,
        model: str,
        max_new_tokens: int,
        same_data: bool = True,
        likelihoods: bool = False,
    ) -> Asked:
        """Has the questions answered that no answer is kept of.

        Args:
          name: of the benchmark.
          questions: what is asked.
          model: whose answers these are; others' on disk are asked for anew.
          max_new_tokens: an answer is cut there.
          same_data: whether what is kept beyond a limit is of the data that is asked about.
          likelihoods: whether to score the right answers too; `generator` is a `Generator` then.
        """
        path = self.directory / f"{name}.jsonl"
        kept = {
            (row["key"], row["example"]): row
            for row in read_rows(path)
            if row.get("model") == model
        }
        answers: dict[int, str] = {}
        judged: dict[int, dict[str, Any]] = {}  # a judge's, which stay without one too
        likely: dict[int, float] = {}
        others = dict(kept)
        for number, example in enumerate(questions):
            row = kept.get((example.key, digest(example)))
            if row is not None:
                answers[number] = questions.answer_in(row["answer"])
                if row.get("judgement") and answers[number] == row["answer"]:
                    judged[number] = {key: row[key] for key in ("score", "judgement")}
                if likelihood.FIELD in row:
                    likely[number] = row[likelihood.FIELD]
                others.pop((example.key, digest(example)), None)
        waiting = [number for number in range(len(questions)) if number not in answers]
        wait_for_all(f"{name}: what is answered")  # before the file is written anew

        def row_of(number: int) -> dict[str, Any]:
            example = questions[number]
            row = make_row(name, questions.index(number), example, answers[number], model)
            if number in likely:
                row[likelihood.FIELD] = likely[number]
            return row | judged.get(number, {}) if row["metric"] == JUDGED else row

        with contextlib.ExitStack() as stack:
            log = None
            if is_main():
                growing = stack.enter_context(Growing(self.directory))
                # Drops stale and torn lines before more are added.
                write_rows(growing.folder / path.name, list(kept.values()))
                log = stack.enter_context((growing.folder / path.name).open("a"))

            def keep(number: int) -> None:
                if log:
                    log.write(json.dumps(row_of(number), ensure_ascii=False) + "\n")
                    log.flush()

            stream = self.generator.stream(
                Some(questions, waiting),
                max_new_tokens=max_new_tokens,
                batch_size=self.batch_size,
                stops=questions.stops,
            )
            for place, answer in stream:
                number = waiting[place]
                answers[number] = questions.answer_in(answer)
                keep(number)
                if self.progress:
                    self.progress(name, len(answers), len(questions))
            unknown = [n for n in range(len(questions)) if likelihoods and n not in likely]
            found = likelihood.log_probabilities(
                cast(Generator, self.generator),
                Some(questions, unknown),
                batch_size=self.batch_size,
            )
            for place, log_probability in found:
                likely[unknown[place]] = log_probability
                keep(unknown[place])  # behind the line without: the last one of a question counts
                if self.progress:
                    self.progress(f"{name}, likelihood", len(likely), len(questions))
        # Scored anew, also what was kept: a metric may have been mended since.
        rows = [row_of(number) for number in range(len(questions))]
        # Keys are those of one data set.
        asked = {(row.get("subset"), row["key"]) for row in rows}
        # Without a limit nothing is beyond; nor is it where an example is not what it was.
        stale = not (questions.limited and same_data) or any(
            (row.get("subset"), row["key"]) in asked for row in others.values()
        )
        return Asked(rows, [] if stale else list(others.values()), len(waiting))

    def keep(
        self,
        name: str,
        questions: Questions,
        rows: list[dict[str, Any]],
        others: Sequence[dict[str, Any]],
    ) -> None:
        """Writes the rows as they are scored, with pictures of the first ones and of mistakes.

        Args:
          name: of the benchmark.
          questions: that were asked.
          rows: theirs, scored.
          others: of `ask`; they come last.
        """
        if not is_main():
            return
        mistakes = [n for n, row in enumerate(rows) if (row["score"] or 0) < 1]
        for number in {*range(min(self.show, len(rows))), *mistakes[: self.show_mistakes]}:
            folder = self.directory / PICTURES / name
            rows[number]["pictures"] = save_pictures(folder, number, questions[number])
        write_rows(self.directory / f"{name}.jsonl", [*rows, *others])
