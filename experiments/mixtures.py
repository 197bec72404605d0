"""The mixtures of data sets that experiments name in `data.mixture`.

Category weights are the paper's (figure 6, section 3.2.2 and the final recipe); the lists of data
sets are the paper's where it names them, else from public sources (BUILD_NOTES.md says which).
"""

from collections.abc import Callable, Mapping

from mm15_jax.config.mixtures import Group, Mixture
from mm15_jax.experiments import nano_mixtures


def caption_interleaved_text(
    captions: float, interleaved: float, text: float, text_set: str = "hq_text"
) -> Mixture:
    """Pre-training: image-caption pairs, interleaved documents, text only."""
    return (
        Group("captions", captions, ("image_text_pairs",)),
        Group("interleaved", interleaved, ("obelics", "mmc4")),
        Group("text", text, (text_set,)),
    )


OCR = ("pdfa", "idl", "renderedtext", "docstruct4m")


def equal_shares(*datasets: str) -> Mixture:
    """Continual pre-training: as many examples of each data set (section 3.1)."""
    return (Group("ocr", 1.0, datasets, (1 / len(datasets),) * len(datasets)),)


GENERAL = (
    "llava_conversation",
    "llava_complex_reasoning",
    "sharegpt4v",
    "coco_karpathy",  # COCO's captions but for those that `few_shot` scores
    "gqa",
    "okvqa",
    "aokvqa",
)
TEXT_RICH = (
    "ocrvqa",
    "docvqa",
    "chartqa",
    "textvqa",
    "infovqa",
    "synthdog_en",
    "wtq",
    "tabfact",
    "textcaps",
    "stvqa",
    "dvqa",
    "screenqa",
    "kleister",
    "deepform",
    "chart_to_text",
    "finqa",
    "hitab",
    "arxivqa",
)
REFER_GROUND = (
    "ferret_grit",
    "refcoco",
    "refcoco_plus",
    "refcocog",
    "flickr30k_entities",
    "visual_genome",
    "objects365",
    "lvis",
)
SCIENCE = ("ai2d", "scienceqa")
MATH = ("geomverse", "clevr", "iconqa", "raven", "intergps", "tabmwp")
CODE = ("websight", "datikz", "design2code")
MULTI_IMAGE = (
    "mantis",
    "nlvr2",
    "dreamsim",
    "birds_to_words",
    "spot_the_diff",
    "coco_instruct_interleaved",
    "icl_instruct",
)
TEXT_ONLY = (
    "openorca",
    "mathinstruct",
    "orcamath",
    "wizardcoder",
    "opencodeinterpreter",
    "dolly",
)

# Alpha: weight of a category's data relative to `general` (figure 6); text-rich at natural size.
ALPHA = {"text_rich": 3.29, "science": 0.1, "math": 0.5, "code": 0.2, "refer_ground": 2.0}


SINGLE_IMAGE = {
    "general": GENERAL,
    "text_rich": TEXT_RICH,
    "science": SCIENCE,
    "math": MATH,
    "code": CODE,
    "refer_ground": REFER_GROUND,
}
BASE = {category: ALPHA[category] for category in ("text_rich", "science", "math", "code")}


def single_image(alpha: Mapping[str, float], *, multi: float = 0.0, text: float = 0.0) -> Mixture:
    """General data, other categories at `alpha` times its weight, and shares of the whole.

    Args:
      alpha: category of single-image data -> weight relative to `general`; 0 leaves it out.
      multi: share of multi-image data in the whole.
      text: share of text-only data in the whole.
    """
    weights = {"general": 1.0, **{name: weight for name, weight in alpha.items() if weight}}
    scale = (1 - multi - text) / sum(weights.values())
    groups = [Group(name, scale * weight, SINGLE_IMAGE[name]) for name, weight in weights.items()]
    if multi:
        groups.append(Group("multi_image", multi, MULTI_IMAGE))
    if text:
        groups.append(Group("text", text, TEXT_ONLY))
    return tuple(groups)


# Points of figures 6 and 7. The paper says which is chosen (0.1, 0.5, 0.2, 2.0; 0.1 and 0.1) and
# that the share of text goes from 0 to 0.2; the others are ours.
ALPHAS = {
    "science": (0.0, 0.05, 0.1, 0.2, 0.5),
    "math": (0.0, 0.1, 0.25, 0.5, 1.0),
    "code": (0.0, 0.1, 0.2, 0.5, 1.0),
    "refer_ground": (0.0, 0.5, 1.0, 2.0, 3.0),
}
SHARES = (0.0, 0.05, 0.1, 0.15, 0.2)


def category_figures(
    prefix: str, alpha: Mapping[str, float], make: Callable[..., Mixture], natural: bool
) -> dict[str, Mixture]:
    """The mixtures of figures 5 to 7.

    Args:
      prefix: of their names.
      alpha: the chosen weights relative to `general`.
      make: `single_image`, of this module or of the miniature's.
      natural: figure 5 takes each data set at its own size; else categories weigh as chosen.
    """
    start = {"text_rich": alpha["text_rich"]}
    found = {f"{prefix}fig5_general": make({})}
    for category in alpha:
        both = (*GENERAL, *SINGLE_IMAGE[category])
        found[f"{prefix}fig5_{category}"] = (
            (Group("single_image", 1.0, both),) if natural else make({category: alpha[category]})
        )
    for category, points in ALPHAS.items():
        for x in points:
            found[f"{prefix}fig6_{category}_{x:g}"] = make({**start, category: x})
    for x in SHARES:
        found[f"{prefix}fig7_text_{x:g}"] = make(start, text=x)
        found[f"{prefix}fig7_multi_image_{x:g}"] = make(start, multi=x)
    return found


MIXTURES: dict[str, Mixture] = {
    **nano_mixtures.MIXTURES,
    **category_figures("", ALPHA, single_image, natural=True),
    **category_figures("nano_", nano_mixtures.ALPHA, nano_mixtures.single_image, natural=False),
    "pretrain": caption_interleaved_text(0.5, 0.1, 0.4),
    "pretrain_mm1": caption_interleaved_text(0.45, 0.45, 0.1),
    "pretrain_old_text": caption_interleaved_text(0.45, 0.45, 0.1, "old_text"),
    "continual_ocr": equal_shares(*OCR),
    # Figure 9b: synthetic captions instead, and beside.
    "continual_recap": equal_shares("llava_recap"),
    "continual_sharegpt4v": equal_shares("sharegpt4v_pretrain"),
    "continual_ocr_recap": equal_shares(*OCR, "llava_recap"),
    "continual_ocr_sharegpt4v": equal_shares(*OCR, "sharegpt4v_pretrain"),
    "sft_base": single_image(BASE),
    "sft_single_image": single_image(ALPHA),
    "sft_all": single_image(ALPHA, multi=0.1, text=0.1),
    # Section 5, by the paper's numbers of examples, in thousands.
    "video_sft": (
        Group("sharegptvideo", 556 / 812.5, ("sharegptvideo",)),
        Group("videochat2", 225 / 812.5, ("videochat2",)),
        Group("activitynet_qa", 31.5 / 812.5, ("activitynet_qa",)),
    ),
    # Section 6: Ferret-UI's mixture, 801k in all, its parts at their natural sizes.
    "ui_sft": (
        Group("ui", 1.0, ("ferret_ui", "screen2words", "widget_captioning", "taperception")),
    ),
    # The open corpus at nano scale; whole pages and long texts are for larger models.
    "open_sft": (
        Group("general", 0.3, ("open_stamps", "open_handbook"), (0.95, 0.05)),
        Group("text_rich", 0.4, ("open_lines", "open_paragraphs"), (0.95, 0.05)),
        Group("refer_ground", 0.2, ("open_maps", "open_regions"), (0.4, 0.6)),
        Group("knowledge", 0.05, ("open_flags", "open_capitals"), (0.5, 0.5)),
        Group("text", 0.05, ("open_handbook_text",)),
    ),
}
