"""The decoder alone, on text, at widths that other codebases are measured at.

They are for comparisons (benchmarks/, docs/performance.md): no row has a tile, so that no encoder
runs. `text_3b` is dense, `text_moe64` has 64 experts in each of 13 layers, `text_tiny` trains on a
CPU.
"""

from mm15_jax.config import (
    DataConfig,
    DecoderConfig,
    ExperimentConfig,
    InputsConfig,
    ModelConfig,
    OptimizerConfig,
    SplittingConfig,
    TrainConfig,
    replace_nested,
)
from mm15_jax.config.schema import MoEConfig
from mm15_jax.experiments import nano


def text_3b() -> ExperimentConfig:
    """26 dense layers, four sequences of 4,096 tokens on each of 64 devices."""
    return ExperimentConfig(
        name="text_3b",
        family="3b",
        stage="text",
        model=ModelConfig(
            nano.ENCODER,  # declared, and never run
            nano.CONNECTOR,
            DecoderConfig(
                vocab_size=49_152,
                width=3072,
                layers=26,
                ffn_width=8192,
                heads=24,
                kv_heads=8,
                head_dim=128,
                rope_theta=1e4,
                qk_norm=False,
                tie_embeddings=False,
            ),
        ),
        inputs=InputsConfig(
            tokenizer="",
            sequence_length=4096,
            tiles_per_row=0,
            splitting=SplittingConfig(mode="none", indicator="none"),
        ),
        data=DataConfig(mixture="nano_text"),
        optimizer=OptimizerConfig(name="adamw", peak_learning_rate=3e-4, warmup_steps=100),
        train=TrainConfig(steps=1000, batch_rows=256),
    )


def text_moe64() -> ExperimentConfig:
    """13 layers of 64 experts, two for each token, of the same widths."""
    changes = {
        "name": "text_moe64",
        "model.decoder.layers": 13,
        "model.decoder.moe": MoEConfig(experts=64, every=1, capacity_factor=1.25),
    }
    return replace_nested(text_3b(), changes)


def text_tiny() -> ExperimentConfig:
    """Four layers of width 256, eight sequences of 512 tokens, for one CPU."""
    changes = {
        "name": "text_tiny",
        "family": "nano",
        "model.decoder": DecoderConfig(
            vocab_size=4096,
            width=256,
            layers=4,
            ffn_width=1024,
            heads=4,
            kv_heads=2,
            head_dim=64,
            rope_theta=1e4,
            qk_norm=False,
            tie_embeddings=False,
        ),
        "inputs.sequence_length": 512,
        "train": TrainConfig(steps=20, batch_rows=8),
    }
    return replace_nested(text_3b(), changes)


EXPERIMENTS = {function.__name__: function for function in (text_3b, text_moe64, text_tiny)}
