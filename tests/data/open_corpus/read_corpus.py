"""The fixture corpus, prepared, for the tests of its converters."""

from __future__ import annotations

import functools

from mm15_jax.data.open_corpus import PREPARATIONS, common
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image, Text

BY_NAME = {p.name: p for p in PREPARATIONS}
# Documents to model, without a question.
DOCUMENT_SETS = {n for n in BY_NAME if n.startswith("open_handbook")} | {"open_page_texts"}


@functools.cache
def converted(name, split, source):
    """The examples of a split, and records that could not become any."""
    preparation, where = BY_NAME[name], Source(source)
    parts = preparation.parts(split, where)
    return tuple(made for part in parts for made in preparation.convert(split, part, where))


def examples(name, split, source):
    return tuple(made for made in converted(name, split, source) if isinstance(made, Example))


def count(name, source):
    """How many examples the parts of all splits promise."""
    where = Source(source)
    return sum(part.records for s in common.SPLITS for part in BY_NAME[name].parts(s, where))


def every(name, source):
    return [(split, e) for split in common.SPLITS for e in examples(name, split, source)]


def images(example):
    return [s for s in example.segments if isinstance(s, Image)]


def answer_of(example):
    return next(s.text for s in example.segments if isinstance(s, Text) and s.role == "assistant")
