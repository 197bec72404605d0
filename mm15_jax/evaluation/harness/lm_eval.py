"""A run as the model "mm15" of lm-evaluation-harness (0.4.9 and later).

    python -m mm15_jax.evaluation.harness.lm_eval run --model mm15 \
        --model_args run_dir=runs/quickstart --tasks TASK [their other flags]

Without `--apply_chat_template` a prompt is a document that the model goes on with; with it, a
conversation that the assistant answers, as SFT trains it. Pictures stand where the prompt has
"<image>", or before it.
"""

from __future__ import annotations

import re
from typing import Any

from lm_eval import utils
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from tqdm import tqdm

from mm15_jax.evaluation.harness.run_model import RunModel, to_answer, with_pictures
from mm15_jax.infer.batching import Prompt
from mm15_jax.infer.score import Score, continue_prompt, score_prompts, token_prompt
from mm15_jax.inputs.example import Example, Segment, Text

# The harness hands a conversation on as one text. Turns are told apart by control characters, which
# no data has, and become the markers of the run's own tokenizer: text never does.
_TURN = "\x1d{role}\x1e"
_TURNS = re.compile("\x1d(user|assistant|system)\x1e")


@register_model("mm15")
class MM15(LM):
    """Answers and scores with the newest parameters of a run."""

    MULTIMODAL = True

    def __init__(
        self,
        run_dir: str = "",
        batch_size: int | str = 32,
        max_gen_toks: int = 256,
        max_length: int = 0,
        seed: int = 0,
        device: str | None = None,
        max_batch_size: int | None = None,
        **overrides: Any,
    ):
        """Loads a run.

        Args:
          run_dir: a run directory, or a chain's, of which the last stage answers.
          batch_size: most rows at once.
          max_gen_toks: new tokens, where the task says nothing.
          max_length: tokens of a window of `loglikelihood_rolling`; 0 for those of training.
          seed: of sampling.
          device: not used; JAX_PLATFORMS chooses.
          max_batch_size: not used.
          **overrides: fields of `eval` of the run's experiment, such as n_max.

        Raises:
          ValueError: no such run or field.
        """
        super().__init__()
        self.run = RunModel(
            run_dir, batch_size=batch_size, max_new_tokens=max_gen_toks, seed=seed, **overrides
        )
        self.max_length = int(max_length) or self.run.sequence_length
        if self.max_length < 2:
            raise ValueError(f"max_length is {max_length}, expected 2 tokens or more")

    @property
    def tokenizer_name(self) -> str:
        """Names the run's tokenizer in the harness's caches."""
        return self.run.generator.tokenizer.fingerprint

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """What the harness writes into its results."""
        return "mm15" if chat_template else None

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """A conversation as one text, which `_read` takes apart."""
        turns = [_TURN.format(role=turn["role"]) + turn["content"] for turn in chat_history]
        return "".join(turns) + (_TURN.format(role="assistant") if add_generation_prompt else "")

    def loglikelihood(self, requests, disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Of each (context, continuation): its log-probability, and whether it is greedy."""
        prompts = []
        for index, request in enumerate(requests):
            context, continuation, *more = request.args
            if not context.endswith("\x1e"):  # the space before a word belongs to the word
                kept = context.rstrip()
                context, continuation = kept, context[len(kept) :] + continuation
            else:
                continuation = continuation.lstrip()
            example = _read(context, _pictures(more), str(index))
            before = _last_text(example)
            prompts.append(
                continue_prompt(
                    self.run.generator, example, continuation, index=index, before=before
                )
            )
        found = self._score(prompts, disable_tqdm)
        answers = [(score.log_probability, score.is_greedy) for score in found]
        for request, answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial("loglikelihood", request.args, answer)
        return answers

    def loglikelihood_rolling(self, requests, disable_tqdm: bool = False) -> list[float]:
        """Of each text, in windows that each begin with as much of what is before as fits."""
        prompts: list[Prompt] = []
        owners = []
        tokenizer = self.run.generator.tokenizer
        for place, request in enumerate(requests):
            (text,) = request.args
            windows = utils.get_rolling_token_windows(
                token_list=tokenizer.encode(text),
                prefix_token=tokenizer.eos_id,
                max_seq_len=self.max_length - 1,  # a window has one token more, its first
                context_len=1,
            )
            for context, scored in map(utils.make_disjoint_window, windows):
                tokens = [*context, *scored]
                prompts.append(token_prompt(tokens, len(scored), index=len(prompts)))
                owners.append(place)
        totals = [0.0] * len(requests)
        for place, score in zip(owners, self._score(prompts, disable_tqdm), strict=True):
            totals[place] += score.log_probability
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def generate_until(self, requests, disable_tqdm: bool = False) -> list[str]:
        """Answers each (context, options), up to its first stop string."""
        examples = [
            _read(request.args[0], _pictures(request.args[2:]), str(index))
            for index, request in enumerate(requests)
        ]
        with tqdm(total=len(requests), desc="Answers", disable=disable_tqdm) as bar:
            answers = self.run.answer(
                examples, [request.args[1] for request in requests], bar.update
            )
        for request, answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, answer)
        return answers

    def _score(self, prompts: list[Prompt], disable_tqdm: bool) -> list[Score]:
        with tqdm(total=len(prompts), desc="Scores", disable=disable_tqdm) as bar:
            return score_prompts(
                self.run.generator,
                prompts,
                batch_size=self.run.batch_size,
                progress=lambda done, _: bar.update(done - bar.n),
            )


def _pictures(more: Any) -> list[Any]:
    """The pictures of a request's last argument; a task may give one or a list."""
    visual = more[0].get("visual") if more else None
    if visual is None:
        return []
    return list(visual) if isinstance(visual, (list, tuple)) else [visual]


def _read(context: str, pictures: list[Any], key: str) -> Example:
    """A context as an example: a document, or turns as `apply_chat_template` wrote them."""
    head, *rest = _TURNS.split(context)
    if not rest:
        return to_answer(with_pictures(head, pictures, "document"), key, chat=False)
    segments: list[Segment] = []
    turns = list(zip(rest[::2], rest[1::2], strict=True))
    if head:  # a harness's own prefix
        turns.insert(0, ("user", head))
    marked = any("<image>" in text for _, text in turns)
    for role, text in turns:
        count = text.count("<image>")
        if not marked and role == "user":  # before the first question
            count, marked = len(pictures), True
        segments += with_pictures(text, pictures[:count], role)
        pictures = pictures[count:]
    if pictures:
        raise ValueError(f"a conversation has {len(pictures)} pictures more than <image>s")
    return to_answer(segments, key, chat=True)


def _last_text(example: Example) -> str:
    """The text that a continuation goes on with; "" after a marker or a picture."""
    before = example.segments[-2] if len(example.segments) > 1 else None
    if isinstance(before, Text) and before.role == example.segments[-1].role:
        return before.text
    return ""


def main() -> None:
    """The harness's own command, which then knows the model."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()


if __name__ == "__main__":
    main()
