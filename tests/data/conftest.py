"""Small data sets with pictures, texts and labels, written once a session."""

import io

import numpy as np
import PIL.Image
import pytest

from mm15_jax import config as config_lib
from mm15_jax.config import (
    ConnectorConfig,
    DataConfig,
    EncoderConfig,
    ExperimentConfig,
    InputsConfig,
    ModelConfig,
    SplittingConfig,
    TrainConfig,
)
from mm15_jax.config.mixtures import Group
from mm15_jax.data.records import write_dataset
from mm15_jax.inputs.example import Example, Image, Text
from mm15_jax.inputs.train_tokenizer import train_nano_tokenizer


def png(height: int, width: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def picture_question(i: int, source: str = "pictures") -> Example:
    height, width = 16 + 7 * (i % 3), 16 + 9 * (i % 4)
    return Example(
        segments=(
            Image(png(height, width, i), height, width, role="user"),
            Text("what is it? " * (1 + i % 3), role="user"),
            Text(f"number {i}", role="assistant", loss=True),
        ),
        source=source,
        key=f"{source}/{i}",
        category="general",
        metadata={"answer": str(i), "metric": "exact_match"},
    )


def plain_text(i: int, source: str = "texts") -> Example:
    text = f"document {i} " + "word " * (i % 9)
    return Example((Text(text, loss=True),), source, f"{source}/{i}", "text", {})


@pytest.fixture(scope="session")
def tokenizer_path(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("tokenizer") / "test.model"
    train_nano_tokenizer(["what is it? number document word"] * 5, path, vocab_size=400)
    return str(path)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Two data sets: "pictures" (60 examples) and "texts" (45)."""
    root = tmp_path_factory.mktemp("datasets")
    write_dataset(root / "pictures" / "train", map(picture_question, range(60)), shards=3)
    write_dataset(root / "texts" / "train", map(plain_text, range(45)), shards=2)
    return root


@pytest.fixture(scope="session")
def config(tokenizer_path) -> ExperimentConfig:
    """Rows of 96 tokens and 6 tiles of 16 pixels with 4 vision tokens each."""
    return ExperimentConfig(
        name="test",
        family="nano",
        stage="sft",
        model=ModelConfig(EncoderConfig(resolution=16, patch_size=8), ConnectorConfig(tokens=4)),
        inputs=InputsConfig(
            tokenizer=tokenizer_path,
            sequence_length=96,
            tiles_per_row=6,
            splitting=SplittingConfig(n_min=1, n_max=4),
        ),
        data=DataConfig(window=32, decode_threads=2, prefetch=2),
        train=TrainConfig(batch_rows=4, seed=3),
    )


@pytest.fixture(scope="session")
def labelled_picture():
    """Makes pictures of one tile with a label for each of its 2 x 2 patches."""

    def make(i: int) -> Example:
        labels = "".join("abcd"[(i + k) % 4] for k in range(4))
        image = Image(png(16, 16, i), 16, 16)
        return Example((image, Text(labels, loss=True)), "labels", f"labels/{i}", "encoder", {})

    return make


@pytest.fixture
def mixture(monkeypatch):
    """The mixture of every experiment: the pictures, photos that are absent, and the texts."""
    groups = (
        Group("general", 3.0, ("pictures", "photos")),
        Group("text", 1.0, ("texts",)),
    )
    monkeypatch.setattr(config_lib, "mixture", lambda config: groups)
    return groups
