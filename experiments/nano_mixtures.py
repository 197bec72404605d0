"""Mixtures of the miniature's data sets: the paper's, in small, category by category."""

from collections.abc import Mapping

from mm15_jax.config.mixtures import Group, Mixture

# Category -> data sets and their shares of the category.
SINGLE_IMAGE: dict[str, dict[str, float]] = {
    "general": {"mini_scene_qa": 1.0},
    "text_rich": {
        "mini_word_qa": 0.15,
        "mini_document_qa": 0.24,
        "mini_banner_qa": 0.14,
        "mini_poster_qa": 0.07,
        "mini_chart_qa": 0.19,
        "mini_table_qa": 0.21,
    },
    "science": {"mini_diagram_qa": 1.0},
    "math": {"mini_arithmetic_qa": 1.0},
    "code": {"mini_code": 1.0},
    "refer_ground": {"mini_grounding": 0.7, "mini_referring": 0.3},
}
# Weight of a category relative to `general`. The paper's are 3.29, 0.1, 0.5, 0.2 and 2.0: at 0.1 a
# run of this length sees too few diagrams to learn anything, and print is what it learns last.
ALPHA = {"text_rich": 5.0, "science": 0.6, "math": 0.6, "code": 0.2, "refer_ground": 1.8}
BASE = {name: ALPHA[name] for name in ("text_rich", "science", "math", "code")}


def single_image(alpha: Mapping[str, float], *, multi: float = 0.0, text: float = 0.0) -> Mixture:
    """General data, other categories at `alpha` times its weight, and shares of the whole.

    Args:
      alpha: category of single-image data -> weight relative to `general`; 0 leaves it out.
      multi: share of multi-image data in the whole.
      text: share of text-only data in the whole.
    """
    weights = {"general": 1.0, **{name: weight for name, weight in alpha.items() if weight}}
    scale = (1 - multi - text) / sum(weights.values())
    groups = [
        Group(name, scale * weight, tuple(SINGLE_IMAGE[name]), tuple(SINGLE_IMAGE[name].values()))
        for name, weight in weights.items()
    ]
    if multi:
        groups.append(Group("multi_image", multi, ("mini_compare",)))
    if text:
        groups.append(Group("text", text, ("mini_instructions",)))
    return tuple(groups)


def captions_interleaved_text(
    captions: float, interleaved: float, text: float, text_set: str = "mini_text"
) -> Mixture:
    """Pre-training: captions, interleaved documents, text only."""
    return (
        Group("captions", captions, ("mini_captions",)),
        Group("interleaved", interleaved, ("mini_interleaved",)),
        Group("text", text, (text_set,)),
    )


def continual(*sets: str) -> Mixture:
    """Continual pre-training on these data sets, in equal shares."""
    return (Group("continual", 1.0, sets, (1 / len(sets),) * len(sets)),)


MIXTURES: dict[str, Mixture] = {
    "nano_encoder": (Group("encoder", 1.0, ("mini_glyphs",)),),
    "nano_text": (Group("text", 1.0, ("mini_text", "mini_instructions"), (0.8, 0.2)),),
    "nano_pretrain": captions_interleaved_text(0.5, 0.1, 0.4),
    "nano_pretrain_mm1": captions_interleaved_text(0.45, 0.45, 0.1),
    "nano_pretrain_old_text": captions_interleaved_text(0.45, 0.45, 0.1, "mini_noisy_text"),
    # Beside words what the encoder and the decoder have learned before: without it they forget it.
    "nano_words": (
        Group("words", 0.7, ("mini_words",)),
        Group("captions", 0.15, ("mini_captions",)),
        Group("text", 0.15, ("mini_text", "mini_instructions"), (0.8, 0.2)),
    ),
    # Stands for pre-training, which has captions; without them objects are forgotten.
    "nano_reading": (
        Group("pages", 0.85, ("mini_ocr",)),
        Group("captions", 0.15, ("mini_captions",)),
    ),
    "nano_continual": continual("mini_ocr"),
    "nano_continual_recap": continual("mini_dense_captions"),
    "nano_continual_sharegpt4v": continual("mini_relation_captions"),
    "nano_continual_ocr_recap": continual("mini_ocr", "mini_dense_captions"),
    "nano_continual_ocr_sharegpt4v": continual("mini_ocr", "mini_relation_captions"),
    "nano_sft_base": single_image(BASE),
    "nano_sft_single_image": single_image(ALPHA),
    "nano_sft_all": single_image(ALPHA, multi=0.12, text=0.04),
    "nano_video_sft": (
        Group(
            "video",
            1.0,
            tuple(f"mini_video_{kind}" for kind in ("direction", "order", "count", "collide")),
            (0.25,) * 4,
        ),
    ),
    "nano_ui": (
        Group(
            "ui",
            0.8,
            (
                "mini_ui_parts",
                *(f"mini_ui_ref_{platform}" for platform in ("ios", "android")),
                *(f"mini_ui_grd_{platform}" for platform in ("ios", "android")),
                "mini_ui_describe",
                "mini_ui_talk",
            ),
            (0.45, 0.14, 0.14, 0.1, 0.1, 0.02, 0.05),
        ),
        # Without some of SFT's, a thousand steps of screens forget how to read.
        Group("text_rich", 0.2, ("mini_word_qa", "mini_document_qa"), (0.6, 0.4)),
    ),
}
