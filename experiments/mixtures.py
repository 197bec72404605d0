"""The mixtures of data sets that experiments name in `data.mixture`.

Category weights are the paper's (figure 6, section 4.2.2 and the final recipe); the lists of data
sets are the paper's where it names them, else from public sources (BUILD_NOTES.md says which).
"""

from mm15_jax.config.mixtures import Group, Mixture


def caption_interleaved_text(captions: float, interleaved: float, text: float) -> Mixture:
    """Pre-training: image-caption pairs, interleaved documents, text only."""
    return (
        Group("captions", captions, ("image_text_pairs",)),
        Group("interleaved", interleaved, ("obelics", "mmc4")),
        Group("text", text, ("hq_text",)),
    )


GENERAL = (
    "llava_conversation",
    "llava_complex_reasoning",
    "sharegpt4v",
    "coco_captions",
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


def single_image(share: float, *, refer_ground: bool = True) -> Mixture:
    """The single-image categories at the paper's alphas, `share` of the whole."""
    lists = {
        "general": GENERAL,
        "text_rich": TEXT_RICH,
        "science": SCIENCE,
        "math": MATH,
        "code": CODE,
    }
    if refer_ground:
        lists["refer_ground"] = REFER_GROUND
    total = sum(ALPHA.get(category, 1.0) for category in lists)
    return tuple(
        Group(category, share * ALPHA.get(category, 1.0) / total, datasets)
        for category, datasets in lists.items()
    )


MIXTURES: dict[str, Mixture] = {
    "pretrain": caption_interleaved_text(0.5, 0.1, 0.4),
    "pretrain_mm1": caption_interleaved_text(0.45, 0.45, 0.1),
    "continual_ocr": (
        Group("ocr", 1.0, ("pdfa", "idl", "renderedtext", "docstruct4m"), (0.25,) * 4),
    ),
    "sft_base": single_image(1.0, refer_ground=False),
    "sft_single_image": single_image(1.0),
    "sft_all": (
        *single_image(0.8),
        Group("multi_image", 0.1, MULTI_IMAGE),
        Group("text", 0.1, TEXT_ONLY),
    ),
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
    # The miniature: generated, every capability of the paper.
    "nano_encoder": (Group("encoder", 1.0, ("mini_glyphs",)),),
    "nano_text": (Group("text", 1.0, ("mini_text", "mini_instructions"), (0.8, 0.2)),),
    "nano_pretrain": (
        Group("captions", 0.5, ("mini_captions",)),
        Group("interleaved", 0.1, ("mini_interleaved",)),
        Group("text", 0.4, ("mini_text",)),
    ),
    "nano_continual": (Group("ocr", 1.0, ("mini_ocr",)),),
    "nano_sft_all": (
        Group("general", 0.11, ("mini_scene_qa",)),
        Group(
            "text_rich",
            0.40,
            ("mini_word_qa", "mini_document_qa", "mini_chart_qa", "mini_table_qa"),
            (0.15, 0.3, 0.25, 0.3),
        ),
        Group("knowledge", 0.14, ("mini_arithmetic_qa", "mini_diagram_qa"), (0.5, 0.5)),
        Group("refer_ground", 0.16, ("mini_grounding", "mini_referring"), (0.7, 0.3)),
        Group("multi_image", 0.16, ("mini_compare",)),
        Group("text", 0.03, ("mini_instructions",)),
    ),
    "nano_video_sft": (
        Group(
            "video",
            1.0,
            tuple(f"mini_video_{kind}" for kind in ("direction", "order", "count", "collide")),
            (0.25,) * 4,
        ),
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
