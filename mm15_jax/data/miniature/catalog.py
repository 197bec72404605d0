"""The miniature's data sets by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mm15_jax.data.miniature import (
    charts,
    clips,
    glyphs,
    knowledge,
    markup,
    multi,
    ocr,
    reading,
    scenes,
    text,
    words,
)
from mm15_jax.data.miniature.dialogue import Built
from mm15_jax.data.miniature.sampling import SPLITS, Sampler
from mm15_jax.data.miniature.ui import questions, screens
from mm15_jax.data.preparation import Preparation, range_parts
from mm15_jax.inputs.example import Example, Text


@dataclass(frozen=True)
class GeneratedSet:
    """A generated data set.

    Attributes:
      name: of the data set.
      category: the mixture's category.
      description: one sentence.
      build: draws one example.
      train_count: number of training examples.
      ordered: whether training reads it in order, as a curriculum.
      version: raised when `build` draws other examples, or there are more: what was prepared
        before is then stale.
      held_out_count: number of examples of each of the two held-out splits.
    """

    name: str
    category: str
    description: str
    build: Callable[[Sampler], Built]
    train_count: int
    ordered: bool = False
    version: int = 1
    held_out_count: int = 512

    def count(self, split: str) -> int:
        """Number of examples of a split.

        Raises:
          ValueError: if there is no such split.
        """
        if split not in SPLITS:
            raise ValueError(f"{self.name} has the splits {', '.join(SPLITS)}, not {split!r}.")
        return self.train_count if split == "train" else self.held_out_count

    def sampler(self, split: str, index: int) -> Sampler:
        """The random choices of one example."""
        return Sampler(self.name, split, index, self.count(split))

    def example(self, split: str, index: int) -> Example:
        """Example `index` of a split: always the same one."""
        segments, metadata = self.build(self.sampler(split, index))
        return Example(
            segments=segments,
            source=self.name,
            key=f"{split}-{index:06d}",
            category=self.category,
            metadata=metadata,
        )

    def examples(self, split: str, indices: Iterable[int]) -> Iterator[Example]:
        """Examples of a split by their indices."""
        return (self.example(split, index) for index in indices)

    def preparation(self) -> Preparation:
        """How `mm15 prepare` writes it."""
        return Preparation(
            name=self.name,
            category=self.category,
            description=self.description,
            licence="generated; fonts: DejaVu and STIX licences"
            + ("; icons: MIT, ISC and Apache 2.0" if self.category == "ui" else ""),
            splits=SPLITS,
            parts=lambda split, source: range_parts(self.name, self.count(split)),
            convert=lambda split, part, source: self.examples(split, range(part.start, part.stop)),
            ordered=self.ordered,
            version=self.version,
        )


SETS: dict[str, GeneratedSet] = {
    generated.name: generated
    for generated in (
        GeneratedSet(
            "mini_glyphs",
            "encoder",
            "Print and shapes with a label for each patch, to pretrain the encoder.",
            glyphs.dense_labels,
            48_000,
        ),
        GeneratedSet(
            "mini_text",
            "text",
            "Sentences, word lists and exercises, to pretrain the text decoder.",
            text.plain_text,
            16_000,
            version=2,
        ),
        GeneratedSet(
            "mini_noisy_text",
            "text",
            "The same sentences with words out of order and letters wrong.",
            text.noisy_text,
            8_000,
        ),
        GeneratedSet(
            "mini_captions",
            "general",
            "Scenes of coloured shapes with a caption.",
            scenes.caption,
            8_000,
        ),
        GeneratedSet(
            "mini_dense_captions",
            "general",
            "Scenes with a caption of what stands where.",
            scenes.dense_caption,
            8_000,
        ),
        GeneratedSet(
            "mini_relation_captions",
            "general",
            "Scenes with a caption of how shapes stand to each other.",
            scenes.relation_caption,
            8_000,
        ),
        GeneratedSet(
            "mini_interleaved",
            "general",
            "Documents of two or three scenes with text that refers to them.",
            scenes.interleaved,
            4_000,
        ),
        GeneratedSet(
            "mini_words",
            "text_rich",
            "Words and their text, from one letter to five: a curriculum.",
            ocr.words,
            150_000,
            ordered=True,
            version=2,
        ),
        GeneratedSet(
            "mini_ocr",
            "text_rich",
            "Print and its text: words, pages, strips, tables and charts.",
            ocr.transcribe,
            24_000,
            version=2,
        ),
        GeneratedSet(
            "mini_scene_qa",
            "general",
            "Colour, shape, number and presence of shapes.",
            scenes.scene_question,
            10_000,
            version=2,
            # The only benchmark of its category, of which most others have two to six.
            held_out_count=2048,
        ),
        GeneratedSet(
            "mini_word_qa",
            "text_rich",
            "What does the word in the picture say?",
            reading.word_question,
            8_000,
            version=2,
        ),
        GeneratedSet(
            "mini_document_qa",
            "text_rich",
            "What does a line of the page say?",
            reading.document_question,
            10_000,
            version=2,
        ),
        GeneratedSet(
            "mini_banner_qa",
            "text_rich",
            "What does a line of a high strip, or a word of a wide one, say?",
            reading.banner_question,
            8_000,
        ),
        GeneratedSet(
            "mini_poster_qa",
            "text_rich",
            "What does a line of a large page say?",
            reading.poster_question,
            8_000,
        ),
        GeneratedSet(
            "mini_chart_qa",
            "text_rich",
            "Values and extremes of a bar chart.",
            charts.chart_question,
            10_000,
        ),
        GeneratedSet(
            "mini_table_qa",
            "text_rich",
            "Cells of a small ruled table.",
            charts.table_question,
            8_000,
            version=2,
        ),
        GeneratedSet(
            "mini_arithmetic_qa",
            "knowledge",
            "Printed sums and differences of numbers up to six.",
            knowledge.arithmetic_question,
            6_000,
        ),
        GeneratedSet(
            "mini_diagram_qa",
            "knowledge",
            "Multiple choice on arrows, pies and polygons.",
            knowledge.diagram_question,
            6_000,
            version=2,
        ),
        GeneratedSet(
            "mini_code",
            "code",
            "A scene written as code.",
            markup.code_question,
            6_000,
        ),
        GeneratedSet(
            "mini_grounding",
            "refer_ground",
            "The box of a named shape.",
            scenes.grounding,
            12_000,
            version=2,
        ),
        GeneratedSet(
            "mini_referring",
            "refer_ground",
            "What is in a box or at a point?",
            scenes.referring,
            6_000,
            version=2,
        ),
        GeneratedSet(
            "mini_compare",
            "multi_image",
            "Questions on two pictures: which one, or what is in one.",
            multi.compare,
            6_000,
            version=2,
        ),
        GeneratedSet(
            "mini_instructions",
            "text",
            "Exercises in text alone.",
            text.instruction,
            6_000,
            version=2,
        ),
        *(
            GeneratedSet(f"mini_video_{build.__name__}", "video", description, build, 4_000)
            for build, description in (
                (clips.direction, "Where a moving shape is going."),
                (clips.order, "Which of four shapes follows another in a clip."),
                (clips.count, "How many shapes come in a clip, one after the other."),
                (clips.collide, "Whether two shapes that meet come back or pass."),
            )
        ),
        *(
            GeneratedSet(
                f"mini_ui_{task}_{platform}",
                "ui",
                description,
                build(platform),
                count,
                version=version,
            )
            for platform in screens.PLATFORMS
            for task, build, count, version, description in (
                ("ref", questions.referring, 6_000, 2, "What is at a place of a screen"),
                ("grd", questions.grounding, 9_000, 1, "Where a thing is on a screen"),
            )
        ),
        GeneratedSet(
            "mini_ui_parts",
            "ui",
            "What is in a part of a screen, and where.",
            questions.parts,
            12_000,
            version=2,
        ),
        GeneratedSet(
            "mini_ui_describe",
            "ui",
            "What kind of screen it is.",
            questions.description,
            3_000,
        ),
        GeneratedSet(
            "mini_ui_talk",
            "ui",
            "Conversations about a screen: described, searched, then asked about what was found.",
            questions.conversation,
            5_000,
        ),
    )
}

PREPARATIONS: tuple[Preparation, ...] = tuple(s.preparation() for s in SETS.values())

_CORPUS_EXAMPLES = 400  # of each data set: every template comes many times


def tokenizer_corpus() -> Iterator[str]:
    """Lines to train the nano tokenizer on.

    Every question, answer and document of the first training examples, with pseudo-words and
    numbers written as separate characters (`words.spaced_out`), so that pieces are learned for the
    templates only. The dense labels are left out: `words.LABEL_SYMBOLS` lists their symbols; and
    so are clips and screens, whose questions have words of the others, or of a list.
    """
    for name, generated in SETS.items():
        if name == "mini_glyphs" or generated.category in ("video", "ui"):
            continue
        for example in generated.examples("train", range(_CORPUS_EXAMPLES)):
            for segment in example.segments:
                if isinstance(segment, Text):
                    yield from words.spaced_out(segment.text).splitlines()
    yield " ".join(words.UI_WORDS)
