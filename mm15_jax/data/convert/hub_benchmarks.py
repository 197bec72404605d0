"""Benchmarks of general questions and of reading: MME, SEED-Bench, POPE, LLaVA-W, MM-Vet and more.

Formats: the hub's copies that lmms-eval reads. Prompts are those of its tasks, and LLaVA-1.5's (Liu
et al. 2023, appendix A): a short answer or a letter is asked for in the words of training.
SEED-Bench is read as its own publisher has it too, with pictures beside one file of questions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mm15_jax.config.names import unknown
from mm15_jax.data.convert import prompts
from mm15_jax.data.convert.hub import Row, hub_preparation, or_hub, picture_of, shards
from mm15_jax.data.convert.questions import Maker, texts_of, unmistakable
from mm15_jax.data.convert.reading import file_preparation, json_array, uncounted
from mm15_jax.data.preparation import DataError, Preparation
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
_POPE = ("random", "popular", "adversarial")
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


def _mme(maker: Maker, place: str, row: Row) -> Example:
    """Two questions of a picture have one `question_id`: they count together."""
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


def _pope(maker: Maker, place: str, row: Row) -> Example:
    del place
    category = _one_of("category", row["category"], _POPE)
    return maker.short(
        f"{category}/{row['question_id']}",
        picture_of(row["image"]),
        row["question"],
        _yes_or_no(row["answer"]),
        "yes_no",
        subset=category,
    )


def _seed(maker: Maker, record: Row, picture: Image) -> Example:
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


def _seed_row(maker: Maker, place: str, row: Row) -> Iterable[Example]:
    del place
    if row["data_type"] != "image":
        return
    pictures = row["image"]
    if len(pictures) != 1:
        raise DataError(f"{len(pictures)} pictures, expected 1")
    yield _seed(maker, row, picture_of(pictures[0]))


def _seed_record(maker: Maker, record: Row) -> Iterable[Example]:
    if record["data_type"] == "image":
        yield _seed(maker, record, maker.picture(f"SEED-Bench-image/{record['data_id']}"))


def _llava_w(maker: Maker, place: str, row: Row) -> Example:
    """The reference is GPT-4's answer, which saw the caption and not the picture."""
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


def _mm_vet(maker: Maker, place: str, row: Row) -> Example:
    """The answer keeps its "<AND>" and "<OR>": the judge's prompt explains them.

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


def _realworldqa(maker: Maker, place: str, row: Row) -> Example:
    """Questions bring their own words: options and "Please answer directly with ...".

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


def _ocrbench(maker: Maker, place: str, row: Row) -> Example:
    """Nothing is added to the question; any of the answers within the model's counts."""
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


_TEST = {"test": (shards("test"),)}
_QUESTION = ("question", "answer", "image")
_SEED_ROW = (
    "question_id", "question", "choice_a", "choice_b", "choice_c", "choice_d", "answer",
    "data_type", "question_type_id", "image",
)  # fmt: skip
_SEED_DESCRIPTION = "Multiple choice on pictures, nine ways to understand them (SEED-Bench)."

PREPARATIONS: tuple[Preparation, ...] = (
    hub_preparation(
        name="mme",
        category="general",
        description="Yes or no, two questions a picture, of perception and cognition.",
        licence="see publisher (BradyFU/Awesome-Multimodal-Large-Language-Models)",
        repository="lmms-lab/MME",
        files=_TEST,
        columns=("question_id", "category", *_QUESTION),
        example=_mme,
    ),
    or_hub(
        file_preparation(
            name="seed_img",
            category="general",
            description=_SEED_DESCRIPTION,
            licence="CC BY-NC 4.0; pictures CC3M's, see publisher",
            format="json_questions",
            layout="of SEED-Bench: SEED-Bench.json and SEED-Bench-image/",
            files={"test": ("SEED-Bench.json",)},
            reading=uncounted(json_array("questions")),
            example=_seed_record,
        ),
        repository="lmms-lab/SEED-Bench",
        files=_TEST,
        columns=_SEED_ROW,
        example=_seed_row,
        filters=True,
    ),
    hub_preparation(
        name="pope",
        category="general",
        description="Is an object in the photo? Absent ones are drawn in three ways.",
        licence="MIT; pictures COCO's, see publisher",
        repository="lmms-lab/POPE",
        files={"test": (shards("test"),)},
        columns=("question_id", "category", *_QUESTION),
        example=_pope,
    ),
    hub_preparation(
        name="llava_w",
        category="general",
        description="Sixty open questions on 24 pictures of many kinds (LLaVA-Bench in the wild).",
        licence="see publisher (liuhaotian/llava-bench-in-the-wild)",
        repository="lmms-lab/llava-bench-in-the-wild",
        files={"test": (shards("train"),)},  # the copy calls its only split so
        columns=("question_id", "question", "image", "caption", "gpt_answer", "category"),
        example=_llava_w,
    ),
    hub_preparation(
        name="mm_vet",
        category="general",
        description="Open questions that need several capabilities at once.",
        licence="CC BY-NC 4.0; pictures, see publisher (yuweihao/MM-Vet)",
        repository="lmms-lab/MMVet",
        files=_TEST,
        columns=("question_id", "capability", *_QUESTION),
        example=_mm_vet,
    ),
    hub_preparation(
        name="realworldqa",
        category="general",
        description="Questions on photos of the world, many of them taken from vehicles.",
        licence="CC BY-ND 4.0",
        repository="xai-org/RealworldQA or lmms-lab/RealWorldQA",
        files=_TEST,
        columns=_QUESTION,
        example=_realworldqa,
    ),
    hub_preparation(
        name="ocrbench",
        category="text_rich",
        description="A thousand questions of reading: words, scenes, documents, formulas.",
        licence="see publisher (echo840/OCRBench)",
        repository="echo840/OCRBench",
        files=_TEST,
        columns=("dataset", "question_type", *_QUESTION),
        example=_ocrbench,
    ),
)
