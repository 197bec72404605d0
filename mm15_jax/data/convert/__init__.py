"""Converters of published formats: one module a format, which serves every data set that has it."""

from types import ModuleType

from mm15_jax.data.convert import (
    ai2d,
    captions,
    code_pictures,
    comparisons,
    donut,
    instructions,
    json_keyed,
    json_questions,
    llava,
    pdf_forms,
    problem_folders,
    tables,
    text,
    text_reading,
    vqa,
)

# Each has `PREPARATIONS`, by which the registry finds its data sets.
MODULES: tuple[ModuleType, ...] = (
    ai2d,
    captions,
    code_pictures,
    comparisons,
    donut,
    instructions,
    json_keyed,
    json_questions,
    llava,
    pdf_forms,
    problem_folders,
    tables,
    text,
    text_reading,
    vqa,
)
