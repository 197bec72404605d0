"""What pre-training is judged by: captions and questions as MM1 asks them, for shots.

MM1 (arXiv 2403.09611, section 3.1 and its appendix on few-shot evaluation) prompts "{IMAGE} A photo
of" for captions and "{IMAGE} Question: {QUESTION} Short answer:" for questions, shots being the
same with their answers. A pre-trained model knows no turns, so an example is a document: picture,
prompt, answer. Shots are drawn from split "train"; where a data set has none, MM1 takes them from
the split it scores: of NoCaps about one picture in `_HELD_FOR_SHOTS` is kept for them and is not
scored.

Formats: those of the data sets themselves (`captions`, `vqa`, `text_reading`, `json_questions`),
and for COCO dataset_coco.json of Karpathy's caption_datasets.zip: {images: [{filepath, filename,
cocoid, split, sentences: [{raw}]}]}. Of each training split the first part is prepared: shots need
no more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from mm15_jax.data.convert import captions, json_questions, text_reading, vqa
from mm15_jax.data.convert.prompts import SHORT_ANSWER, UNANSWERABLE, pick
from mm15_jax.data.convert.questions import Maker
from mm15_jax.data.convert.reading import file_preparation, json_array, uncounted
from mm15_jax.data.preparation import BadRecord, DataError, Part, Preparation
from mm15_jax.data.source import Source
from mm15_jax.inputs.example import Example, Image, Segment, Text

CAPTION = "A photo of"
QUESTION = "Question: {} Short answer:"
_HELD_FOR_SHOTS = 128
_MODULES = (captions, vqa, text_reading, json_questions)


def document(images: Sequence[Image], prompt: str, answer: str) -> tuple[Segment, ...]:
    """Pictures, prompt and answer as one text of pre-training."""
    shown = [dataclasses.replace(image, role="document") for image in images]
    return (*shown, Text(prompt), Text(f" {answer.strip()}", loss=True))


def _asked(example: Example) -> tuple[list[Image], str, str]:
    """Pictures, question and answer of an example; of a dialogue one turn, chosen by its key."""
    images = [segment for segment in example.segments if isinstance(segment, Image)]
    texts = [segment.text for segment in example.segments if isinstance(segment, Text)]
    turn = pick(f"shot {example.key}", len(texts) // 2)
    question = texts[2 * turn].removesuffix(UNANSWERABLE).removesuffix(SHORT_ANSWER)
    return images, question.strip(), texts[2 * turn + 1]


def _rewritten(example: Example, name: str, category: str) -> Example:
    images, question, answer = _asked(example)
    prompt = CAPTION if category == "captions" else QUESTION.format(question)
    return dataclasses.replace(
        example, segments=document(images, prompt, answer), source=name, category=category
    )


def _derived(name: str, category: str, of: str) -> Preparation:
    """The data set `of`, asked as MM1 does."""
    base = next(p for module in _MODULES for p in module.PREPARATIONS if p.name == of)
    held = "train" not in base.splits  # shots are taken from what is scored otherwise

    def parts(split: str, source: Source | None) -> Sequence[Part]:
        if held:
            found = base.parts("validation", source)
            return [dataclasses.replace(part, records=None) for part in found]
        found = base.parts(split, source)
        return found[:1] if split == "train" else found

    def convert(split: str, part: Part, source: Source | None) -> Iterator[Example | BadRecord]:
        for item in base.convert("validation" if held else split, part, source):
            if isinstance(item, BadRecord):
                if not (held and split == "train"):
                    yield item
            elif not held or is_shot(item.key) == (split == "train"):
                yield _rewritten(item, name, category)

    return dataclasses.replace(
        base,
        name=name,
        category=category,
        description=f"{base.description.removesuffix('.')}; asked as MM1 does, for shots.",
        splits=("train", "validation"),
        parts=parts,
        convert=convert,
    )


def is_shot(key: str) -> bool:
    """Whether a picture of a data set without a training split is kept for shots."""
    return pick(f"shots {key}", _HELD_FOR_SHOTS) == 0


_KARPATHY = {"train": ("train", "restval"), "validation": ("val",), "test": ("test",)}


def _karpathy(maker: Maker, record: dict) -> Iterator[Example]:
    if record["split"] not in _KARPATHY[maker.split]:
        return
    references = [" ".join(sentence["raw"].split()) for sentence in record["sentences"]]
    references = [text for text in references if text]
    if not references:
        raise DataError("a picture without captions")
    name = f"{record['filepath']}/{record['filename']}"
    image = maker.picture(name, f"images/{name}", f"coco/{name}")
    key = record["filename"].rpartition(".")[0]
    answer = references[pick(key, len(references))]
    facts = {} if maker.trains else {"answer": references, "metric": "cider"}
    yield Example(document([image], CAPTION, answer), maker.name, key, maker.category, facts)


def _first_part(preparation: Preparation) -> Preparation:
    every: Callable[[str, Source | None], Sequence[Part]] = preparation.parts

    def parts(split: str, source: Source | None) -> Sequence[Part]:
        found = every(split, source)
        return found[:1] if split == "train" else found

    return dataclasses.replace(preparation, parts=parts)


PREPARATIONS: tuple[Preparation, ...] = (
    _first_part(
        file_preparation(
            name="mm1_coco",
            category="captions",
            description="Photos of COCO in Karpathy's splits, captioned; asked as MM1 does.",
            licence="CC BY 4.0; pictures by their authors, see publisher",
            format="karpathy",
            layout="dataset_coco.json of Karpathy's caption_datasets.zip, train2014/ and val2014/",
            files=dict.fromkeys(_KARPATHY, ("dataset_coco.json|karpathy/dataset_coco.json",)),
            reading=uncounted(json_array("images")),
            example=_karpathy,
        )
    ),
    _derived("mm1_nocaps", "captions", "nocaps"),
    _derived("mm1_textcaps", "captions", "textcaps"),
    _derived("mm1_vqav2", "general", "vqav2"),
    _derived("mm1_textvqa", "general", "textvqa"),
    _derived("mm1_vizwiz", "general", "vizwiz"),
    _derived("mm1_okvqa", "general", "okvqa"),
)
