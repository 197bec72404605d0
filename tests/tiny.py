"""An experiment small enough for tests, and its data: shared by the tests of several packages."""

import pathlib

from mm15_jax.config import ConnectorConfig, DecoderConfig, EncoderConfig, load, replace_nested
from mm15_jax.data import registry
from mm15_jax.data.prepare import prepare

DATASETS = (
    "mini_scene_qa",
    "mini_word_qa",
    "mini_document_qa",
    "mini_banner_qa",
    "mini_poster_qa",
    "mini_chart_qa",
    "mini_table_qa",
    "mini_arithmetic_qa",
    "mini_diagram_qa",
    "mini_code",
    "mini_grounding",
    "mini_referring",
    "mini_compare",
    "mini_instructions",
)


def experiment(**changes):
    """`mm15_nano_sft` with a model of a few thousand parameters and six steps."""
    small = {
        "model.encoder": EncoderConfig(
            resolution=48,
            patch_size=16,
            width=16,
            layers=1,
            heads=2,
            mlp_width=32,
            class_token=False,
            remat="none",
        ),
        "model.connector": ConnectorConfig(tokens=4, hidden=16, depth=1),
        "model.decoder": DecoderConfig(
            vocab_size=480,
            width=16,
            layers=1,
            ffn_width=32,
            heads=2,
            kv_heads=1,
            head_dim=8,
            remat="none",
        ),
        "inputs.sequence_length": 96,
        "inputs.tiles_per_row": 6,
        "train.steps": 6,
        "train.batch_rows": 4,
        "train.log_every": 1,
        "checkpoint.every": 2,
        "data.window": 32,
        "init_from": (),
    }
    return replace_nested(load("mm15_nano_sft"), {**small, **changes})


def prepare_data(directory: pathlib.Path, names=DATASETS, limit: int = 24) -> pathlib.Path:
    """The first examples of each data set of the SFT mixture."""
    for name in names:
        prepare(registry.get(name), directory, workers=1, limit=limit, progress=lambda event: None)
    return directory
