"""Instructions and answers in text alone: questions in one field, answers in another.

Format: the JSON, JSONL and parquet files that the publishers have on the Hugging Face hub; a row of
`SETS` names the fields. Records with turns (`conversations`, `messages`) are read as dialogues.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mm15_jax.data.convert.dialogue import Turn, text_segments, turns_of
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, placed
from mm15_jax.data.convert.record_files import TEXT_FILES
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.inputs.example import Example


@dataclass(frozen=True)
class InstructionSet:
    """A data set of questions and answers."""

    name: str
    description: str
    licence: str  # as the publisher states it
    layout: str
    files: Sequence[str]  # globs; all of them are training data
    questions: Sequence[str]  # fields that together are the question; empty ones are left out
    answer: str = "output"
    system: str = ""  # the field of a system prompt


def turns(row: InstructionSet, record: Mapping[str, Any]) -> list[Turn]:
    """The turns of a record.

    Raises:
      DataError: if the question or the answer is missing or empty.
    """
    if record.get("conversations") or record.get("messages"):
        return turns_of(record)
    question = "\n\n".join(filter(None, (_text(record, field) for field in row.questions)))
    answer, system = _text(record, row.answer), _text(record, row.system)
    if not question or not answer:
        missing = "/".join(row.questions) if not question else row.answer
        raise DataError(f"nothing in the field {missing}")
    spoken = [("user", question), ("assistant", answer)]
    return [("system", system), *spoken] if system else spoken


def _text(record: Mapping[str, Any], field: str) -> str:
    value = record.get(field)
    if value is not None and not isinstance(value, str):
        raise DataError(f"the field {field} is {type(value).__name__}, expected text")
    return (value or "").strip()


def preparation(row: InstructionSet) -> Preparation:
    """The preparation of a row."""

    def example(maker: Maker, item: tuple[str, Mapping[str, Any]]) -> Example:
        place, record = item
        return Example(text_segments(turns(row, record)), maker.name, place, maker.category, {})

    return file_preparation(
        name=row.name,
        category="text",
        description=row.description,
        licence=row.licence,
        format="instructions",
        layout=row.layout,
        files={"train": row.files},
        reading=placed(TEXT_FILES),
        example=example,
    )


SETS = (
    InstructionSet(
        "openorca",
        "FLAN questions answered step by step by GPT-4 and GPT-3.5.",
        "MIT",
        "1M-GPT4-Augmented.parquet and 3_5M-GPT3_5-Augmented.parquet, or one of them",
        ("1M-GPT4-Augmented.parquet", "3_5M-GPT3_5-Augmented.parquet"),
        ("question",),
        "response",
        "system_prompt",
    ),
    InstructionSet(
        "mathinstruct",
        "Mathematics with chains and programs of thought.",
        "MIT; some of its sources: see publisher",
        "MathInstruct.json",
        ("MathInstruct.json",),
        ("instruction",),
    ),
    InstructionSet(
        "orcamath",
        "Word problems of school mathematics, solved by GPT-4.",
        "MIT",
        "data/train-*.parquet of microsoft/orca-math-word-problems-200k",
        ("data/train-*.parquet",),
        ("question",),
        "answer",
    ),
    InstructionSet(
        "wizardcoder",
        "Programming tasks made by Evol-Instruct, in one of their open editions.",
        "Apache 2.0 (evol-codealpaca-v1); others: see publisher",
        "train.jsonl of theblackcat102/evol-codealpaca-v1, or EvolInstruct-Code-80k.json of "
        "nickrosh/Evol-Instruct-Code-80k-v1, or WizardLM_evol_instruct_V2_143k.json",
        ("train.jsonl", "EvolInstruct-Code-80k.json", "WizardLM_evol_instruct_V2_143k.json"),
        ("instruction",),
    ),
    InstructionSet(
        "opencodeinterpreter",
        "Programming dialogues with feedback of runs and of people.",
        "Apache 2.0",
        "Code-Feedback.jsonl or CodeFeedback-Filtered-Instruction.jsonl, or both",
        ("Code-Feedback.jsonl", "CodeFeedback-Filtered-Instruction.jsonl"),
        ("query",),
        "answer",
    ),
    InstructionSet(
        "dolly",
        "Instructions in eight categories, written by people at Databricks.",
        "CC BY-SA 3.0",
        "databricks-dolly-15k.jsonl",
        ("databricks-dolly-15k.jsonl",),
        ("instruction", "context"),
        "response",
    ),
)
PREPARATIONS = tuple(preparation(row) for row in SETS)
