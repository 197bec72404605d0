"""MM1.5-UI: image models fine-tuned on screens of phones (section 6), and its ablation (table 12).

The paper gives the data, 801k examples, and that batch and learning rate are those of SFT. How many
epochs it trained it does not say, only that one epoch is less (BUILD_NOTES.md). Pictures are split
as in SFT: the grid follows the aspect, so that a long screen gets more rows than columns.
"""

import functools

from mm15_jax.config import ExperimentConfig, InitFrom, replace_nested
from mm15_jax.experiments import family

EXAMPLES = 801_000
EXAMPLES_A_ROW = 2  # of 22 tiles: a phone's screen has eight or nine, overview included
EPOCHS = 3
SIZES = ("1b", "3b", "7b", "30b")


def ui(size: str, epochs: int = EPOCHS) -> ExperimentConfig:
    """Fine-tunes the final image model on screens."""
    parent = family.sft(size)
    changes = {
        "name": f"mm15_ui_{size}",
        "family": f"ui_{size}",
        "data.mixture": "ui_sft",
        "train.steps": round(epochs * EXAMPLES / (parent.train.batch_rows * EXAMPLES_A_ROW)),
        "init_from": (InitFrom(f"mm15_{size}_sft"),),
        "eval.benchmarks": ("ui",),
    }
    return replace_nested(parent, changes)


def one_epoch() -> ExperimentConfig:
    """The last rows of table 12: 3B for one epoch, from MM1.5's SFT."""
    return replace_nested(ui("3b", epochs=1), {"name": "mm15_ui_3b_1_epoch"})


def one_epoch_without_sft() -> ExperimentConfig:
    """The same from what MM1.5's SFT started from: does SFT help with screens?"""
    changes = {
        "name": "mm15_ui_3b_1_epoch_without_sft",
        "init_from": family.sft("3b").init_from,
    }
    return replace_nested(one_epoch(), changes)


EXPERIMENTS = {
    **{f"mm15_ui_{size}": functools.partial(ui, size) for size in SIZES},
    "mm15_ui_3b_1_epoch": one_epoch,
    "mm15_ui_3b_1_epoch_without_sft": one_epoch_without_sft,
}
