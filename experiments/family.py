"""The family: 1B, 3B, 7B, 30B, and 1B and 3B with 64 experts, in three stages each (section 4).

Widths are assumed after AXLearn's honeycrisp models (BUILD_NOTES.md); everything else is the
paper's, or MM1's where the paper says that it is unchanged.
"""

import dataclasses
import functools
import math

from mm15_jax.config import (
    CheckpointConfig,
    ConnectorConfig,
    DataConfig,
    DecoderConfig,
    EncoderConfig,
    EvalConfig,
    ExperimentConfig,
    InitFrom,
    InputsConfig,
    ModelConfig,
    MoEConfig,
    OptimizerConfig,
    SplittingConfig,
    TrainConfig,
    replace_nested,
)

DECODERS = {
    "1b": DecoderConfig(vocab_size=49_152, width=2048, layers=24, ffn_width=5376, heads=16),
    "3b": DecoderConfig(vocab_size=49_152, width=3072, layers=26, ffn_width=8064, heads=24),
    "7b": DecoderConfig(vocab_size=100_352, width=4096, layers=32, ffn_width=13_056, heads=32),
    "30b": DecoderConfig(vocab_size=100_352, width=7168, layers=48, ffn_width=22_848, heads=56),
}
# 64 experts in place of the FFN of every second layer; all else is the dense model's.
DECODERS |= {
    f"{size}_moe": dataclasses.replace(DECODERS[size], moe=MoEConfig(experts=64))
    for size in ("1b", "3b")
}
# Decoder parameters with the embedding tied: N of MM1's learning-rate law,
# for the models with experts as well ("the same hyper-parameters as dense").
DECODER_PARAMETERS = {
    "1b": 1_195_483_136,
    "3b": 2_737_739_264,
    "7b": 6_887_321_600,
    "30b": 29_940_698_112,
}


def peak_learning_rate(decoder_parameters: int) -> float:
    """MM1's law for pre-training: exp(-0.4214 ln N - 0.5535) (MM1, equation 1)."""
    return math.exp(-0.4214 * math.log(decoder_parameters) - 0.5535)


def pretrain(size: str) -> ExperimentConfig:
    return ExperimentConfig(
        name=f"mm15_{size}_pretrain",
        family=size,
        stage="pretrain",
        model=ModelConfig(EncoderConfig(), ConnectorConfig(), DECODERS[size]),
        inputs=InputsConfig(
            tokenizer="",  # a user's own: --set inputs.tokenizer=PATH
            tiles_per_row=16,  # MM1: up to 16 images a sequence
            splitting=SplittingConfig(mode="none", indicator="none"),
        ),
        data=DataConfig(mixture="pretrain"),
        optimizer=OptimizerConfig(
            peak_learning_rate=peak_learning_rate(DECODER_PARAMETERS[size.removesuffix("_moe")]),
            warmup_steps=2000,
            end_ratio=0.1,
            b1=0.0,  # AdaFactor without momentum
        ),
        train=TrainConfig(steps=200_000, batch_rows=512),
        checkpoint=CheckpointConfig(every=2000),
        eval=EvalConfig(benchmarks=("few_shot",)),
    )


def continual(size: str) -> ExperimentConfig:
    """High-resolution continual pre-training on OCR data: 2x2 sub-images of 672 pixels."""
    changes = {
        "name": f"mm15_{size}_continual",
        "stage": "continual",
        "model.encoder.resolution": 672,
        "inputs.tiles_per_row": 20,
        "inputs.splitting": SplittingConfig(mode="static"),
        "data.mixture": "continual_ocr",
        "optimizer": OptimizerConfig(peak_learning_rate=1e-5, b1=0.0),
        "train": TrainConfig(steps=30_000, batch_rows=256),
        "init_from": (InitFrom(f"mm15_{size}_pretrain"),),
    }
    return replace_nested(pretrain(size), changes)


def sft(size: str) -> ExperimentConfig:
    """Supervised fine-tuning on the final mixture with dynamic splitting (4, 9)."""
    changes = {
        "name": f"mm15_{size}_sft",
        "stage": "sft",
        "inputs.splitting": SplittingConfig(),
        "inputs.tiles_per_row": 22,  # fills tokens and tiles alike (benchmarks/data/packing.py)
        "data.mixture": "sft_all",
        "optimizer.peak_learning_rate": 2e-5,
        "train.steps": 23_000,
        "init_from": (InitFrom(f"mm15_{size}_continual"),),
        "eval.benchmarks": ("paper",),
    }
    return replace_nested(continual(size), changes)


EXPERIMENTS = {
    f"mm15_{size}_{stage.__name__}": functools.partial(stage, size)
    for size in DECODERS
    for stage in (pretrain, continual, sft)
}
