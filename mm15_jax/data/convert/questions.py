"""Examples of question answering: short answers, choices, dialogues about a picture, long answers.

Training and evaluation splits have the same shape; only `Maker.dialogue` is for training alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.picture_files import read_picture
from mm15_jax.data.convert.segments import conversation
from mm15_jax.data.convert.video_files import read_video
from mm15_jax.data.preparation import DataError
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image, Video

Shown = Image | Video  # what a question is about


def most_common(answers: Sequence[str]) -> str:
    """The answer that most people gave, the first of those in a tie."""
    return Counter(answers).most_common(1)[0][0]


def texts_of(answers: Any, what: str = "answer") -> list[str]:
    """Answers as texts without the empty ones: a text, a number, or a list of them.

    Raises:
      DataError: if nothing is left.
    """
    values = answers if isinstance(answers, list | tuple) else [answers]
    found = [str(value).strip() for value in values if value is not None]
    found = [text for text in found if text]
    if not found:
        raise DataError(f"no {what}")
    return found


def _is_letter(option: str) -> bool:
    return len(option) == 1 and option.isalpha()


def unmistakable(options: Sequence[str]) -> list[str]:
    """Options as metadata "choices" of a lettered question, so that a letter names one of them.

    They are as given, unless one is a letter itself: then each has its own before it ("A. C").
    """
    if not any(_is_letter(option.strip(" .()")) for option in options):
        return list(options)
    return [f"{prompts.letter_of(number)}. {option}" for number, option in enumerate(options)]


@dataclass(frozen=True)
class Maker:
    """Makes the examples of one split of a data set."""

    source: Source
    name: str
    category: str
    split: str

    @property
    def trains(self) -> bool:
        """Whether the split is for training."""
        return self.split == "train"

    def picture(self, *names: str) -> Image:
        """The picture of the first name that is there: publishers move their folders.

        Raises:
          DataError: if there is none, or it is not readable.
        """
        return read_picture(self.source, names)

    def video(self, *names: str, excerpt: tuple[float, float] | None = None) -> Video:
        """The clip of the first name that is there: a video file, or a folder of frames.

        Raises:
          DataError: if there is none, or it is not readable.
        """
        return read_video(self.source, names, excerpt=excerpt)

    def example(
        self,
        key: Any,
        images: Shown | Sequence[Shown],
        turns: Sequence[tuple[str, str]],
        **metadata: Any,
    ) -> Example:
        """Pictures, then questions and answers.

        Raises:
          DataError: if a question or an answer is empty.
        """
        pictures = [images] if isinstance(images, Image | Video) else list(images)
        if not turns or not all(q.strip() and a.strip() for q, a in turns):
            raise DataError("an empty question or answer")
        segments = conversation(pictures, turns)
        return Example(segments, self.name, str(key), self.category, metadata)

    def short(
        self,
        key: Any,
        images: Shown | Sequence[Shown],
        question: str,
        answers: Any,
        metric: str,
        *,
        prompt: str = prompts.SHORT_ANSWER,
        target: str = "",
        **metadata: Any,
    ) -> Example:
        """A question with a short answer: trained on the target, or what most people answered."""
        references = texts_of(answers)
        target = target or most_common(references)
        answer = references if len(references) > 1 else references[0]
        turns = [(question.strip() + prompt, target)]
        return self.example(key, images, turns, answer=answer, metric=metric, **metadata)

    def choice(
        self,
        key: Any,
        images: Shown | Sequence[Shown],
        question: str,
        choices: Sequence[Any],
        correct: int,
        *,
        always_lettered: bool = False,
        **metadata: Any,
    ) -> Example:
        """A question with lettered choices, the answer a letter.

        Choices that are letters themselves (of parts of a diagram) are listed as they are, and the
        answer is the choice; but not where `always_lettered`, for benchmarks whose evaluators
        letter every question. Such choices have their letter in the metadata too ("A. C"): an
        answer "C" then means the third choice, never the choice "C".

        Raises:
          DataError: if the correct one is none of the choices.
        """
        options = [str(choice).strip() for choice in choices]
        if not isinstance(correct, int) or not 0 <= correct < len(options):
            raise DataError(f"the correct choice is {correct!r} of {len(options)}")
        letters = any(_is_letter(option) for option in options)
        if letters and not always_lettered:
            asked, answer = prompts.listed(question.strip(), options), options[correct]
        else:
            asked = prompts.lettered(question.strip(), options)
            answer = prompts.letter_of(correct)
        if always_lettered:
            options = unmistakable(options)
        facts = {"answer": answer, "metric": "multiple_choice", "choices": options}
        return self.example(key, images, [(asked, answer)], **facts, **metadata)

    def dialogue(
        self,
        key: Any,
        images: Shown | Sequence[Shown],
        questions: Sequence[tuple[str, str]],
        prompt: str = prompts.SHORT_ANSWER,
    ) -> Example:
        """Several questions on one picture; the first says how to answer, as in LLaVA-1.5."""
        (first, answer), *rest = questions
        return self.example(key, images, [(first.strip() + prompt, answer), *rest])
