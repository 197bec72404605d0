"""A model of a few thousand parameters that answers, and what to ask it."""

import io

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image as Picture

from mm15_jax.config.schema import (
    ConnectorConfig,
    DecoderConfig,
    EncoderConfig,
    InputsConfig,
    ModelConfig,
    SplittingConfig,
)
from mm15_jax.inputs.example import Example, Image, Text
from mm15_jax.inputs.tokenizer import Tokenizer
from mm15_jax.model import mllm


class LetterTokenizer(Tokenizer):
    """One id a printable ASCII character, from 8 on."""

    pad_id, eos_id, image_id = 0, 1, 2
    role_ids = {"document": (), "user": (3,), "assistant": (4,), "system": (5,)}  # noqa: RUF012
    vocab_size = 8 + 95
    fingerprint = "letters"

    def encode(self, text):
        return [8 + ord(c) - 32 for c in text if 32 <= ord(c) < 127]

    def decode(self, ids):
        return "".join(chr(i - 8 + 32) for i in ids if i >= 8)


def model():
    return ModelConfig(
        EncoderConfig(
            resolution=16, patch_size=8, width=16, layers=1, heads=2, mlp_width=32, remat="none"
        ),
        ConnectorConfig(kind="linear", tokens=4),  # the C-Abstractor compiles for longer
        DecoderConfig(
            vocab_size=112,
            width=32,
            layers=2,
            ffn_width=48,
            heads=4,
            kv_heads=2,
            head_dim=8,
            remat="none",
        ),
    )


def inputs():
    return InputsConfig(
        sequence_length=256, tiles_per_row=8, splitting=SplittingConfig(n_min=1, n_max=4)
    )


def params(model: ModelConfig):
    # Larger weights than at initialisation: answers that depend on the prompt and sometimes end.
    shapes = jax.eval_shape(lambda: mllm.init_params(model, jax.random.key(0)))
    rng = np.random.default_rng(7)

    def draw(path, x):
        if "scale" in jax.tree_util.keystr(path):
            return jnp.ones(x.shape)
        deviation = 0.1 if "embedding" in jax.tree_util.keystr(path) else 2 / x.shape[0] ** 0.5
        return jnp.asarray(rng.normal(0, deviation, x.shape), x.dtype)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def random_picture(height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    file = io.BytesIO()
    Picture.fromarray(pixels).save(file, "png")
    return Image(file.getvalue(), height, width, role="user")


def make_example(question, sizes=(), answer="unread"):
    pictures = [random_picture(*size, seed=i + len(question)) for i, size in enumerate(sizes)]
    texts = [Text(question, "user"), Text(answer, "assistant", loss=True)]
    return Example((*pictures, *texts), "tests", f"{question}-{sizes}", "general", {})


def examples():
    """Text only, one tile, several tiles, two pictures, short and long: three shapes."""
    return [
        make_example("what?"),
        make_example("where is it?", [(16, 16)]),
        make_example("read this for me", [(16, 32)]),
        make_example("same?", [(16, 16), (12, 20)]),
        make_example("a longer question without any picture at all, by far"),
        make_example("how many?", [(20, 10)]),
        make_example("colour?", [(16, 16)]),
        make_example("name the thing", [(9, 7)]),
        make_example("b?"),
    ]
