"""A run as the model "mm15" of lmms-eval 0.7.3, by its chat protocol.

    python -m lmms_eval --model mm15 --model_args run_dir=runs/quickstart --tasks chartqa

The harness finds the model by an entry point of this package. Messages become turns, each picture
where its message has it; a video becomes `frames` pictures, uniformly (MM1.5, section 5).
"""

from __future__ import annotations

from typing import Any

from lmms_eval.api.model import lmms
from tqdm import tqdm

from mm15_jax.evaluation.harness.run_model import (
    RunModel,
    as_image,
    read_request,
    to_answer,
    video_frames,
)
from mm15_jax.inputs.example import Example, Segment, Text


class MM15(lmms):
    """Answers with the newest parameters of a run."""

    is_simple = False

    def __init__(
        self,
        run_dir: str = "",
        batch_size: int | str = 32,
        max_new_tokens: int = 256,
        frames: int = 24,
        seed: int = 0,
        device: str | None = None,
        max_batch_size: int | None = None,
        **overrides: Any,
    ):
        """Loads a run.

        Args:
          run_dir: a run directory, or a chain's, of which the last stage answers.
          batch_size: most rows at once.
          max_new_tokens: of an answer, where the task says nothing.
          frames: pictures of a video.
          seed: of sampling.
          device: not used; JAX_PLATFORMS chooses.
          max_batch_size: not used.
          **overrides: fields of `eval` of the run's experiment, such as n_max.

        Raises:
          ValueError: no such run or field, or no frames.
        """
        super().__init__()
        self.frames = int(frames)
        if self.frames < 1:
            raise ValueError(f"frames is {frames}, expected 1 or more")
        self.run = RunModel(
            run_dir, batch_size=batch_size, max_new_tokens=max_new_tokens, seed=seed, **overrides
        )

    def generate_until(self, requests) -> list[str]:
        """Answers each (context, messages of a document, options, document, task, split)."""
        # Options of all requests are read before the first picture is.
        for request in requests:
            read_request(request.args[2], longest=self.run.max_new_tokens)
        answers: list[str] = []
        with tqdm(total=len(requests), desc="Answers", disable=self.rank != 0) as bar:
            # A few batches at a time: the pictures of a whole benchmark do not fit in memory.
            size = 8 * self.run.batch_size
            for start in range(0, len(requests), size):
                some = requests[start : start + size]
                examples = [self._example(request) for request in some]
                options = [request.args[2] for request in some]
                answers += self.run.answer(examples, options, bar.update, first=start)
        for request, answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial(
                "generate_until", (request.args[0], request.args[2]), answer
            )
        return answers

    def loglikelihood(self, requests) -> list[tuple[float, bool]]:
        """Not of the chat protocol, in which tasks only generate."""
        raise ValueError(
            "lmms-eval's chat protocol has no log-likelihoods: run such a task in lm-eval"
        )

    def generate_until_multi_round(self, requests) -> list[str]:
        """Not there: no benchmark of MM1.5 asks in rounds."""
        raise ValueError("mm15 answers once: tasks of several rounds are not supported")

    def _example(self, request: Any) -> Example:
        _, doc_to_messages, _, doc_id, task, split = request.args
        segments: list[Segment] = []
        for message in doc_to_messages(self.task_dict[task][split][doc_id]):
            role, content = message["role"], message["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            for part in parts:
                segments += self._segments(part, role)
        return to_answer(segments, f"{task}/{split}/{doc_id}", chat=True)

    def _segments(self, part: dict[str, Any], role: str) -> list[Segment]:
        """One part of a message's content."""
        kind = part["type"]
        if kind == "text":
            return [Text(part["text"], role=role)] if part["text"] else []
        if kind == "image":
            return [as_image(part["url"], role)]
        if kind == "video":
            frames = video_frames(
                part["url"], self.frames, start=part.get("start_time"), end=part.get("end_time")
            )
            return [as_image(frame, role) for frame in frames]
        raise ValueError(f"a message has {kind}, expected text, image or video")
