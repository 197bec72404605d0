"""Questions of MME, SEED-Bench, POPE, LLaVA-W, MM-Vet, RealWorldQA and OCRBench.

A row has the columns of the hub's copies, whatever files it was read from. Prompts are those of
lmms-eval's tasks, and LLaVA-1.5's (Liu et al. 2023, appendix A): a short answer or a letter is
asked for in the words of training. Every function raises DataError for a row that it cannot ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mm15_jax.config.names import unknown
from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.hub import Row, picture_of
from mm15_jax.data.convert.questions import Maker, texts_of, unmistakable
from mm15_jax.data.preparation import DataError
from mm15_jax.inputs.example import Example, Image

# Fu et al. 2023, section 2.2; the score of a subtask counts in one of the two sums.
_MME = {
    **dict.fromkeys(
        (
            "existence",
            "count",
            "position",
            "color",
            "posters",
            "celebrity",
            "scene",
            "landmark",
            "artwork",
            "OCR",
        ),
        "perception",
    ),
    **dict.fromkeys(
        ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning"),
        "cognition",
    ),
}
_MME_PROMPT = " Please answer yes or no."
# Li et al. 2023, table 1: dimensions of pictures; 10 to 12 are of videos.
_SEED = (
    "scene understanding",
    "instance identity",
    "instance attributes",
    "instance location",
    "instances counting",
    "spatial relation",
    "instance interaction",
    "visual reasoning",
    "text understanding",
)
POPE = ("random", "popular", "adversarial")
_LLAVA_W = ("conv", "detail", "complex")
_OPTION = re.compile(r"^\s*\(?([A-Z])[.)]\s*(\S.*?)\s*$", re.MULTILINE)


def _yes_or_no(answer: str) -> str:
    found = answer.strip().rstrip(".").capitalize()
    if found not in ("Yes", "No"):
        raise DataError(f"the answer is {answer!r}, expected yes or no")
    return found


def _one_of(kind: str, name: str, names: Iterable[str]) -> str:
    if name not in names:
        raise DataError(str(unknown(kind, name, names)))
    return name


def mme(maker: Maker, place: str, row: Row) -> Example:
    """MME: two questions of a picture have one `question_id`: they count together."""
    del place
    subtask = _one_of("subtask", row["category"], _MME)
    picture, question = row["question_id"], row["question"].replace(_MME_PROMPT, "").strip()
    return maker.short(
        f"{subtask}/{picture}/{prompts.digest(question)}",
        picture_of(row["image"]),
        question,
        _yes_or_no(row["answer"]),
        "yes_no",
        group=f"{subtask}/{picture}",
        subset=f"{_MME[subtask]}/{subtask}",
    )


def pope(maker: Maker, place: str, row: Row) -> Example:
    """POPE: yes or no; how absent objects were drawn is the subset."""
    del place
    category = _one_of("category", row["category"], POPE)
    return maker.short(
        f"{category}/{row['question_id']}",
        picture_of(row["image"]),
        row["question"],
        _yes_or_no(row["answer"]),
        "yes_no",
        subset=category,
    )


def seed(maker: Maker, record: Row, picture: Image) -> Example:
    """SEED-Bench: four choices on a picture; the dimension is the subset."""
    number = int(record["question_type_id"])
    if not 1 <= number <= len(_SEED):
        raise DataError(f"question_type_id is {number}, expected 1 to {len(_SEED)} of a picture")
    letter = str(record["answer"]).strip().upper()
    if letter not in ("A", "B", "C", "D"):
        raise DataError(f"the answer is {record['answer']!r}, expected A, B, C or D")
    return maker.choice(
        record["question_id"],
        picture,
        record["question"],
        [record[f"choice_{name}"] for name in "abcd"],
        prompts.letter_index(letter),
        always_lettered=True,
        subset=_SEED[number - 1],
    )


def llava_w(maker: Maker, place: str, row: Row) -> Example:
    """LLaVA-Bench: the reference is GPT-4's answer, which saw the caption and not the picture."""
    del place
    category = _one_of("category", row["category"], _LLAVA_W)
    [answer] = texts_of(row["gpt_answer"])
    return maker.short(
        row["question_id"],
        picture_of(row["image"]),
        row["question"],
        answer,
        "judge",
        prompt="",
        subset=category,
        judge={"category": category, "context": "\n".join(texts_of(row["caption"], "caption"))},
    )


def mm_vet(maker: Maker, place: str, row: Row) -> Example:
    """MM-Vet: the answer keeps its "<AND>" and "<OR>": the judge's prompt explains them.

    Capabilities overlap, so they are facts for the judge's aggregate and no subset.
    """
    del place
    [answer] = texts_of(row["answer"])
    listed = row["capability"]
    capabilities = listed.split(",") if isinstance(listed, str) else listed
    return maker.short(
        row["question_id"],
        picture_of(row["image"]),
        row["question"],
        answer,
        "judge",
        prompt="",
        judge={"capabilities": texts_of(capabilities, "capability")},
    )


def realworldqa(maker: Maker, place: str, row: Row) -> Example:
    """RealWorldQA: questions bring their own words: options and "Please answer directly with ...".

    Where the answer is the letter of an option, the options in the question are the choices.
    """
    question, [answer] = row["question"], texts_of(row["answer"])
    picture = picture_of(row["image"])
    options = dict(_OPTION.findall(question))
    if answer in options and list(options) == list(prompts.LETTERS[: len(options)]):
        return maker.short(
            place,
            picture,
            question,
            answer,
            "multiple_choice",
            prompt="",
            choices=unmistakable(list(options.values())),
        )
    return maker.short(place, picture, question, answer, "exact_match", prompt="")


def ocrbench(maker: Maker, place: str, row: Row) -> Example:
    """OCRBench: nothing is added to the question; any of the answers within the model's counts."""
    return maker.short(
        place,
        picture_of(row["image"]),
        row["question"],
        row["answer"],
        # Handwritten formulas are compared without spaces, and by case.
        "ocrbench_hme" if row["dataset"] == "HME100k" else "ocrbench",
        prompt="",
        target=texts_of(row["answer"])[0],
        subset=row["question_type"],
    )
