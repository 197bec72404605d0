import re

import pytest

from mm15_jax.config import SplittingConfig
from mm15_jax.data.miniature import (
    LABEL_SYMBOLS,
    PREPARATIONS,
    SETS,
    TOKENIZER_SYMBOLS,
    tokenizer_corpus,
    trivial_baseline,
)
from mm15_jax.data.miniature.words import TEMPLATE_WORDS, draw_word, unknown_words, word_split
from mm15_jax.evaluation.metrics import score_answer
from mm15_jax.inputs.example import Image, Text
from mm15_jax.inputs.image_splitting import plan_tiling
from mm15_jax.inputs.tiles import image_size
from mm15_jax.inputs.train_tokenizer import train_nano_tokenizer

UNSCORED = {
    "mini_text",
    "mini_noisy_text",
    "mini_captions",
    "mini_dense_captions",
    "mini_relation_captions",
    "mini_interleaved",
}
SCORED = sorted(set(SETS) - UNSCORED)


def texts(example):
    return [segment.text for segment in example.segments if isinstance(segment, Text)]


@pytest.mark.parametrize("name", SETS)
def test_an_example_depends_on_its_index_alone(name):
    generated = SETS[name]
    forward = list(generated.examples("train", range(5, 12)))
    backward = [generated.example("train", i) for i in reversed(range(5, 12))]
    assert forward == backward[::-1]
    assert len({example.key for example in forward}) == 7


@pytest.mark.parametrize("name", SETS)
def test_segments_are_well_formed(name):
    for split in ("train", "test"):
        for example in SETS[name].examples(split, range(20)):
            assert example.source == name
            assert any(isinstance(s, Text) and s.loss and s.text for s in example.segments)
            for segment in example.segments:
                if isinstance(segment, Image):
                    assert image_size(segment.data) == (segment.height, segment.width)
            roles = {segment.role for segment in example.segments}
            assert roles in ({"document"}, {"user", "assistant"})
            if roles != {"document"}:
                answer = example.segments[-1]
                assert answer.role == "assistant" and answer.text == example.metadata["answer"]
                if split == "test":  # one answer is asked for, the last one
                    assert not any(getattr(s, "loss", False) for s in example.segments[:-1])


@pytest.mark.parametrize("name", SCORED)
def test_the_true_answer_gets_the_full_score(name):
    for split in ("validation", "test"):
        for example in SETS[name].examples(split, range(60)):
            assert score_answer(example.metadata["answer"], example) == 1, example.metadata


def test_sets_cover_every_category_and_sum_to_what_minutes_can_draw():
    assert {p.category for p in PREPARATIONS} == {
        "encoder", "text", "general", "text_rich", "knowledge", "refer_ground", "multi_image",
        "video", "ui", "code",
    }  # fmt: skip
    assert 100_000 <= sum(s.count("train") for s in SETS.values()) <= 460_000
    for name, generated in SETS.items():
        held_out = 2048 if name == "mini_scene_qa" else 512
        assert generated.count("test") == generated.count("validation") == held_out
    assert [p.name for p in PREPARATIONS if p.ordered] == ["mini_words"]


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="train, validation, test, not 'val'"):
        SETS["mini_ocr"].count("val")


@pytest.mark.parametrize("name", sorted(set(SETS) - {"mini_glyphs"}))
def test_splits_share_no_word(name):
    for split in ("train", "validation", "test"):
        for example in SETS[name].examples(split, range(100)):
            kind = example.metadata["kind"]
            if kind in ("backwards", "document", "arrows", "noisy"):
                continue  # a word written backwards is an answer, not a word of the list
            for word in unknown_words(texts(example)):
                assert len(word) < 3 or word_split(word) == split


TEXT_ALONE = {"mini_text", "mini_noisy_text", "mini_instructions"}


@pytest.mark.parametrize("name", sorted(set(SETS) - TEXT_ALONE))
def test_held_out_sets_share_no_layout_and_no_font_with_training(name):
    layouts, fonts, pictures = {}, {}, {}
    for split in ("train", "validation", "test"):
        samplers = [SETS[name].sampler(split, i) for i in range(150)]
        built = [SETS[name].build(sampler)[0] for sampler in samplers]
        layouts[split] = {layout for s in samplers for layout in s.layouts}
        fonts[split] = {font for s in samplers for font in s.used_fonts}
        pictures[split] = {s.data for segments in built for s in segments if isinstance(s, Image)}
        assert layouts[split]
    for held_out in ("validation", "test"):
        assert not layouts["train"] & layouts[held_out]
        assert not fonts["train"] & fonts[held_out]
        assert not pictures["train"] & pictures[held_out]
    assert not pictures["validation"] & pictures["test"]


def test_no_two_examples_start_from_one_seed():
    seeds = [
        SETS[name].sampler(split, i).rng.random()
        for name in SETS
        for split in ("train", "validation", "test")
        for i in range(50)
    ]
    assert len(set(seeds)) == len(seeds)


def test_words_become_longer_as_training_goes_on():
    generated = SETS["mini_words"]

    def kinds(start):
        return [e.metadata["kind"] for e in generated.examples("train", range(start, start + 60))]

    starts = range(0, 149_900, 20_600)
    longest = [max(set(kinds(start)) - {"number"}) for start in starts]
    assert longest == sorted(longest)
    assert set(kinds(0)) == {"1 letters"} and longest[-1] == "5 letters"
    assert "number" in kinds(149_900)


def test_print_to_read_is_of_all_kinds():
    kinds = {e.metadata["kind"] for e in SETS["mini_ocr"].examples("test", range(100))}
    assert kinds > {"page", "line", "banner", "cell", "chart", "number", "5 letters"}


def test_strips_and_posters_take_the_sub_images_they_are_made_for():
    for name, most, tiles in (("mini_banner_qa", 4, {3, 4}), ("mini_poster_qa", 9, {9})):
        for example in SETS[name].examples("test", range(60)):
            picture = example.segments[0]
            tiling = plan_tiling(
                picture.height,
                picture.width,
                resolution=48,
                splitting=SplittingConfig(n_min=1, n_max=most, overview="none"),
                images_in_example=1,
            )
            assert tiling.num_tiles in tiles, (picture.height, picture.width)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "nano.model"
    corpus = list(tokenizer_corpus())
    assert {w for line in corpus for w in re.findall("[a-z]{2,}", line)} <= TEMPLATE_WORDS
    return train_nano_tokenizer(corpus, path, vocab_size=512, symbols=TOKENIZER_SYMBOLS)


def test_dense_labels_are_one_token_a_patch(tokenizer):
    symbols = {tokenizer.encode(symbol)[0] for symbol in LABEL_SYMBOLS}
    assert len(symbols) == len(LABEL_SYMBOLS)
    for split in ("train", "validation"):
        for example in SETS["mini_glyphs"].examples(split, range(100)):
            ids = tokenizer.encode(texts(example)[0])
            assert len(ids) == 36 and set(ids) <= symbols


def test_pseudo_words_are_read_letter_by_letter(tokenizer):
    rng = SETS["mini_ocr"].sampler("train", 0).rng
    for _ in range(2000):
        word = draw_word(rng, rng.randint(1, 8), "train")
        assert len(tokenizer.encode(word)) == len(word)
        assert len(tokenizer.encode(f"line {word}.")) == len(tokenizer.encode("line .")) + len(word)


def test_every_word_of_the_templates_comes_in_the_corpus():
    seen = {word for line in tokenizer_corpus() for word in re.findall("[a-z]+", line)}
    # The shipped tokenizer has these as pieces, from questions that are not asked any more.
    assert seen >= TEMPLATE_WORDS - {"same", "different"}


def test_trivial_baselines():
    assert trivial_baseline("mini_word_qa", "test") < 1
    assert 30 <= trivial_baseline("mini_compare", "test") <= 45
    assert 25 <= trivial_baseline("mini_diagram_qa", "test") <= 45
    assert 1 <= trivial_baseline("mini_grounding", "test") <= 20
    with pytest.raises(ValueError, match="mini_captions is not scored"):
        trivial_baseline("mini_captions", "test")
    with pytest.raises(ValueError, match="mini_word_qa"):
        trivial_baseline("mini_wordqa", "test")
