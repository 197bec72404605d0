"""Figures 9 and 10: continual pre-training and pre-training (sections 3.3 and 3.4)."""

from typing import Any

from mm15_jax.config import ExperimentConfig, InitFrom, SplittingConfig, replace_nested
from mm15_jax.config.ablation import Ablation, AblationRow
from mm15_jax.experiments import family, nano
from mm15_jax.experiments.ablation_base import experiment_name, row, sft, tiles_budget

_MMBASE = ("mmbase", "text_rich", "knowledge", "general")
_HELD = "equal steps of SFT"


def _continual(scale: str) -> ExperimentConfig:
    """The default stage: OCR data, 2 x 2 sub-images of the high resolution."""
    return nano.continual() if scale == "nano" else family.continual(scale)


def _parent(scale: str) -> ExperimentConfig:
    """SFT on the Base mixture."""
    prefix = "nano_" if scale == "nano" else ""
    return replace_nested(sft(scale), {"data.mixture": f"{prefix}sft_base"})


def _after(
    ablation: str, key: str, scale: str, title: str, stage: ExperimentConfig | None
) -> AblationRow:
    """SFT from a continual stage of this row alone; from the shared one without."""
    if stage is None:
        return row(ablation, key, scale, title, _parent(scale), {})
    changes = {"init_from": (InitFrom(stage.name),)}
    return row(ablation, key, scale, title, _parent(scale), changes, before=(stage,))


def _stage(ablation: str, key: str, scale: str, changes: dict[str, Any]) -> ExperimentConfig:
    name = experiment_name(ablation, key, scale, "continual")
    return replace_nested(_continual(scale), {"name": name, **changes})


def _without(ablation: str, scale: str) -> AblationRow:
    return row(ablation, "none", scale, "no continual", sft_from_pretrain(scale), {})


def sft_from_pretrain(scale: str) -> ExperimentConfig:
    """SFT on the Base mixture, straight from pre-training."""
    start = sft(scale, "pretrain").init_from
    return replace_nested(_parent(scale), {"init_from": start})


def fig9a(scale: str) -> Ablation:
    """Resolution of continual pre-training; SFT has the highest in every row.

    378 is the encoder's own resolution without splitting, 756 splits into tiles of it; nano's
    encoder has 32 pixels for 378, and 48 for 672.
    """
    low = 32 if scale == "nano" else 378
    unsplit = SplittingConfig(mode="none", indicator="none")
    small: dict[str, Any] = {"model.encoder.resolution": low}
    whole = small | {"inputs.splitting": unsplit}
    if scale != "nano":
        whole["inputs.tiles_per_row"] = tiles_budget(1, 144, text=400)
    rows = (
        _without("fig9a", scale),
        _after("fig9a", "378", scale, "378 x 378", _stage("fig9a", "378", scale, whole)),
        _after("fig9a", "756", scale, "756 x 756", _stage("fig9a", "756", scale, small)),
        _after("fig9a", "1344", scale, "1344 x 1344", None),
    )
    title = "Resolution of continual pre-training"
    return Ablation("fig9a", title, scale, "figure 9a", rows, _MMBASE, "bars", held=_HELD)


def fig9b(scale: str) -> Ablation:
    """Data of continual pre-training: OCR, synthetic captions, both."""
    prefix = "nano_" if scale == "nano" else ""
    others = (
        ("recap", "LLaVA-Recap"),
        ("sharegpt4v", "ShareGPT4V-PT"),
        ("ocr_recap", "OCR + LLaVA-Recap"),
        ("ocr_sharegpt4v", "OCR + ShareGPT4V-PT"),
    )
    rows = (
        _without("fig9b", scale),
        _after("fig9b", "ocr", scale, "OCR", None),
        *(
            _after(
                "fig9b",
                key,
                scale,
                title,
                _stage("fig9b", key, scale, {"data.mixture": f"{prefix}continual_{key}"}),
            )
            for key, title in others
        ),
    )
    title = "Data of continual pre-training"
    return Ablation("fig9b", title, scale, "figure 9b", rows, _MMBASE, "bars", held=_HELD)


def fig10(scale: str) -> Ablation:
    """Text-only data and ratio of pre-training data; SFT on all data."""
    prefix = "nano_" if scale == "nano" else ""
    variants = (
        ("old_text_45_45_10", "old text, 45:45:10", "pretrain_old_text"),
        ("hq_text_45_45_10", "HQ-Text, 45:45:10", "pretrain_mm1"),
        ("hq_text_50_10_40", "HQ-Text, 50:10:40", "pretrain"),
    )
    rows = tuple(
        _from_scratch("fig10", key, scale, title, prefix + mixture)
        for key, title, mixture in variants
    )
    measures = ("text_rich", "knowledge", "general", "refer_ground", "multi_image")
    title = "Text-only data and ratio of pre-training data"
    return Ablation("fig10", title, scale, "figure 10", rows, measures, "bars", held="all but data")


def _from_scratch(ablation: str, key: str, scale: str, title: str, mixture: str) -> AblationRow:
    """Every stage of a row, from pre-training on."""
    stages: list[ExperimentConfig] = []
    parents = (
        (nano.pretrain(), nano.continual())
        if scale == "nano"
        else (family.pretrain(scale), family.continual(scale))
    )
    for parent in parents:
        stage = parent.name.rsplit("_", 1)[1]
        changes: dict[str, Any] = {"name": experiment_name(ablation, key, scale, stage)}
        changes |= (
            {"init_from": (InitFrom(stages[-1].name),)} if stages else {"data.mixture": mixture}
        )
        stages.append(replace_nested(parent, changes))
    changes = {"init_from": (InitFrom(stages[-1].name),)}
    return row(ablation, key, scale, title, sft(scale), changes, before=tuple(stages))


ABLATIONS = {function.__name__: function for function in (fig9a, fig9b, fig10)}
