"""Has a judge score the rows of a benchmark."""

from __future__ import annotations

import asyncio
import collections
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mm15_jax.config.names import unknown
from mm15_jax.evaluation.aggregated import Row
from mm15_jax.evaluation.judges.client import Connection, Judge, Reply
from mm15_jax.evaluation.judges.protocols import PROTOCOLS, Prompt, Protocol, Question
from mm15_jax.evaluation.judges.reading import Values, said
from mm15_jax.evaluation.judges.transcripts import Transcripts, request_key

Progress = Callable[[int, int], None]
Found = tuple[Values | None, Reply]


def judge_rows(
    rows: Sequence[Row],
    protocol: str,
    client: Judge,
    cache_path: pathlib.Path | str,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Scores rows by a language model.

    A reply that cannot be read counts as 0, and the row says so ("failed"). What the judge says is
    kept in a file of JSON lines, of which the next call reads what it can.

    Args:
      rows: as `answers.make_row` gives them, with the protocol's facts under "judge".
      protocol: a name of `PROTOCOLS`.
      client: of `judge_from_environment`.
      cache_path: the transcripts, such as `<run_dir>/eval/<benchmark>.judge.jsonl`.
      progress: called with (questions answered, all).

    Returns:
      The rows in their order, with "score" (0 to 1) and "judgement": "score", the judge's "reply",
      whether it "failed", the "model" as the server names it, and "parts", the values that the
      protocol reads, on its own scale.

    Raises:
      ValueError: no such protocol, or a row lacks a fact.
      JudgeError: the judge gave no reply; what was judged is kept.
    """
    if protocol not in PROTOCOLS:
        raise unknown("judge's protocol", protocol, PROTOCOLS)
    chosen = PROTOCOLS[protocol]
    questions = chosen.questions(rows)
    with Transcripts(cache_path) as transcripts:
        found = asyncio.run(_ask_all(questions, chosen, client, transcripts, progress))
    of_row: list[list[tuple[str, Found]]] = [[] for _ in rows]
    for question, outcome in zip(questions, found, strict=True):
        for place in question.rows:
            of_row[place].append((question.aspect, outcome))
    return [_judged(row, chosen, results) for row, results in zip(rows, of_row, strict=True)]


async def _ask_all(
    questions: Sequence[Question],
    protocol: Protocol,
    judge: Judge,
    transcripts: Transcripts,
    progress: Progress | None,
) -> list[Found]:
    """Values and reply of each question, in their order."""
    # Two rows may ask the very same: the second waits for the first one's reply.
    one_at_a_time: dict[str, asyncio.Lock] = collections.defaultdict(asyncio.Lock)
    done = 0

    async def reply_to(connection: Connection, prompt: Prompt) -> Reply:
        request = judge.model, prompt.messages, prompt.parameters
        key = request_key(*request)
        async with one_at_a_time[key]:
            reply = transcripts.find(key)
            if reply is None:
                reply = await connection.ask(prompt.messages, prompt.parameters)
                transcripts.add(key, *request, reply)
        return reply

    async def answer(connection: Connection, question: Question) -> Found:
        nonlocal done
        for prompt in question.prompts:
            reply = await reply_to(connection, prompt)
            values = None if reply.refused else protocol.read(said(reply.text))
            if values is not None:
                break
        done += 1
        if progress:
            progress(done, len(questions))
        return values, reply

    try:
        async with judge.connect() as connection, asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(connection, question)) for question in questions]
    except BaseExceptionGroup as errors:  # the first stops the others
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def _judged(row: Row, protocol: Protocol, results: Sequence[tuple[str, Found]]) -> dict[str, Any]:
    """A row with its score and judgement."""
    assert results, f"nothing was asked about {row.get('key')}"
    scores, parts, replies = [], dict[str, float](), []
    for aspect, (found, reply) in results:
        values: Mapping[str, float] = protocol.failed if found is None else found
        scores.append(0.0 if found is None else protocol.score(values))
        parts.update({aspect: values["score"]} if aspect else values)
        text = reply.refused or reply.text
        replies.append(f"{aspect}: {text}" if aspect else text)
    score = sum(scores) / len(scores)
    judgement = {
        "score": score,
        "reply": "\n".join(replies),
        "failed": any(found is None for _, (found, _) in results),
        "model": ", ".join(sorted({reply.model for _, (_, reply) in results})),
        "parts": parts,
    }
    return {**row, "score": score, "judgement": judgement}
