"""A small tokenizer of the nano kind for the tests of this package."""

import pytest

from mm15_jax.inputs.train_tokenizer import train_nano_tokenizer

CORPUS = [
    "What is the word in the picture?",
    "Where is the red circle?",
    "Read the text.",
    "left",
    "Yes, the circle is left of the square.",
    "<100,200,300,400>",
] * 5


@pytest.fixture(scope="session")
def corpus():
    return CORPUS


@pytest.fixture(scope="session")
def nano(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "nano.model"
    return train_nano_tokenizer(CORPUS, path, vocab_size=512)
