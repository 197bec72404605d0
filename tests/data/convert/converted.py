"""What a converter makes of a fixture, without shards."""

import importlib

from mm15_jax.data.preparation import BadRecord
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Image, Text


def convert(module, name, split, root):
    """(examples, bad records) of a split, by keys."""
    found = importlib.import_module(f"mm15_jax.data.convert.{module}").PREPARATIONS
    preparation = next(p for p in found if p.name == name)
    source = Source(root)
    good, bad = {}, {}
    for part in preparation.parts(split, source):
        for item in preparation.convert(split, part, source):
            target = bad if isinstance(item, BadRecord) else good
            assert item.key not in target, item.key
            target[item.key] = item.reason if isinstance(item, BadRecord) else item
    for example in good.values():
        assert example.source == name and example.category == preparation.category
    return good, bad


def texts(example):
    """(role, text) of its texts; pictures are left out."""
    return [(s.role, s.text) for s in example.segments if isinstance(s, Text)]


def turns(example):
    """(question, answer) pairs of a dialogue with one picture first, checked to be one."""
    image, *rest = example.segments
    assert isinstance(image, Image) and image.role == "user"
    assert [(s.role, s.loss) for s in rest] == [("user", False), ("assistant", True)] * (
        len(rest) // 2
    )
    return [(q.text, a.text) for q, a in zip(rest[::2], rest[1::2], strict=True)]
