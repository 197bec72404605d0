"""MM1.5-Video: image models on clips, as they are or fine-tuned (section 5).

A clip is 24 frames of 144 tokens: 3,456 of a row's 4,096, so a row has one clip and its dialogue.
The paper says which data and how many examples; steps are one pass over them, and all else is as in
SFT on images (BUILD_NOTES.md).
"""

import functools

from mm15_jax.config import (
    EvalConfig,
    ExperimentConfig,
    InitFrom,
    SplittingConfig,
    VideoConfig,
    replace_nested,
)
from mm15_jax.experiments import family

FRAMES = 24
EXAMPLES = 556_000 + 225_000 + 31_500  # of the paper's three sets
SIZES = ("1b", "3b", "7b")
EVAL = EvalConfig(
    benchmarks=("video",),
    batch_size=16,
)


def sft(size: str) -> ExperimentConfig:
    """Fine-tunes the image model on clips."""
    parent = family.sft(size)
    changes = {
        "name": f"mm15_video_{size}_sft",
        "family": f"video_{size}",
        "inputs.video": VideoConfig(FRAMES),
        "inputs.tiles_per_row": FRAMES,
        "inputs.splitting": SplittingConfig(mode="none", indicator="none"),
        "data.mixture": "video_sft",
        "train.steps": round(EXAMPLES / parent.train.batch_rows),
        "init_from": (InitFrom(f"mm15_{size}_sft"),),
        "eval": EVAL,
    }
    return replace_nested(parent, changes)


def training_free(size: str) -> ExperimentConfig:
    """Asks the image model about clips as it is: `mm15 eval`, nothing is trained."""
    changes: dict[str, object] = {
        "name": f"mm15_video_{size}_training_free",
        "stage": "evaluation",
    }
    return replace_nested(sft(size), changes)


EXPERIMENTS = {
    f"mm15_video_{size}_{variant.__name__}": functools.partial(variant, size)
    for size in SIZES
    for variant in (sft, training_free)
}
