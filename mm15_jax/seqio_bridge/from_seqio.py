"""Tasks and mixtures of SeqIO as data sets and mixtures of ours."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import PIL.Image
import seqio

from mm15_jax.config.mixtures import Group, Mixture
from mm15_jax.data.convert.segments import conversation, image_of
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation, examples_of
from mm15_jax.inputs.example import Example, Text

# Features of a SeqIO task as NumPy -> an Example of the source and key that are given.
Convert = Callable[[Mapping[str, Any], str, str], Example]


def preparations(
    mixture_or_task: str,
    category: str,
    *,
    convert: Convert | None = None,
    licence: str = "see publisher",
    version: int = 1,
) -> tuple[Preparation, ...]:
    """Each task of a SeqIO mixture (or the one task) as a data set that `prepare` can write.

    A part is a shard of the task's source. The data set has the task's name.

    Args:
      mixture_or_task: its name in SeqIO's registries.
      category: of the examples, such as "text" or "general".
      convert: features to an Example; by default `question_and_answer`.
      licence: what the publisher states.
      version: raise it when the tasks or `convert` make other examples: what was prepared before
        is then made anew.

    Raises:
      ValueError: if SeqIO knows no such name (SeqIO's own sentence).
    """
    tasks = seqio.get_subtasks(seqio.get_mixture_or_task(mixture_or_task))
    return tuple(_preparation(task, category, convert, licence, version) for task in tasks)


def mixture(name: str) -> Mixture:
    """A SeqIO mixture as one of ours: the data sets of `preparations` with SeqIO's rates.

    Raises:
      ValueError: if SeqIO knows no such mixture.
    """
    found = seqio.get_mixture_or_task(name)
    if not isinstance(found, seqio.Mixture):
        raise ValueError(f"{name!r} is a SeqIO task; expected a mixture, which has rates")
    shares = tuple(float(found.get_rate(task)) for task in found.tasks)
    return (Group(name, 1.0, tuple(task.name for task in found.tasks), shares),)


def _preparation(
    task: seqio.Task, category: str, convert: Convert | None, licence: str, version: int
) -> Preparation:
    convert = convert or functools.partial(question_and_answer, task, category=category)

    def parts(split: str, _source: object) -> list[Part]:
        shards = len(task.source.list_shards(split)) if split in task.splits else 0
        return [
            Part(f"{split}-{i:05d}-of-{shards:05d}", start=i, stop=shards) for i in range(shards)
        ]

    def examples(split: str, part: Part, _source: object) -> Iterator[Example | BadRecord]:
        dataset = task.get_dataset(
            sequence_length=None,
            split=split,
            shuffle=False,
            seed=0,
            shard_info=seqio.ShardInfo(index=part.start, num_shards=part.stop),
            try_in_mem_cache=False,
        )
        records = (
            (key := f"{part.name}#{number}", (features, key))
            for number, features in enumerate(dataset.as_numpy_iterator())
        )
        return examples_of(records, lambda item: convert(item[0], task.name, item[1]))

    return Preparation(
        name=task.name,
        category=category,
        description=f"The SeqIO task {task.name}.",
        licence=licence,
        splits=tuple(task.splits),
        parts=parts,
        convert=examples,
        format="SeqIO",
        version=version,
    )


def question_and_answer(
    task: seqio.Task, features: Mapping[str, Any], source: str, key: str, *, category: str
) -> Example:
    """An Example of SeqIO's usual features: inputs and targets, or targets alone, and a picture.

    Texts are the features' "_pretokenized" ones, else decoded by the task's vocabularies. A feature
    "image" is a picture: encoded bytes, or pixels uint8[height, width, 3].
    """

    def text(name: str) -> str:
        if f"{name}_pretokenized" in features:
            return features[f"{name}_pretokenized"].decode()
        value = features.get(name, b"")
        if isinstance(value, bytes):
            return value.decode()
        return task.output_features[name].vocabulary.decode(value.tolist())

    images = [image_of(_encoded(features["image"]))] if "image" in features else []
    question, answer = text("inputs"), text("targets")
    if not answer:
        raise DataError("targets are empty; expected a text to learn")
    metadata: dict[str, Any] = {}
    if question or images:
        segments: tuple = conversation(images, [(question, answer)])
        metadata = {"answer": answer, "metric": "exact_match"}
    else:
        segments = (Text(answer, loss=True),)
    return Example(segments, source, key, category, metadata)


def _encoded(image: bytes | np.ndarray) -> bytes:
    if isinstance(image, bytes):
        return image
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()
