"""Questions on tables: WikiTableQuestions, TabFact, HiTab, FinQA, their cells drawn as pictures.

Formats: as the repositories ppasupat/WikiTableQuestions, wenhuchen/Table-Fact-Checking,
microsoft/HiTab and czyssrs/FinQA hold them. DocOwl's DocDownstream-1.0, which has pictures of WTQ
and TabFact, is read too (module `docowl`). Questions on a table are one example of training.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterator
from typing import Any

from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.docowl import or_docowl
from mm15_jax.data.convert.json_files import load_json
from mm15_jax.data.convert.questions import Maker, texts_of
from mm15_jax.data.convert.reading import (
    JSON_LINES,
    LINES,
    Reading,
    file_preparation,
    grouped_in_training,
    json_array,
    json_object,
    placed,
    uncounted,
)
from mm15_jax.data.convert.table_picture import Span, draw_table
from mm15_jax.data.preparation import DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image

_SPLITS = ("train", "validation", "test")
_STATEMENT = "Does the table support this statement? {}" + prompts.YES_OR_NO


# WikiTableQuestions: a line is id, utterance, context, targetValue; "\p" is a bar, "|" separates.
# "tagged" lines have seven columns more, of which targetCanon says what the values mean: its
# evaluator takes "1995-01-26" for "January 26, 1995".
_WTQ_COLUMNS = {4: None, 11: 9}  # number of columns: the place of targetCanon


def _wtq_lines(source: Source, part: Part) -> Iterator[tuple[str, Any]]:
    for place, line in LINES.records(source, part):
        if isinstance(line, DataError):
            yield place, line
            continue
        cells = line.rstrip("\r\n").split("\t")
        if cells[:2] == ["id", "utterance"]:
            continue
        if len(cells) not in _WTQ_COLUMNS:
            yield place, DataError(f"{len(cells)} columns, expected 4, or 11 of a tagged file")
        else:
            canon = _WTQ_COLUMNS[len(cells)]
            yield place, [*cells[:4], "" if canon is None else cells[canon]]


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\p", "|").replace("\\\\", "\\")


def _wtq_answers(field: str) -> list[str]:
    return [_unescaped(item) for item in field.split("|")]


def _wtq_pair(record: list[str]) -> tuple[str, tuple[str, str]]:
    _, question, table, answer, _ = record
    return table, (_unescaped(question), ", ".join(_wtq_answers(answer)))


def _wtq_table(maker: Maker, name: str) -> Image:
    text = maker.source.read(name).decode("utf-8")
    rows = list(csv.reader(io.StringIO(text), doublequote=False, escapechar="\\"))
    return draw_table(rows)


def _wtq(maker: Maker, record: Any) -> Example:
    if maker.trains:
        table, turns = record
        return maker.dialogue(table.removesuffix(".csv"), _wtq_table(maker, table), turns)
    identity, question, table, answer, canon = record
    items = _wtq_answers(answer)
    meaning: dict[str, Any] = {"canon": _wtq_answers(canon)} if canon else {}
    return maker.short(
        identity,
        _wtq_table(maker, table),
        _unescaped(question),
        items,  # all of them are the answer
        "denotation",
        target=", ".join(items),
        **meaning,
    )


# TabFact: table: [statements, labels, caption]; which split a table is of stands in id files. Eight
# tables are in both files; their statements are the first file's, as preprocess_data.py has them.
_TABFACT_FILES = ("collected_data/r1_training_all.json", "collected_data/r2_training_all.json")


@functools.lru_cache(maxsize=4)
def _tabfact_tables(source: Source, split: str) -> frozenset[str]:
    part = {"train": "train", "validation": "val", "test": "test"}[split]
    return frozenset(load_json(source, f"data/{part}_id.json"))


def _tabfact(maker: Maker, item: tuple[str, tuple[str, Any]]) -> Iterator[Example]:
    place, (name, (statements, labels, caption)) = item
    if name not in _tabfact_tables(maker.source, maker.split):
        return
    first, second = _TABFACT_FILES
    if place.startswith(second) and name in load_json(maker.source, first):
        return
    text = maker.source.read(f"data/all_csv/{name}").decode("utf-8")
    rows = [line.split("#") for line in text.splitlines()]
    picture = draw_table(rows, title=caption)
    turns = [
        (_STATEMENT.format(statement), "Yes" if label else "No")
        for statement, label in zip(statements, labels, strict=True)
    ]
    key = name.removesuffix(".html.csv")
    if maker.trains:
        yield maker.example(key, picture, turns)
        return
    for number, (question, answer) in enumerate(turns):
        yield maker.short(f"{key}/{number}", picture, question, answer, "exact_match", prompt="")


# HiTab: hierarchical headings, with merged cells.
def _hitab(maker: Maker, record: dict) -> Example:
    table = load_json(maker.source, f"data/tables/raw/{record['table_id']}.json")
    keys = ("first_row", "last_row", "first_column", "last_column")
    picture = draw_table(
        table["texts"],
        title=table.get("title", ""),
        header_rows=table["top_header_rows_num"],
        header_columns=table["left_header_columns_num"],
        spans=[Span(*(region[key] for key in keys)) for region in table["merged_regions"]],
    )
    answers = texts_of(record["answer"])
    return maker.short(
        record["id"],
        picture,
        record["question"],
        answers,  # all of them are the answer
        "denotation",
        target=", ".join(answers),
    )


# FinQA: a table of a report, with the sentences before and after it.
def _finqa(maker: Maker, record: dict) -> Example:
    question = record["qa"]
    texts = [" ".join(record["pre_text"]).strip(), " ".join(record["post_text"]).strip()]
    context = "\n".join(text for text in texts if text)
    return maker.short(
        record["id"],
        draw_table(record["table"]),
        f"{context}\n{question['question']}",
        question.get("answer") or question["exe_ans"],
        "exact_match",
    )


_WTQ_LINES = Reading(LINES.parts, _wtq_lines)

PREPARATIONS: tuple[Preparation, ...] = (
    or_docowl(
        file_preparation(
            name="wtq",
            category="text_rich",
            description="Questions on tables of Wikipedia that need counting and comparing.",
            licence="CC BY-SA 4.0",
            format="tables",
            layout="of WikiTableQuestions: data/random-split-1-train.tsv,"
            " data/random-split-1-dev.tsv, tagged/data/pristine-unseen-tables.tagged (or data/"
            "pristine-unseen-tables.tsv, which does not say what values mean) and csv/",
            files={
                "train": ("data/random-split-1-train.tsv",),
                "validation": ("data/random-split-1-dev.tsv",),
                "test": (
                    "tagged/data/pristine-unseen-tables.tagged|data/pristine-unseen-tables.tsv",
                ),
            },
            reading=grouped_in_training(_WTQ_LINES, _wtq_pair),
            example=_wtq,
            version=2,
        ),
        "WikiTableQuestions",
        "denotation",
    ),
    or_docowl(
        file_preparation(
            name="tabfact",
            category="text_rich",
            description="Statements on tables of Wikipedia, true or false.",
            licence="CC BY 4.0",
            format="tables",
            layout="of Table-Fact-Checking: collected_data/r1_training_all.json,"
            " collected_data/r2_training_all.json, data/train_id.json, data/val_id.json,"
            " data/test_id.json and data/all_csv/",
            files=dict.fromkeys(_SPLITS, _TABFACT_FILES),
            reading=uncounted(placed(json_object())),
            example=_tabfact,
            together=True,
            beside=("data/*_id.json",),
        ),
        "TabFact",
        "exact_match",
    ),
    file_preparation(
        name="hitab",
        category="text_rich",
        description="Questions on statistical tables with headings over headings.",
        licence="C-UDA 1.0",
        format="tables",
        layout="of HiTab: data/train_samples.jsonl, data/dev_samples.jsonl,"
        " data/test_samples.jsonl and data/tables/raw/",
        files={
            "train": ("data/train_samples.jsonl",),
            "validation": ("data/dev_samples.jsonl",),
            "test": ("data/test_samples.jsonl",),
        },
        reading=JSON_LINES,
        example=_hitab,
        version=2,
    ),
    file_preparation(
        name="finqa",
        category="text_rich",
        description="Questions on tables of financial reports that need arithmetic.",
        licence="MIT",
        format="tables",
        layout="of FinQA: dataset/train.json, dataset/dev.json and dataset/test.json",
        files={
            "train": ("dataset/train.json",),
            "validation": ("dataset/dev.json",),
            "test": ("dataset/test.json",),
        },
        reading=json_array(),
        example=_finqa,
    ),
)
