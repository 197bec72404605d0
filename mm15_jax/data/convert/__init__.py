"""Converters of published formats: one module a format, which serves every data set that has it."""

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

MODULES = (
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
