"""The rows of tables 4 to 12 that compare MM1.5 with itself: sizes, experts, video, UI."""

import functools
from collections.abc import Callable

from mm15_jax.config import ExperimentConfig
from mm15_jax.config.ablation import Ablation, AblationRow
from mm15_jax.experiments import family, nano
from mm15_jax.experiments import ui as screens
from mm15_jax.experiments import video as v

_CATEGORIES = ("general", "text_rich", "knowledge", "refer_ground", "multi_image")
# Of tables 5 to 9; the miniature is asked nothing in context.
_MEASURES = (*_CATEGORIES, "in_context", "mmbase")
_MINI_MEASURES = (*_CATEGORIES, "mmbase")
# Columns of tables 10 and 11.
VIDEO = (
    "activitynet_qa",
    "videomme",
    "egoschema",
    "nextqa",
    "intentqa",
    "vcgbench",
    "llava_hound_activitynet",
    "llava_hound_vidal",
    "llava_hound_webvid",
    "llava_hound_msvd",
    "llava_hound_msrvtt",
    "llava_hound_tgif",
    "llava_hound_ssv2",
)
# Columns of table 12, and what stands for them in small.
UI = (
    "screen2words",
    "widget_captioning",
    "taperception",
    "ferret_ui_ref_ios",
    "ferret_ui_ref_android",
    "ferret_ui_grd_ios",
    "ferret_ui_grd_android",
)
MINI_UI = tuple(f"mini_{name.removeprefix('ferret_')}" for name in UI[3:])
_TITLES = {"1b": "1B", "3b": "3B", "7b": "7B", "30b": "30B"}


def scaling(scale: str) -> Ablation:
    """Dense models of all sizes: tables 4 to 9. At nano scale two, alike in all but the decoder."""
    if scale == "nano":
        rows: tuple[AblationRow, ...] = (
            AblationRow("small", "0.2M", nano.small_sft()),
            AblationRow("large", "0.6M", nano.sft()),
        )
    else:  # its rows are the other scales
        rows = tuple(AblationRow(f"mm15_{s}", t, family.sft(s)) for s, t in _TITLES.items())
    measures = _MINI_MEASURES if scale == "nano" else _MEASURES
    return Ablation("scaling", "Size of the decoder", scale, "tables 4 to 9", rows, measures)


def moe(scale: str) -> Ablation:
    """Experts in every stage against the dense model of the family: tables 4 to 9."""
    if scale == "nano":
        dense, experts, count = nano.sft(), nano.moe_sft(), nano.MOE.experts
    else:  # in place of every second FFN
        dense, experts, count = family.sft(scale), family.sft(f"{scale}_moe"), 64
    rows = (
        AblationRow("dense", "dense", dense),
        AblationRow("experts", f"{count} experts", experts),
    )
    measures = _MINI_MEASURES if scale == "nano" else _MEASURES
    title = "Experts against the dense model at the same active size"
    return Ablation("moe", title, scale, "tables 4 to 9", rows, measures, "bars", held="all else")


def video(scale: str) -> Ablation:
    """The image model asked about clips as it is, and fine-tuned on clips: tables 10 and 11."""
    if scale == "nano":
        makers: tuple[Callable[[], ExperimentConfig], ...] = (
            nano.video_training_free,
            nano.video_sft,
        )
        measures = tuple(
            f"mini_video_{kind}" for kind in ("direction", "order", "count", "collide")
        )
    else:
        makers = tuple(functools.partial(make, scale) for make in (v.training_free, v.sft))
        measures = VIDEO
    keys = (("training_free", "training-free"), ("sft", "SFT"))
    rows = tuple(AblationRow(key, t, make()) for (key, t), make in zip(keys, makers, strict=True))
    title = "Clips: the image model as it is, and fine-tuned"
    return Ablation("video", title, scale, "tables 10 and 11", rows, measures, "bars")


def ui(scale: str) -> Ablation:
    """Fine-tuned on screens, and for one epoch with and without the SFT before: table 12."""
    if scale == "nano":
        whole: tuple[AblationRow, ...] = (AblationRow("ui_nano", "all epochs", nano.ui()),)
        shorter = (nano.ui_1_epoch(), nano.ui_1_epoch_without_sft())
        measures = ("ui", *MINI_UI)
    else:
        whole = tuple(AblationRow(f"ui_{s}", _TITLES[s], screens.ui(s)) for s in screens.SIZES)
        shorter = (screens.one_epoch(), screens.one_epoch_without_sft())
        measures = UI
    keys = (("1_epoch", "one epoch"), ("1_epoch_without_sft", "one epoch, without MM1.5's SFT"))
    rows = (*whole, *(AblationRow(k, t, c) for (k, t), c in zip(keys, shorter, strict=True)))
    return Ablation(
        "ui", "Screens, from MM1.5's SFT and without it", scale, "table 12", rows, measures
    )


ABLATIONS = {function.__name__: function for function in (scaling, moe, video, ui)}
