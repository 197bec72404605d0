"""What rows of ablations have in common: parents by scale, names, budgets (section 3.1)."""

import math
from collections.abc import Mapping
from typing import Any

from mm15_jax.config import ExperimentConfig, InitFrom, SplittingConfig, replace_nested
from mm15_jax.config.ablation import AblationRow
from mm15_jax.experiments import family, nano

PAPER_SCALE = "3b"  # of all ablations of section 3
SCALES = ("nano", "1b", "3b", "7b", "30b")

NANO_STEPS = 400  # of a row's SFT: minutes on one core; the parent has 1800


def experiment_name(ablation: str, row: str, scale: str, stage: str = "") -> str:
    """`table1_row1` at the paper's scale, `table1_row1_nano` at another; then an earlier stage."""
    parts = [ablation, row, *([] if scale == PAPER_SCALE else [scale]), *([stage] if stage else [])]
    return "_".join(parts)


def sft(scale: str, start: str = "continual") -> ExperimentConfig:
    """SFT as ablations have it, from a shared stage: `start` is "pretrain" or "continual".

    At large scales as section 3.1 says: static splitting into 2 x 2 and the overview of 672 pixels,
    peak learning rate 1e-5; sub-images without indicator and the overview before them, since
    table 3's first row is also a row of tables 1 and 2. At nano scale as the family's SFT, shorter.
    """
    if scale == "nano":
        changes: dict[str, Any] = {
            "train.steps": NANO_STEPS,
            "optimizer.peak_learning_rate": 0.005,  # higher than the parent's, as it is shorter
            "checkpoint.every": 200,
        }
        return replace_nested(
            nano.sft(), changes | {"init_from": (InitFrom(f"mm15_nano_{start}"),)}
        )
    changes = {
        "inputs.splitting": SplittingConfig(mode="static", overview="before", indicator="none"),
        "inputs.tiles_per_row": tiles_budget(5, 144),
        "optimizer.peak_learning_rate": 1e-5,
        "init_from": (InitFrom(f"mm15_{scale}_{start}"),),
    }
    return replace_nested(family.sft(scale), changes)


def tiles_budget(tiles: float, tokens: int, text: int = 60, sequence: int = 4096) -> int:
    """Tile slots of a row that is full of examples of one picture each.

    Args:
      tiles: of a picture, on average.
      tokens: of a tile.
      text: tokens of a dialogue.
      sequence: tokens of a row.
    """
    return math.ceil(sequence * tiles / (tiles * tokens + text))


def row(
    ablation: str,
    key: str,
    scale: str,
    title: str,
    parent: ExperimentConfig,
    changes: Mapping[str, object],
    **more: Any,
) -> AblationRow:
    """A row whose experiment is its parent with a few fields replaced."""
    name = experiment_name(
        ablation, f"row{key}" if ablation.startswith("table") and key.isdigit() else key, scale
    )
    return AblationRow(key, title, replace_nested(parent, {"name": name, **changes}), **more)


def evaluation_row(
    ablation: str,
    key: str,
    scale: str,
    title: str,
    of: AblationRow,
    changes: Mapping[str, object],
) -> AblationRow:
    """A row that trains nothing: it asks another row's run in another way."""
    asked = {"stage": "evaluation", "init_from": (InitFrom(of.config.name),), **changes}
    return row(ablation, key, scale, title, of.config, asked)
