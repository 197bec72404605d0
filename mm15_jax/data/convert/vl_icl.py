"""VL-ICL Bench: tasks that are learned from examples in the prompt.

Format: github.com/ys-zong/VL-ICL, whose data (ys-zong/VL-ICL on the Hugging Face hub, unpacked by
its unzip.sh) has TASK/query.json and TASK/support.json: records {id, image, question, answer},
`image` the names of one picture or several from the top folder. `operator_induction`'s support
records have three answers, of +, - and x; `matching_mi`'s have a pair of the `same` class and one
of different ones (`diff`); `open_mi`'s queries name their `classes`, and `support` has five
pictures of each.

Prompts and shots are those of its I2T_inference.py with LLaVA, `--n_shot 4 --seed 0
--task_description detailed`: "4-shot" in table 8 of the paper. Python's generator of that seed
draws from the support set for one query after the other (`select_demonstration`), so that the shots
are the published code's own. Two tasks show `n_shot` examples of either class: eight in all.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mm15_jax.data.convert.json_files import load_json
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, in_memory
from mm15_jax.data.preparation import DataError, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Segment, Text

SHOTS = 4
SEED = 0
_QUERIES_PER_PART = 64
_OPERATORS = ("+", "-", "x")
_NAMING = "This is a"  # what open_mi asks in its shots

Record = Mapping[str, Any]
Shot = tuple[Sequence[str], str, str]  # pictures, question, answer
# The shots of a query; the generator goes on from query to query.
Draw = Callable[[random.Random, Sequence[Record], Record], list[Shot]]


@dataclass(frozen=True)
class Task:
    """One of the six tasks from pictures to text."""

    name: str
    folder: str
    description: str
    instruction: str  # the published one, "detailed"
    draw: Draw
    metric: str = "icl_exact"  # its evals/eval.py has a rule for each data set


def _any(generator: random.Random, support: Sequence[Record], query: Record) -> list[Shot]:
    return [
        (_pictures(record), _question(record), _answer(record))
        for record in generator.sample(support, SHOTS)
    ]


def _with_operator(
    generator: random.Random, support: Sequence[Record], query: Record
) -> list[Shot]:
    drawn = generator.sample(support, SHOTS)
    operator = query.get("operator")
    if operator not in _OPERATORS:
        raise DataError(f"the operator {operator!r}, expected one of {', '.join(_OPERATORS)}")
    place = _OPERATORS.index(operator)
    return [
        (_pictures(record), _question(record), str(record["answer"][place])) for record in drawn
    ]


def _pairs(generator: random.Random, support: Sequence[Record], query: Record) -> list[Shot]:
    return [
        (_pictures(record[kind]), _question(record[kind]), _answer(record[kind]))
        for record in generator.sample(support, SHOTS)
        for kind in ("same", "diff")
    ]


def _two_classes(generator: random.Random, support: Sequence[Record], query: Record) -> list[Shot]:
    asked = query["answer"]
    other = generator.choice([name for name in query["classes"] if name != asked])
    order = (asked, other) if generator.choice([True, False]) else (other, asked)
    for name in order:
        count = len(query["support"][name]["images"])
        if count < SHOTS:
            raise DataError(f"the class {name!r} has {count} pictures, expected {SHOTS} or more")
    return [
        ([query["support"][name]["images"][number]], _NAMING, name)
        for number in range(SHOTS)
        for name in order
    ]


def _pictures(record: Record) -> list[str]:
    names = record["image"]
    return [names] if isinstance(names, str) else list(names)


def _question(record: Record) -> str:
    return str(record["question"]).strip()


def _answer(record: Record) -> str:
    answer = str(record["answer"]).strip()
    if not answer:
        raise DataError("an empty answer")
    return answer


@functools.lru_cache(maxsize=8)
def _queries(task: Task, source: Source, files: tuple[str, ...]) -> list[tuple[str, Any]]:
    """(place, (query, its shots or what was wrong with it)) of every query."""
    query, support = (load_json(source, file) for file in files)
    for name, records in (("query", query), ("support", support)):
        if not isinstance(records, list) or not records:
            raise ValueError(f"{task.folder}/{name}.json in {source.url} is no list of records")
    if task.draw is not _two_classes and len(support) < SHOTS:
        raise ValueError(
            f"{task.folder}/support.json in {source.url} has {len(support)} records, expected"
            f" {SHOTS} or more"
        )
    generator = random.Random(SEED)
    found: list[tuple[str, Any]] = []
    for number, record in enumerate(query):
        shots: list[Shot] | Exception
        try:
            shots = task.draw(generator, support, record)
        except (DataError, KeyError, IndexError, TypeError) as error:
            shots = error
        found.append((f"{files[0]}#{number}", (record, shots)))
    return found


def _example(task: Task, maker: Maker, item: tuple[Record, list[Shot] | Exception]) -> Example:
    record, shots = item
    if isinstance(shots, Exception):
        raise shots
    segments: list[Segment] = [Text(f"{task.instruction}\n", role="user")]

    def show(names: Sequence[str], text: str) -> None:
        for name in names:
            segments.append(maker.picture(name))
            segments.append(Text("\n", role="user"))
        last = segments.pop()
        assert isinstance(last, Text)
        segments.append(Text(last.text + text, role="user"))

    for names, question, answer in shots:
        show(names, f"{question}\nAnswer: {answer}\n")
    answer = _answer(record)
    show(_pictures(record), f"{_question(record)}\nAnswer:")
    segments.append(Text(answer, role="assistant", loss=True))
    metadata = {"answer": answer, "metric": task.metric}
    return Example(tuple(segments), maker.name, str(record["id"]), maker.category, metadata)


def _preparation(task: Task) -> Preparation:
    files = (f"{task.folder}/query.json", f"{task.folder}/support.json")
    return file_preparation(
        name=task.name,
        category="in_context",
        description=task.description,
        licence="MIT; pictures: see publisher (ys-zong/VL-ICL)",
        format="vl_icl",
        layout=f"{files[0]}, {files[1]} and the pictures they name, as VL-ICL's unzip.sh leaves"
        " them",
        files={"test": files},
        reading=in_memory(functools.partial(_queries, task), _QUERIES_PER_PART),
        example=functools.partial(_example, task),
        together=True,
    )


TASKS = (
    Task(
        "vl_icl_clevr",
        "clevr",
        "VL-ICL: how many objects of CLEVR's pictures are of a kind; what is asked is induced.",
        "The image contains objects of different shapes, colors, sizes and materials. The question"
        " describes the attribute and its value. You need to find all objects within the image"
        " that satisfy the condition. You should induce what operation to use according to the"
        " results of the in-context examples and then calculate the result.",
        _any,
    ),
    Task(
        "vl_icl_matching_miniimagenet",
        "matching_mi",
        "VL-ICL: whether two pictures match; what matching means is induced.",
        "According to the few-shot examples, induce what operation to do and determine the output"
        ' for the two new images. Answer with "yes" or "no".',
        _pairs,
        "icl_contains",
    ),
    Task(
        "vl_icl_open_miniimagenet",
        "open_mi",
        "VL-ICL: classes of MiniImageNet under new names that the examples give.",
        "Induce the concept from the in-context examples. Answer the question with a single word"
        " or phase.",
        _two_classes,
    ),
    Task(
        "vl_icl_operator_induction",
        "operator_induction",
        "VL-ICL: sums of two digits in a picture whose operator is induced.",
        "The image contains two digit numbers and a ? representing the mathematical operator."
        " Induce the mathematical operator (addition, multiplication, minus) according to the"
        " results of the in-context examples and calculate the result.",
        _with_operator,
        "icl_number",
    ),
    Task(
        "vl_icl_operator_induction_interleaved",
        "operator_induction_interleaved",
        "VL-ICL: sums of digits in two pictures whose operator is induced.",
        "There are two input images, each representing a single digit number. Induce the"
        " mathematical operator (addition, multiplication, minus) that is applied between the two"
        " images according to the results of the in-context examples. Calculate the result for"
        " the new query images.",
        _with_operator,
        "icl_number",
    ),
    Task(
        "vl_icl_textocr",
        "textocr",
        "VL-ICL: the text in a red box; that it is asked for is induced.",
        "An image will be provided where a red box is drawn around the text of interest. Answer"
        " with the text inside the red box. Ensure that the transcription is precise, reflecting"
        " the exact characters, including letters, numbers, symbols.",
        _any,
    ),
)
PREPARATIONS: tuple[Preparation, ...] = tuple(map(_preparation, TASKS))
