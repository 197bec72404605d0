"""The fixture corpus, prepared, for the tests of its converters."""

from __future__ import annotations

import functools

from mm15_jax.data.open_corpus import PREPARATIONS, common
from mm15_jax.inputs.example import Image, Text

BY_NAME = {p.name: p for p in PREPARATIONS}
# Documents to model, without a question.
DOCUMENT_SETS = {n for n in BY_NAME if n.startswith("open_handbook")} | {"open_page_texts"}


@functools.cache
def examples(name, split, source):
    preparation = BY_NAME[name]
    return tuple(preparation.make(split, range(preparation.examples_in(split, source)), source))


def every(name, source):
    return [(split, e) for split in common.SPLITS for e in examples(name, split, source)]


def images(example):
    return [s for s in example.segments if isinstance(s, Image)]


def answer_of(example):
    return next(s.text for s in example.segments if isinstance(s, Text) and s.role == "assistant")
