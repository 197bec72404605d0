"""Log-probabilities of given continuations, batched with the shapes of generation.

Axes: B rows, S tokens (padded).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from mm15_jax.config.schema import ModelConfig
from mm15_jax.infer.batching import Prompt, group_prompts
from mm15_jax.infer.generate import Generator, Progress
from mm15_jax.inputs.example import Example, Segment, Text
from mm15_jax.inputs.formatting import Formatted, answer_position
from mm15_jax.model import mllm
from mm15_jax.train.loss import weighted_cross_entropy

_CHUNK = 2048  # tokens whose logits exist at once


@dataclasses.dataclass(frozen=True)
class Score:
    """How likely a continuation is.

    Attributes:
      log_probability: the natural logarithm of its probability, given what is before it.
      is_greedy: whether each of its tokens is the likeliest at its place, of the whole vocabulary.
      tokens: how many it has; the end token is not one of them.
    """

    log_probability: float
    is_greedy: bool
    tokens: int


def continue_prompt(
    generator: Generator, example: Example, continuation: str, *, index: int = 0, before: str = ""
) -> Prompt:
    """A prompt with what is to be scored after it.

    A text is not encoded as its two parts are. Where the prompt ends in a text that goes on
    (`before`), both are encoded together and the continuation has what exceeds the prompt's own
    tokens, as lm-evaluation-harness cuts it.

    Args:
      generator: reads the example.
      example: answers in it are not read.
      continuation: what is scored.
      index: the prompt's place in the caller's list.
      before: the text that the prompt ends in, "" where a marker or a picture ends it.
    """
    encode = generator.tokenizer.encode
    ids = encode(before + continuation)[len(encode(before)) :] if before else []
    ids = ids or encode(continuation)  # a token may reach over the seam
    formatted = generator.format(example).formatted
    if not len(formatted.tokens):  # as the harnesses: an empty text follows an end token
        formatted = _plain([generator.tokenizer.eos_id], scored=0)
    tail = _plain(ids, scored=len(ids))
    joined = Formatted(
        np.concatenate([formatted.tokens, tail.tokens]),
        np.concatenate([formatted.loss_weights, tail.loss_weights]),
        np.concatenate([formatted.vision_index, tail.vision_index]),
        formatted.tilings,
        formatted.pictures,
    )
    return Prompt(index, example, joined)


def answer_prompt(generator: Generator, example: Example, *, index: int = 0) -> Prompt:
    """An example up to its answer, the one that generation is asked for: that is what is scored.

    A conversation's has the end token that a right answer ends with; a document's has not, as a
    document goes on.

    Args:
      generator: reads the example.
      example: what follows its answer is not read.
      index: the prompt's place in the caller's list.

    Raises:
      ValueError: the example has no answer.
    """
    place, is_turn = answer_position(example.segments)
    if place == len(example.segments):
        raise ValueError(f"{example.source} {example.key} has no answer that could be scored")

    def with_loss(segment: Segment, loss: bool) -> Segment:
        return dataclasses.replace(segment, loss=loss) if isinstance(segment, Text) else segment

    before = [with_loss(segment, False) for segment in example.segments[:place]]
    segments = (*before, with_loss(example.segments[place], True))
    prompt = generator.format(
        dataclasses.replace(example, segments=segments), index, for_generation=False
    )
    if not is_turn:
        prompt.formatted.loss_weights[-1] = 0.0
    return prompt


def token_prompt(tokens: Sequence[int], scored: int, *, index: int = 0) -> Prompt:
    """Plain tokens, of which the last `scored` are to be scored."""
    assert 0 <= scored < max(len(tokens), 1), "the first token follows nothing"
    return Prompt(index, Example((), "tokens", str(index), "", {}), _plain(tokens, scored))


def _plain(tokens: Sequence[int], scored: int) -> Formatted:
    """Text alone, whose last `scored` tokens have loss."""
    size = len(tokens)
    weights = np.zeros(size, np.float32)
    weights[size - scored :] = 1.0
    return Formatted(np.array(tokens, np.int32), weights, np.full(size, -1, np.int32), (), ())


def score_prompts(
    generator: Generator,
    prompts: Sequence[Prompt],
    *,
    batch_size: int = 64,
    progress: Progress | None = None,
) -> list[Score]:
    """Scores the tokens that have loss, of each prompt.

    Args:
      generator: its parameters, model, settings and compiled programs.
      prompts: of `continue_prompt` or `token_prompt`, with indices from 0 in their order.
      batch_size: most rows at once; scores do not depend on it.
      progress: called with (scored, all) after each batch.

    Returns:
      One score a prompt, in their order.

    Raises:
      ValueError: `batch_size` is not positive.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}, expected 1 or more")
    assert [prompt.index for prompt in prompts] == list(range(len(prompts)))
    scores: dict[int, Score] = {}
    for group in group_prompts(prompts, generator.rows_for(len(prompts), batch_size)):
        batch = generator.to_devices(group, loss_weights=True)
        program = generator.program(
            ("score", group.rows, group.length, group.tiles),
            functools.partial(sum_scores, config=generator.model, dtype=generator.dtype),
            (generator.params, batch),
            out_shardings=generator.whole,
        )
        sums, greedy = (np.asarray(x) for x in program(generator.params, batch))
        for row, prompt in enumerate(group.prompts):
            count = int(np.count_nonzero(prompt.formatted.loss_weights))
            scores[prompt.index] = Score(float(sums[row]), bool(greedy[row]), count)
        if progress:
            progress(len(scores), len(prompts))
    return [scores[index] for index in range(len(prompts))]


def sum_scores(
    params: Any, batch: Mapping[str, Array], *, config: ModelConfig, dtype: Any
) -> tuple[Array, Array]:
    """Sums of log-probabilities of the tokens that have loss, of each row.

    Args:
      params: of `mllm.init_params`.
      batch: as for `mllm.forward`, and loss_weights float32[B, S]; only zero or not counts.
      config: the model.
      dtype: of the computation.

    Returns:
      float32[B] (0 for rows with no such token), and whether none of them has a likelier rival
      bool[B].
    """
    hidden, _ = mllm.forward(params, batch, config, dtype=dtype, exact=True)

    def of_next(values: Array) -> Array:
        return jnp.pad(values[:, 1:], ((0, 0), (0, 1)))

    scored = of_next(batch["loss_weights"]) > 0
    _, losses, correct = weighted_cross_entropy(
        hidden,
        mllm.output_table(params, config),
        of_next(batch["tokens"]),
        scored.astype(jnp.float32),
        _CHUNK,
    )
    sums = -jnp.sum(jnp.where(scored, losses, 0.0), axis=1)
    return sums, jnp.all((correct > 0) | ~scored, axis=1)
