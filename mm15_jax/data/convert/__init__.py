"""Converters of published formats: one module a format, which serves every data set that has it."""

from mm15_jax.data.preparation import Preparation

from . import (
    ai2d,
    captions,
    code_pictures,
    json_keyed,
    json_questions,
    pdf_forms,
    problem_folders,
    tables,
    text_reading,
    vqa,
)

MODULES = (
    ai2d,
    captions,
    code_pictures,
    json_keyed,
    json_questions,
    pdf_forms,
    problem_folders,
    tables,
    text_reading,
    vqa,
)

PREPARATIONS: tuple[Preparation, ...] = tuple(p for module in MODULES for p in module.PREPARATIONS)
