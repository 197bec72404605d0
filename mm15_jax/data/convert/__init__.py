"""Converters of published formats: one module a format, which serves every data set that has it."""

from mm15_jax.data.convert import (
    comparisons,
    donut,
    instructions,
    llava,
    text,
)

MODULES = (
    comparisons,
    donut,
    instructions,
    llava,
    text,
)
