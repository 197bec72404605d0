"""What the nano tokenizer promises: prompts are words, what is to be read is letters."""

import string

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from mm15_jax.inputs.train_tokenizer import INDICATORS, train_nano_tokenizer

_LETTERS = st.text(string.ascii_letters, min_size=1, max_size=9)


def pieces(nano, text):
    return [nano.decode([i]) for i in nano.encode(text)]


def test_fixed_ids(nano):
    assert (nano.pad_id, nano.eos_id, nano.image_id) == (0, 1, 6)
    assert nano.role_ids == {"document": (), "user": (3,), "assistant": (4,), "system": (5,)}


@settings(max_examples=300, deadline=None)
@given(st.text(string.ascii_letters + string.digits + string.punctuation + " \n", max_size=60))
def test_the_alphabet_comes_back_unchanged(nano, text):
    assert nano.decode(nano.encode(text)) == text


def test_the_whole_alphabet_costs_at_most_a_token_a_character(nano):
    assert "\t" not in string.ascii_letters + string.punctuation
    for character in map(chr, [10, *range(32, 127)]):
        assert len(nano.encode(character)) == 1
        assert nano.decode(nano.encode(character)) == character


def test_words_of_prompts_are_one_token(nano):
    assert pieces(nano, "What is the word in the picture?")[0] == "What"
    assert " the" in pieces(nano, "Where is the red circle?")
    assert " circle" in pieces(nano, "Where is the red circle?")
    assert pieces(nano, "left") == ["left"]


@given(st.lists(_LETTERS, min_size=1, max_size=4))
def test_words_to_be_read_are_single_letters(nano, corpus, words):
    known = {word.strip(string.punctuation) for line in corpus for word in line.split()}
    if any(k in word for k in known for word in words if len(k) > 2):
        return
    text = " ".join(words)
    assert pieces(nano, text) == list(text)


def test_digits_stay_apart(nano):
    assert pieces(nano, "<100,200,300,400>") == list("<100,200,300,400>")


def test_position_indicators_are_one_token(nano):
    assert len(INDICATORS) == 8 + 2 * 16
    for indicator in (*INDICATORS, "<n>", ":", ","):
        assert len(nano.encode(indicator)) == 1
    assert len(nano.encode("(0,1,5)")) == 7


def test_markers_in_a_text_are_plain_characters(nano):
    for text in ("<user>", "<assistant>", "<image>", "</s>", "<pad>"):
        ids = nano.encode(text)
        assert len(ids) == len(text)
        assert nano.decode(ids) == text


def test_unknown_characters_cost_one_token_and_no_error(nano):
    ids = nano.encode("a\u6f22b")
    assert len(ids) == 3
    assert ids[1] == 2


def test_training_is_reproducible_and_the_file_is_plain_sentencepiece(tmp_path, nano, corpus):
    again = train_nano_tokenizer(corpus, tmp_path / "deep" / "nano.model", vocab_size=512)
    assert again.fingerprint == nano.fingerprint
    plain = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "deep" / "nano.model"))
    text = "Read the word, tolan miru (0,1,2)\n"
    assert plain.encode(text) == nano.encode(text)


def test_vocab_size_is_a_ceiling_that_keeps_the_most_frequent_words(tmp_path):
    lines = ["say zebra"] * 9 + ["say mouse"] * 8 + ["say horse"] * 7
    free = train_nano_tokenizer(lines, tmp_path / "a.model", vocab_size=512).vocab_size
    assert free < 512
    small = train_nano_tokenizer(lines, tmp_path / "b.model", vocab_size=free - 1)
    assert small.vocab_size == free - 1
    assert pieces(small, " zebra") == [" zebra"]


def test_further_symbols_are_one_token_wherever_they_stand(tmp_path, corpus):
    path = tmp_path / "a.model"
    nano = train_nano_tokenizer(corpus, path, vocab_size=512, symbols=["[a]", "[red]"])
    assert pieces(nano, "[red][a]x[a]") == ["[red]", "[a]", "x", "[a]"]
    assert nano.decode(nano.encode("[red][a]x[a]")) == "[red][a]x[a]"


def test_a_vocabulary_without_room_is_an_error(tmp_path, corpus):
    with pytest.raises(ValueError, match="need 14"):
        train_nano_tokenizer(corpus, tmp_path / "a.model", vocab_size=100)
    with pytest.raises(ValueError, match="No lines"):
        train_nano_tokenizer([], tmp_path / "a.model", vocab_size=512)
