"""Tables 1 to 3: image splitting (section 3.5).

Models start from pre-training without the continual stage and see the Single-image mixture. The
miniature's encoder has 48 pixels for 672 and 32 for 378, its connector 16 tokens a tile for 144 and
9 for 81; it starts from print that it has read in single tiles, which favours no way of splitting.
Rows see equally many examples, as one epoch has, and about as many in a step, as in the paper's
batch of 256: a batch has fewer packed rows where more pictures fit into one.
"""

import dataclasses
from typing import Any

from mm15_jax.config import ExperimentConfig, InitFrom, SplittingConfig, replace_nested
from mm15_jax.config.ablation import Ablation
from mm15_jax.experiments.ablation_base import evaluation_row, row, sft, tiles_budget

_FOUR = ("text_rich", "knowledge", "general", "refer_ground", "average")
_DOCUMENTS = ("docvqa", "infovqa", *_FOUR)
_HELD = "equal examples, and as many in a step"

# Encoder's resolution for the paper's 672 and 378 pixels, and tokens a tile for its 144 and 81.
_RESOLUTIONS = {"nano": (48, 32)}
_TOKENS = {"nano": (16, 9)}

# Tiles of a picture on average, overview included, by grid: of the miniature's single-image mixture
# it was counted; at large scales it follows benchmarks/data/packing.py's picture sizes.
_NANO_TILES = {(1, 1): 1.0, (4, 4): 5.0, (4, 9): 5.4, (4, 16): 6.0, (1, 9): 2.5, (9, 9): 10.0}
_TILES = {(1, 1): 1.0, (4, 4): 5.0, (4, 9): 7.0, (4, 16): 8.0, (1, 9): 6.5, (9, 9): 10.0}

# Examples in a row of the miniature, as counted, by grid and tokens.
_NANO_FITS = {
    ((1, 1), 16): 8.98,
    ((4, 4), 16): 2.99,
    ((4, 9), 16): 2.89,
    ((4, 16), 16): 2.69,
    ((1, 9), 16): 5.67,
    ((9, 9), 9): 2.99,
    ((9, 9), 16): 2.0,
}
_NANO_SEQUENCE = 384  # the longest example has 17 tiles


@dataclasses.dataclass(frozen=True)
class _Epoch:
    """SFT of the rows whose pictures are divided into four; the others see as many examples.

    Attributes:
      rows: of a batch.
      steps: of training.
      rows_by, steps_by: what others' rows and steps are multiples of.
    """

    rows: int
    steps: int
    rows_by: int
    steps_by: int


_EPOCHS = {"nano": _Epoch(6, 620, 1, 10)}  # 18 examples a step, 11,100 in all
_PAPER_EPOCH = _Epoch(256, 23_000, 64, 100)  # a row for each chip of v5p:4x4x4


def _parent(scale: str) -> ExperimentConfig:
    changes: dict[str, Any] = {"data.mixture": "sft_single_image"}
    if scale == "nano":
        changes = {
            "data.mixture": "nano_sft_single_image",
            "inputs.sequence_length": _NANO_SEQUENCE,
            "init_from": (InitFrom("mm15_nano_reading"),),
        }
    return replace_nested(sft(scale, "pretrain"), changes)


def _splitting(
    scale: str,
    grid: tuple[int, int],
    tokens: int,
    *,
    static: bool = False,
    indicator: str = "none",
    overview: str = "before",
) -> dict[str, object]:
    """Changes for grids of (n_min, n_max) sub-images; (1, 1) is no splitting."""
    n_min, n_max = grid
    mode = "none" if n_max == 1 else "static" if static else "dynamic"
    if mode == "dynamic":
        splitting = SplittingConfig(mode, n_min, n_max, overview=overview, indicator=indicator)
    else:
        splitting = SplittingConfig(mode, overview=overview, indicator=indicator)
    return {"inputs.splitting": splitting, **_budget(scale, grid, tokens)}


def _budget(scale: str, grid: tuple[int, int], tokens: int) -> dict[str, object]:
    """Tile slots of a row, and the rows and steps that have an epoch's examples."""
    epoch = _EPOCHS.get(scale, _PAPER_EPOCH)
    slots, fits = _row_of(scale, grid, tokens)
    a_step = epoch.rows * _row_of(scale, (4, 4), _TOKENS.get(scale, (144, 81))[0])[1]
    rows = epoch.rows_by * max(1, round(a_step / fits / epoch.rows_by))
    steps = epoch.steps * a_step / (rows * fits)
    return {
        "inputs.tiles_per_row": slots,
        "train.batch_rows": rows,
        "train.steps": epoch.steps_by * round(steps / epoch.steps_by),
    }


def _row_of(scale: str, grid: tuple[int, int], tokens: int) -> tuple[int, float]:
    """Tile slots of a packed row, and the examples that fit into it."""
    if scale != "nano":
        slots = tiles_budget(_TILES[grid], tokens)
        return slots, slots / _TILES[grid]
    slots = tiles_budget(_NANO_TILES[grid], tokens, text=28, sequence=_NANO_SEQUENCE)
    return max(slots, grid[1] + 1), _NANO_FITS[grid, tokens]


def table1(scale: str) -> Ablation:
    """Number of sub-images, resolution of the encoder, tokens a sub-image."""
    (most, fewest), (high, low) = _TOKENS.get(scale, (144, 81)), _RESOLUTIONS.get(scale, (672, 378))
    static, four, nine = (1, 1), (4, 4), (9, 9)
    # Title, grid, whether it is static, tokens a tile, resolution.
    rows = (
        ("static, 1 sub-image", static, False, most, high),
        ("static, 5 sub-images", four, True, most, high),
        ("dynamic, 5 sub-images", four, False, most, high),
        ("dynamic, 10 sub-images", nine, False, fewest, low),
        ("dynamic, 10 sub-images", nine, False, fewest, high),
        ("dynamic, 10 sub-images", nine, False, most, low),
        ("dynamic, 10 sub-images", nine, False, most, high),
    )
    made = []
    for number, (title, grid, is_static, tokens, resolution) in enumerate(rows, 1):
        changes = {
            **_splitting(scale, grid, tokens, static=is_static),
            "model.encoder.resolution": resolution,
            "model.connector.tokens": tokens,
        }
        full = f"{title}, {tokens} tokens each, {resolution} px"
        made.append(row("table1", str(number), scale, full, _parent(scale), changes))
    title = "Resolution and number of image tokens in image splitting"
    return Ablation("table1", title, scale, "table 1", tuple(made), _FOUR, held=_HELD)


def table2(scale: str) -> Ablation:
    """Smallest and largest grid, in training and at inference."""
    tokens = _TOKENS.get(scale, (144, 81))[0]
    parent = _parent(scale)
    grids = ((4, 4), (4, 9), (4, 16), (1, 9))
    made = []
    for number, grid in enumerate(grids, 1):
        title = f"trained {grid}"
        made.append(
            row("table2", str(number), scale, title, parent, _splitting(scale, grid, tokens))
        )
    for number, (n_min, n_max) in enumerate(((4, 9), (4, 16), (1, 9)), 5):
        title = f"trained (4, 4), asked {(n_min, n_max)}"
        asked = {"eval.n_min": n_min, "eval.n_max": n_max}
        made.append(evaluation_row("table2", str(number), scale, title, made[0], asked))
    if scale == "3b":  # the paper's larger model
        for number, grid in enumerate(grids[:3], 8):
            title = f"7B, trained {grid}"
            changes = _splitting(scale, grid, tokens)
            made.append(row("table2", str(number), scale, title, _parent("7b"), changes))
    title = "Grid of sub-images in training and at inference"
    return Ablation("table2", title, scale, "table 2", tuple(made), _DOCUMENTS, held=_HELD)


def table3(scale: str) -> Ablation:
    """Position indicators and place of the overview, in two combinations more than the paper's."""
    tokens = _TOKENS.get(scale, (144, 81))[0]
    rows = (
        ("1", "none", "before"),
        ("2", "seps", "before"),
        ("3", "index", "before"),
        ("4", "none", "after"),
        ("seps_after", "seps", "after"),
        ("index_after", "index", "after"),
    )
    made = tuple(
        row(
            "table3",
            key,
            scale,
            f"indicator {indicator}, overview {overview}",
            _parent(scale),
            _splitting(scale, (4, 4), tokens, indicator=indicator, overview=overview),
        )
        for key, indicator, overview in rows
    )
    title = "Position indicator of sub-images and place of the overview"
    return Ablation("table3", title, scale, "table 3", made, _DOCUMENTS, held=_HELD)


ABLATIONS = {function.__name__: function for function in (table1, table2, table3)}
